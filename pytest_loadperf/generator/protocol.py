"""What crosses the pipes of the generator's processes: length-framed plain data."""

from __future__ import annotations

import json
import os
import select
import struct
import traceback
from dataclasses import dataclass, field
from typing import Literal, get_args

from pytest_loadperf.codec import from_plain, to_plain
from pytest_loadperf.errors import GeneratorError, HostRefused, LoadperfError, UsageFault
from pytest_loadperf.model import ArrivalRecord, Pulse, Window
from pytest_loadperf.plan import Plan

_LENGTH = struct.Struct(">I")
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class Join:
    """In place of a plan: the process is to be a worker of a generator that listens there."""

    host: str
    port: int
    number: int | None = None  # of a worker that the generator has started itself
    folder: str = ""  # where a worker from elsewhere puts the code that it is sent
    code: str = ""  # the folder in which it has that code already
    home: str = ""  # whose process it is: of these there is one at a time
    token: str = field(default="", repr=False)  # that it has to show


@dataclass(frozen=True)
class Waiting:
    """The load has not begun yet, or somebody was refused while it runs."""

    text: str  # what it waits for, or who it was


@dataclass(frozen=True)
class Began:
    """The users are imported and the first stage begins."""

    monotonic_s: float  # the machine's monotonic clock, which parent and child share


@dataclass(frozen=True)
class StageBegan:
    """A stage begins."""

    at_s: float  # since the load began
    name: str


@dataclass(frozen=True)
class Finishing:
    """The last stage is over; users finish what they are doing."""


@dataclass(frozen=True)
class Second:
    """What was measured since the last one."""

    at_s: float
    users: int
    windows: tuple[Window, ...] = ()
    pulses: tuple[Pulse, ...] = ()


@dataclass(frozen=True)
class LocustPage:
    """Locust's own page about the load, or why there is none."""

    html: str = ""
    fault: str = ""


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
    unseen_users: int = 0  # of those, the ones that waited for what nobody counts
    faults: tuple[str, ...] = ()  # why this is not the load that was asked for
    user_errors: dict[str, int] = field(default_factory=dict)
    arrivals: tuple[ArrivalRecord | None, ...] = ()  # of each stage
    lost_workers: tuple[str, ...] = ()  # which, when and how
    unchecked_requests: int = 0  # what the windows hold of workers that could not tell their counts
    unchecked_failures: int = 0


@dataclass(frozen=True)
class Failed:
    """The load could not be run, or not to its end."""

    why: Literal["refused", "error"]
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """In our words where they say it, else with the traceback through the user's code."""
        if isinstance(error, HostRefused):
            return cls("refused", str(error))
        if isinstance(error, LoadperfError):
            return cls("error", str(error))
        return cls("error", "".join(traceback.format_exception(error)).rstrip())


@dataclass(frozen=True)
class Stop:
    """To a generator: end the stages early."""


@dataclass(frozen=True)
class Addresses:
    """To a generator: its users go to these from now on."""

    urls: tuple[str, ...]


Order = Stop | Addresses  # what a generator is told while it runs
Message = Plan | Join | Stop | Addresses | Waiting | Began | StageBegan | Finishing | Second | LocustPage | End | Failed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}


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
        self._arrived = bytearray()

    def next(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None at the end of the pipe. Raises TimeoutError when the pipe stays silent."""
        if not self._has(_LENGTH.size, timeout_s):
            return None
        size = _LENGTH.size + _LENGTH.unpack_from(self._arrived)[0]
        if size > _MOST_BYTES:
            raise _no_message(f"it begins with {bytes(self._arrived)!r}")
        if not self._has(size, timeout_s):
            return None
        frame = bytes(self._arrived[_LENGTH.size : size])
        del self._arrived[:size]
        try:
            name, plain = json.loads(frame)
            return from_plain(_KINDS[name], plain)
        except (ValueError, KeyError, TypeError, RecursionError, UsageFault) as error:
            raise _no_message(f"{type(error).__name__} in {len(frame)} bytes") from None  # it may hold secrets

    def _has(self, size: int, timeout_s: float | None) -> bool:
        """Wait until so many bytes are there; False at the end of the pipe."""
        while len(self._arrived) < size:
            if timeout_s is not None and not _readable(self._descriptor, timeout_s):
                raise TimeoutError
            part = os.read(self._descriptor, size - len(self._arrived))
            if not part:
                return False
            self._arrived += part
        return True


def _no_message(why: str) -> GeneratorError:
    return GeneratorError(
        f"what came from the other process is no message: {why}. Has user code written to a file descriptor that is "
        "not its own?"
    )


def _readable(descriptor: int, timeout_s: float) -> bool:
    waiting = select.poll()  # unlike select(), it takes any descriptor
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(timeout_s * 1000))
