"""An ASGI application served by uvicorn in a thread: the real thing, without what a test client asks for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from fastapi import FastAPI
from uvicorn import Config, Server


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Its address, for as long as the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(Config(app, ws="none", log_level="warning"))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"  # it listens already: who comes early waits
        finally:
            server.should_exit = True
            thread.join()
