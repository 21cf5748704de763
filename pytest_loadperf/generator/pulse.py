"""How this process and its machine fare, second by second: latencies are only as good as the generator is awake."""

from __future__ import annotations

from contextlib import suppress
from math import nan
from pathlib import Path
from time import monotonic, process_time
from typing import NamedTuple

import psutil

from pytest_loadperf.model import Pulse

# Linux only. The first line of the one ends in the microseconds that something waited for memory; the second number
# of the other is the nanoseconds that the main thread, in which the loop runs, waited for a core.
_PRESSURE, _SCHEDULED = Path("/proc/pressure/memory"), Path("/proc/self/schedstat")


class _Reading(NamedTuple):
    """Clocks, in seconds; what they have advanced between two readings is what was used."""

    wall: float
    own: float
    waited: float
    busy: float
    steal: float
    machine: float  # of all cores together
    stalled: float


class PulseMeter:
    """Takes the pulse of this process from one call to the next."""

    def __init__(self) -> None:
        self._last = _read()

    def take(self, at_s: float, lag_s: float, users: int) -> Pulse:
        """What happened since the last one; the caller knows how late its loop was, and its users."""
        before, self._last = self._last, _read()
        used = _Reading(*(now - then for now, then in zip(self._last, before, strict=True)))
        return Pulse(
            at_s=at_s,
            cpu_percent=_percent(used.own, used.wall),
            lag_ms=lag_s * 1000,
            lasted_s=used.wall,
            waited_percent=_percent(used.waited, used.wall),
            busy_percent=_percent(used.busy, used.wall),
            steal_percent=_percent(used.steal, used.machine),
            stalled_percent=_percent(used.stalled, used.wall),
            users=users,
        )


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole > 0 else nan


def _read() -> _Reading:
    return _Reading(monotonic(), process_time(), _waited_s(), *_machine(), _stalled_s())


def _machine() -> tuple[float, float, float]:
    """Busy, steal and all of its time."""
    try:
        times = psutil.cpu_times()
    except OSError:  # a process that may open no more files can't look
        return nan, nan, nan
    steal = getattr(times, "steal", nan)
    # Linux counts what guests use as the user's time, too.
    whole = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    return whole - idle, steal, whole


def _waited_s() -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    return nan


def _stalled_s() -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(_PRESSURE.read_text().splitlines()[0].rpartition("total=")[2]) / 1e6
    return nan
