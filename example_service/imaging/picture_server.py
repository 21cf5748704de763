"""The picture that the users send, and a server from which the services can fetch it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread

from PIL import Image, ImageOps


def drawn() -> bytes:
    """A JPEG of 800×600 pixels, with as many details as a photograph."""
    fractal = Image.effect_mandelbrot((800, 600), (-2.2, -1.2, 1.0, 1.2), 100)
    file = BytesIO()
    ImageOps.colorize(fractal, "navy", "ivory", "orange").save(file, "JPEG", quality=90)
    return file.getvalue()


PICTURE = drawn()


def address() -> str:
    """This machine's address on the way to Docker's first container, where containers and processes both reach it.

    On Linux that is the bridge's, which no other machine reaches; where there is no bridge, that in the network.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("172.17.0.2", 9))  # which sends nothing yet
        own: str = probe.getsockname()[0]
        return own


class PictureServer(ThreadingHTTPServer):
    """A thread for each connection, and room for all that come at once: those it has none for try again in a second."""

    request_queue_size = 1000


@contextmanager
def serving() -> Iterator[str]:
    """The picture's URL, for as long as the context lasts."""
    with PictureServer((address(), 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://{address()}:{server.server_port}/picture.jpg"
        finally:
            server.shutdown()


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the picture."""

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_: object) -> None:
        """Nothing: it would be a line for each request."""
