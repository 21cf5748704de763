"""The control service: the same small work for every request, whatever else changes. Run as a script, with its port."""

import asyncio
import hashlib
import sys

_ROUNDS = 1000  # about half a millisecond of computing
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            hashlib.pbkdf2_hmac("sha256", b"password", b"salt", _ROUNDS)
            writer.write(_ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):  # the user is gone
        writer.close()


async def _main(port: int) -> None:
    async with await asyncio.start_server(_serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
