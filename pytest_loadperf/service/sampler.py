"""What a service uses, second by second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from pytest_loadperf.model import Sample

_SHORTEST_S = 0.2  # a rate over less is noise; what it holds goes into the next one
_PROMPT_S = 0.15  # how long the end of a load waits for the last sample


@dataclass(frozen=True)
class Reading:
    """The state of one replica at a moment of `time.monotonic()`; `cpu_s` has been counting since its start."""

    at: float
    cpu_s: float
    memory_bytes: int


class Meter(Protocol):
    """Reads one replica, without ever raising: a service that died is `check`'s to tell of."""

    def begin(self) -> Reading | None:
        """How things stand now; None where that can't be known."""

    def latest(self) -> Reading | None:
        """The newest reading; the same again if there is no newer one."""


@contextmanager
def sampled(meters: Sequence[Meter], began: float, every_s: float = 1.0) -> Iterator[list[Sample]]:
    """A list that fills with samples in the background while the context lasts."""
    samples: list[Sample] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=_collect, args=(meters, began, every_s, samples, stop), name="loadperf-sampler", daemon=True
    )
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join(_PROMPT_S)


def _collect(
    meters: Sequence[Meter], began: float, every_s: float, samples: list[Sample], stop: threading.Event
) -> None:
    last = [meter.begin() for meter in meters]
    stopped = False
    while not stopped:
        elapsed_s = time.monotonic() - began
        stopped = stop.wait(every_s - elapsed_s % every_s)
        for replica, meter in enumerate(meters):
            last[replica] = _add(samples, replica, began, last[replica], meter.latest())


def _add(
    samples: list[Sample], replica: int, began: float, before: Reading | None, now: Reading | None
) -> Reading | None:
    """Add the sample between two readings; returns the one that the next sample starts from."""
    if now is None or before is None:
        return before or now
    span_s = now.at - before.at
    if span_s < _SHORTEST_S:
        return before
    # Less than before: a process of the tree ended and took its count with it.
    cpu_percent = max(0.0, now.cpu_s - before.cpu_s) / span_s * 100
    samples.append(Sample(now.at - began, replica, cpu_percent, now.memory_bytes))
    return now
