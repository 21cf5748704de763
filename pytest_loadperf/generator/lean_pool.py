"""The connections of one user to one origin, and the streams that hold one for longer."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import gevent
import gevent.socket
from gevent.lock import Semaphore

from pytest_loadperf.generator.lean_answer import Body, Head, NoAnswer
from pytest_loadperf.generator.lean_connection import Connection, DeadlinePassed
from pytest_loadperf.generator.lean_request import Origin, RequestHead
from pytest_loadperf.generator.lean_tls import TlsConnection

A = TypeVar("A")
_LONGEST_S = 1e9  # gevent knows no endless timer


class Pool:
    """Connections to one origin: as many as are used at once, up to `most`."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, most: int) -> None:
        self._origin = origin
        self._tls = tls
        self._idle: list[Connection] = []
        self._turns = Semaphore(most)

    def ask(self, head: RequestHead, request: bytes, deadline: float, connect_s: float) -> tuple[Head, bytes]:
        """The answer to a request, complete."""
        connection, answer = self._asked(Connection.ask, head, request, deadline, connect_s)
        self.give_back(connection)
        return answer

    def stream(
        self, head: RequestHead, request: bytes, deadline: float, connect_s: float, read_s: float
    ) -> tuple[Head, Stream]:
        """The head of the answer, and its body to be read, each read within `read_s` seconds."""
        connection, (answer, body) = self._asked(Connection.ask_streaming, head, request, deadline, connect_s)
        return answer, Stream(self, connection, answer, body, read_s)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def give_back(self, connection: Connection) -> None:
        """The connection is free for the next request, unless it was closed."""
        if connection.open:
            connection.reused = True
            self._idle.append(connection)
        self._turns.release()

    def _asked(
        self,
        ask: Callable[[Connection, bytes, float, bool], A],
        head: RequestHead,
        request: bytes,
        deadline: float,
        connect_s: float,
    ) -> tuple[Connection, A]:
        connection = self._taken(head, deadline, connect_s)
        try:
            try:
                return connection, ask(connection, request, deadline, head.bodiless)
            except NoAnswer:  # the server closed it, just then
                if not (connection.reused and head.idempotent):
                    raise
            connection = self._opened(deadline, connect_s)
            return connection, ask(connection, request, deadline, head.bodiless)
        except BaseException:
            self.give_back(connection)
            raise

    def _taken(self, head: RequestHead, deadline: float, connect_s: float) -> Connection:
        if not self._turns.acquire(False) and not self._turns.acquire(timeout=min(_left(deadline), _LONGEST_S)):
            raise DeadlinePassed
        while self._idle:
            connection = self._idle.pop()
            # What is not idempotent is not asked twice (RFC 9110, 9.2.2), so here it has to be certain.
            if connection.is_fresh(certainly=not head.idempotent):
                return connection
            connection.close()
        try:
            return self._opened(deadline, connect_s)
        except BaseException:
            self._turns.release()
            raise

    def _opened(self, deadline: float, connect_s: float) -> Connection:
        seconds = min(connect_s, _left(deadline), _LONGEST_S)
        timer = gevent.Timeout(seconds)
        try:
            with timer:
                connected = _connected(self._origin)
                if self._tls is None:
                    return Connection(connected)
                return TlsConnection(connected, self._tls, self._origin.host)
        except gevent.Timeout as fired:
            if fired is not timer:
                raise  # a user's own
            raise TimeoutError(f"no connection within {seconds:.3g} s") from None


def _left(deadline: float) -> float:
    return max(0.0, deadline - perf_counter())


def _connected(origin: Origin) -> gevent.socket.socket:
    failure: OSError = ConnectionError(f"{origin.host} has no address")
    for family, kind, protocol, _, address in _addresses(origin):
        connecting = gevent.socket.socket(family, kind, protocol)
        try:
            connecting.connect(address)
        except BaseException as error:
            connecting.close()
            if not isinstance(error, OSError):
                raise
            failure = error
        else:
            return connecting
    raise failure


def _addresses(origin: Origin) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    try:
        found: list[tuple[int, int, int, str, tuple[str, int]]] = gevent.socket.getaddrinfo(
            origin.host, origin.port, type=gevent.socket.SOCK_STREAM
        )
    except UnicodeError as error:  # a label that is empty or too long
        raise ConnectionError(f"{origin.host!r} is no host name: {error}") from error
    return found


class Stream:
    """A body that is read while it comes; its connection is free again when all was read, and closed when dropped."""

    def __init__(self, pool: Pool, connection: Connection, head: Head, body: Body, read_s: float) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._head = head
        self._body = body
        self._pieces = iter(body)
        self._read_s = read_s
        self._left = memoryview(b"")

    def __del__(self) -> None:
        self.release()

    def read(self, size: int | None = None) -> bytes:
        """What has come, at most `size` bytes of it, or all to the end; nothing at the end."""
        if size is None:
            begun, self._left = bytes(self._left), memoryview(b"")
            return begun + b"".join(iter(self._next, b""))
        if not self._left:
            self._left = memoryview(self._next())
        piece, self._left = bytes(self._left[:size]), self._left[size:]
        return piece

    def release(self) -> None:
        """Read no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._pool.give_back(connection)

    def _next(self) -> bytes:
        if self._connection is None:
            return b""
        self._connection.wait_until(perf_counter() + self._read_s)
        try:
            piece = next(self._pieces, None)
        except DeadlinePassed:
            self.release()
            raise TimeoutError(f"no more of the answer within {self._read_s:g} s") from None
        except BaseException:
            self.release()
            raise
        if piece is not None:
            return piece
        self._connection.settle(self._head, self._body)
        self._pool.give_back(self._connection)
        self._connection = None
        return b""
