"""A server that says, byte for byte and pause for pause, what a test tells it to."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

CLOSE = "close"
RESET = "reset"  # a TCP reset, which is how a process that died closes
DEAF = "deaf"  # answer without having read the body

Step = bytes | float | str | Callable[[socket.socket], None]  # what to send, how long to wait, what to do
Script = Sequence[Step]

_BLANK = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class ScriptedServer:
    """Answers each request as `script_for` its head says."""

    def __init__(
        self, script_for: Callable[[bytes], Script], listener: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        self._script_for = script_for
        self._listener = listener
        self._tls = tls
        self.requests: list[bytes] = []  # heads and bodies as they came
        self.connections = 0
        host, self.port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while self._answer(connection):
                    pass

    def _answer(self, connection: socket.socket) -> bool:
        request = _read_until_blank(connection)
        if not request:
            return False
        head = request[: request.index(_BLANK) + len(_BLANK)]
        script = self._script_for(head)
        if DEAF not in script:
            request = _read_on(connection, request, len(head) + _length(head))
        self.requests.append(request)
        return all(_does(step, connection) for step in script)


def _does(step: Step, connection: socket.socket) -> bool:
    """Do it; False if it ends the connection."""
    if isinstance(step, bytes):
        connection.sendall(step)
    elif isinstance(step, float):
        time.sleep(step)
    elif step == CLOSE:
        return False
    elif step == RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif callable(step):
        step(connection)
    return True


def _read_until_blank(connection: socket.socket) -> bytes:
    data = b""
    while _BLANK not in data:
        piece = connection.recv(2**16)
        if not piece:
            return b""
        data += piece
    return data


def _read_on(connection: socket.socket, begun: bytes, length: int) -> bytes:
    data = bytearray(begun)
    while len(data) < length:
        piece = connection.recv(2**20)
        if not piece:
            break
        data += piece
    return bytes(data)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


class InTurn:
    """Each request gets the next script, and then the last one again and again."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = list(scripts)
        self._lock = threading.Lock()

    def __call__(self, head: bytes) -> Script:
        with self._lock:
            return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]


def scripted(
    *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AbstractContextManager[ScriptedServer]:
    """A running server that goes through these scripts."""
    return serving(InTurn(scripts or [[OK]]), host, tls)


@contextmanager
def serving(
    script_for: Callable[[bytes], Script], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """A running server."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=512) as listener:
        server = ScriptedServer(script_for, listener, tls)
        thread = threading.Thread(target=server.accept, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
