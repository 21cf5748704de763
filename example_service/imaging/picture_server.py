"""The picture that the users send; as a script, a server from which the services can fetch it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO

from PIL import Image, ImageOps


@cache
def picture() -> bytes:
    """A JPEG of 800×600 pixels, with as many details as a photograph."""
    fractal = Image.effect_mandelbrot((800, 600), (-2.2, -1.2, 1.0, 1.2), 100)
    file = BytesIO()
    ImageOps.colorize(fractal, "navy", "ivory", "orange").save(file, "JPEG", quality=90)
    return file.getvalue()


@contextmanager
def serving() -> Iterator[str]:
    """The picture's URL, for as long as the context lasts; served by a process of its own, not by pytest."""
    command = [sys.executable, __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()


async def serve() -> None:
    """Say the picture's URL, and serve it until standard input ends, as it does with the process that writes it."""
    host = address()
    server = await asyncio.start_server(answer, host, backlog=1000)
    print(f"http://{host}:{server.sockets[0].getsockname()[1]}/picture.jpg", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def address() -> str:
    """This machine's address on the way to Docker's first container, where containers and processes both reach it.

    On Linux that is the bridge's, which no other machine reaches; where there is no bridge, that in the network.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("172.17.0.2", 9))  # which sends nothing yet
        own: str = probe.getsockname()[0]
        return own


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each GET with the picture, until the client ends the connection."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture())}\r\n\r\n"
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(head.encode() + picture())
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve())
