"""An upstream for the load test: answers every request after DELAY_MS, and the share FAILURES of them with 503."""

import asyncio
import os
import random
from contextlib import suppress

DELAY_S = float(os.environ.get("DELAY_MS", "20")) / 1000
FAILURES = float(os.environ.get("FAILURES", "0"))  # 0 to 1


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until its client ends it."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while await reader.readuntil(b"\r\n\r\n"):  # a GET has no body
            await asyncio.sleep(DELAY_S)
            status = b"503 Service Unavailable" if random.random() < FAILURES else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")
            await writer.drain()
    writer.close()


async def main() -> None:
    """Serve at PORT, or at any that is free, and say at which."""
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "0"))
    # With Python's backlog of 100, some of 200 that connect at once would have to try again after a second.
    server = await asyncio.start_server(answer, host, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
