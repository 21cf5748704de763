"""What crosses between pytest and the generator's process: length-framed plain data."""

from __future__ import annotations

import json
import os
import select
import struct
from dataclasses import dataclass, field
from typing import Literal

from pytest_loadperf.codec import from_plain, to_plain
from pytest_loadperf.model import Plan, Window

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Began:
    """The users are imported and the first stage begins."""

    monotonic_s: float  # the machine's monotonic clock, which parent and child share
    users: tuple[str, ...]  # names of the user classes


@dataclass(frozen=True)
class StageBegan:
    """A stage begins."""

    at_s: float  # since the load began
    name: str


@dataclass(frozen=True)
class Second:
    """What was measured since the last one."""

    at_s: float
    users: int
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class End:
    """The load is over; the counts are compared with Locust's own."""

    lasted_s: float  # until the last stage ended, without the wait for answers
    requests: int
    failures: int
    locust_requests: int
    locust_failures: int
    unanswered: int = 0  # requests that the windows hold besides
    unfinished_users: int = 0
    user_errors: dict[str, int] = field(default_factory=dict)
    cpu_percent: float = 0.0  # mean of the generator's process over the load
    saturated_s: int = 0  # seconds in which it used a whole core


@dataclass(frozen=True)
class Failed:
    """The load could not be run, or not to its end."""

    why: Literal["usage", "refused", "error"]
    text: str


Message = Plan | Began | StageBegan | Second | End | Failed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Plan, Began, StageBegan, Second, End, Failed)}


def send(descriptor: int, message: Message) -> None:
    """Write one message; raises BrokenPipeError when the other side is gone."""
    frame = json.dumps([type(message).__name__, to_plain(message)]).encode()
    view = memoryview(_LENGTH.pack(len(frame)) + frame)
    while view:
        view = view[os.write(descriptor, view) :]


class Reader:
    """Reads messages from a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def next(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None at the end of the pipe. Raises TimeoutError when the pipe stays silent."""
        head = self._exactly(_LENGTH.size, timeout_s)
        if head is None:
            return None
        frame = self._exactly(_LENGTH.unpack(head)[0], timeout_s)
        if frame is None:
            return None
        name, plain = json.loads(frame)
        return from_plain(_KINDS[name], plain)

    def _exactly(self, size: int, timeout_s: float | None) -> bytes | None:
        parts = bytearray()
        while len(parts) < size:
            if timeout_s is not None and not select.select([self._descriptor], [], [], timeout_s)[0]:
                raise TimeoutError
            part = os.read(self._descriptor, size - len(parts))
            if not part:
                return None
            parts += part
        return bytes(parts)
