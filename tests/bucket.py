"""An object store that answers as S3 does, and fails when it is told to: moto's, in a process of its own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

NAME = "kept"


class Failing:
    """Passes requests on to moto, but for those that a file names: '503 .json 2' refuses two PUTs of such a name."""

    def __init__(self, application: Callable[..., Iterable[bytes]], orders: Path) -> None:
        self._application = application
        self._orders = orders

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        how = self._how(environ)
        if how == "503":
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"slow down"]
        if how == "cut":  # half of what is sent is read, then the connection is gone
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        return self._application(environ, start_response)

    def _how(self, environ: dict[str, Any]) -> str:
        if environ["REQUEST_METHOD"] != "PUT" or not self._orders.exists():
            return ""
        how, ending, times = self._orders.read_text().split()
        if not environ["PATH_INFO"].endswith(ending) or not int(times):
            return ""
        self._orders.write_text(f"{how} {ending} {int(times) - 1}")
        return how


def main(orders: Path) -> None:
    """Serve until the process is ended; the port is printed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server(
        "127.0.0.1", 0, Failing(DomainDispatcherApplication(create_backend_app), orders), threaded=True
    )
    print(server.server_port, flush=True)
    server.serve_forever()


def environment(port: int) -> Iterator[tuple[str, str]]:
    """What a run needs to find it."""
    yield "FSSPEC_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}"
    yield "AWS_ACCESS_KEY_ID", "key"
    yield "AWS_SECRET_ACCESS_KEY", "planted-secret-of-the-bucket"
    yield "AWS_DEFAULT_REGION", "us-east-1"
    yield "AWS_MAX_ATTEMPTS", "3"


if __name__ == "__main__":
    os.chdir("/")
    main(Path(sys.argv[1]))
