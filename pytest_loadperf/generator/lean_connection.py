"""One connection: a request's bytes out, an answer's bytes in, at the lowest price that gevent allows.

What it saves: the socket stays watched for as long as it lives, so that a request costs no epoll_ctl, no Waiter and no
Timeout; one timer per connection runs past many requests and looks at the deadline only when it fires. A connection
that the server closes while nobody asks is noticed by the same watcher.
"""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import Any
from weakref import ReferenceType, ref

import gevent
import gevent.socket
from gevent import get_hub, getcurrent
from gevent.monkey import get_original

from pytest_loadperf.generator.lean_answer import (
    HEAD_ENDS,
    INTERIM,
    LONGEST_HEAD,
    Body,
    Head,
    IncompleteAnswer,
    MalformedAnswer,
    NoAnswer,
    Parser,
    check_beginning,
    read_head,
)

_READ, _WRITE = 1, 2  # gevent's io events
AT_ONCE = 64 * 1024  # bytes


class DeadlinePassed(TimeoutError):
    """What was asked for did not come in time; whoever set the deadline knows how long that was."""


class Connection:
    """A connected socket; it closes itself after whatever leaves it in an unknown state."""

    open = False

    def __init__(self, connected: gevent.socket.socket) -> None:
        connected.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        # From here on a plain non-blocking socket: gevent's own would look for the loop's state at every call.
        self._socket = get_original("socket", "socket")(fileno=connected.detach())
        self._socket.setblocking(False)
        self._hub = get_hub()
        self._switch_to_hub = self._hub.switch
        self._waiting: Any = None  # the greenlet that waits for this connection
        self._deadline = self._alarm_at = inf
        self._alarm: Any = None
        self._readable = self._hub.loop.io(self._socket.fileno(), _READ)
        self._readable.start(_wake, ref(self))  # a weak one: the loop keeps what it watches for alive
        self._heard = True  # all of the request
        self.reused = False
        self.open = True

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it, once."""
        if self.open:
            self.open = False
            self._readable.stop()
            self._readable.close()
            if self._alarm is not None:
                self._alarm.stop()
                self._alarm.close()
            self._socket.close()

    def is_fresh(self, certainly: bool) -> bool:
        """Whether nothing came, not even an end, since the last answer; `certainly` asks the socket itself."""
        if not self._readable.active:
            return False
        try:
            return not (certainly and self._is_answering())
        except OSError:
            return False

    def ask(self, request: bytes, deadline: float, bodiless: bool) -> tuple[Head, bytes]:
        """The answer to a request, complete."""
        try:
            data = self._first_bytes(request, deadline)
            end = data.find(HEAD_ENDS) + 4
            if end > 3:
                head = read_head(data[:end], bodiless)
                if len(data) - end == head.length and head.keep_alive and self._heard:  # nearly always
                    return head, data[end:]
            head, body = self._longer(data, bodiless)
            content = b"".join(body)
            self.settle(head, body)
            return head, content
        except BaseException:
            self.close()
            raise

    def ask_streaming(self, request: bytes, deadline: float, bodiless: bool) -> tuple[Head, Body]:
        """The answer's head, and its body yet to be read."""
        try:
            return self._longer(self._first_bytes(request, deadline), bodiless)
        except BaseException:
            self.close()
            raise

    def wait_until(self, deadline: float) -> None:
        """A new deadline for what is still to be read."""
        self._deadline = deadline

    def settle(self, head: Head, body: Body) -> None:
        """All of an answer was read: close, unless the next request can follow."""
        if not (head.keep_alive and body.clean and self._heard):
            self.close()
        elif not self._readable.active:
            self._readable.start(_wake, ref(self))

    def _first_bytes(self, request: bytes, deadline: float) -> bytes:
        self._deadline = deadline
        self._heard = self._send(request)
        try:
            data = self._receive()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise NoAnswer("the server closed the connection without an answer") from error
        if not data:
            raise NoAnswer("the server closed the connection without an answer")
        return data

    def _longer(self, data: bytes, bodiless: bool) -> tuple[Head, Body]:
        while True:
            raw, data = self._whole_head(data)
            head = read_head(raw, bodiless)
            if head.length != INTERIM:
                return head, Body(raw, head, data, self._receive)

    def _whole_head(self, data: bytes) -> tuple[bytes, bytes]:
        """A head with its empty line, and what follows it."""
        gathered, seen, parser = bytearray(data), 0, Parser()
        while (end := gathered.find(HEAD_ENDS, seen)) < 0 and len(gathered) <= LONGEST_HEAD:
            check_beginning(gathered)
            parser.take(data)  # what can't become a head is told at once
            seen = max(0, len(gathered) - len(HEAD_ENDS) + 1)
            data = self._receive()
            if not data:
                raise IncompleteAnswer("the server closed the connection in the middle of the head")
            gathered += data
        if not 0 <= end <= LONGEST_HEAD:
            raise MalformedAnswer(f"the answer's head is longer than {LONGEST_HEAD // 1024} KiB")
        end += len(HEAD_ENDS)
        return bytes(gathered[:end]), bytes(gathered[end:])

    def _send(self, data: bytes) -> bool:
        """Send it; False if the server speaks, or closes, before it has heard everything."""
        try:
            sent = self._socket.send(data)
            return sent == len(data) or self._send_on(memoryview(data)[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _send_on(self, rest: memoryview) -> bool:
        writable = self._hub.loop.io(self._socket.fileno(), _WRITE)
        writable.start(_wake, ref(self))
        try:
            while rest:
                self._wait()
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:  # it is readable, not writable
                    if self._is_answering():
                        return False
        finally:
            writable.stop()
            writable.close()
        return True

    def _is_answering(self) -> bool:
        """Whether an answer, or the end, comes while a request is being sent."""
        try:
            self._socket.recv(1, gevent.socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True

    def _receive(self) -> bytes:
        """The next bytes; none at the end."""
        while True:
            self._wait()
            try:
                data: bytes = self._socket.recv(AT_ONCE)
            except BlockingIOError:
                continue
            return data

    def _wait(self) -> None:
        """Until something can be read (or, while sending, written)."""
        if self._deadline < self._alarm_at:
            self._set_alarm()
        if not self._readable.active:  # a stream's bytes came while nobody read
            self._readable.start(_wake, ref(self))
        self._waiting = getcurrent()
        try:
            self._switch_to_hub()
        finally:
            self._waiting = None

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.stop()
            self._alarm.close()
        self._alarm_at = self._deadline
        self._alarm = self._hub.loop.timer(max(0.0, self._deadline - perf_counter()))
        self._alarm.start(_ring, ref(self))


def _wake(connection: ReferenceType[Connection]) -> None:
    """Something can be read or written."""
    alive = connection()
    if alive is None:
        return
    if alive._waiting is None:
        alive._readable.stop()  # it would be called again and again
    else:
        alive._waiting.switch()


def _ring(connection: ReferenceType[Connection]) -> None:
    """The alarm's time has come, which is the deadline's only if no later request has moved it."""
    alive = connection()
    if alive is None:
        return
    alive._alarm_at = inf
    if alive._waiting is None:
        return
    if alive._deadline > perf_counter():
        alive._set_alarm()
    else:
        alive._waiting.throw(DeadlinePassed())
