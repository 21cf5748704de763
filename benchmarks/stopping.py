"""A server that answers at once, but stops for the last second of every five, counted from its first request."""

from __future__ import annotations

import asyncio
import sys
import time

CYCLE_S = 5
STOP_S = 1
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Counts the time from its first request."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self._asked.set()
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def stop_again_and_again(self) -> None:
        """Hold the whole loop, as a long garbage collection or a lock would."""
        await self._asked.wait()
        began = time.monotonic()
        while True:
            ends = began + CYCLE_S
            await asyncio.sleep(ends - STOP_S - time.monotonic())
            time.sleep(max(0.0, ends - time.monotonic()))
            began = ends


async def main(port: int) -> None:
    """Until it is killed."""
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=1024):
        await server.stop_again_and_again()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
