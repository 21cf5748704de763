"""What a service uses, second by second."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_loadperf.model import Sample

_SHORTEST_S = 0.2  # a rate over less is noise; what it holds goes into the next one
_PROMPT_S = 0.15  # how long the end of a load waits for the last sample, where that is not the meter's to say
_OLD_S = 0.5  # a stage that lasts as long has a sample
_LOOK_EVERY_S = 0.02  # while the end of a load waits


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
def sampled(
    meters: Mapping[int, Meter], began: float, every_s: float = 1.0, patience_s: float = 0.0
) -> Iterator[list[Sample]]:
    """A list that fills with samples in the background while the context lasts.

    The meters are those of the replicas by their numbers, and may come and go; a number that went does not come again.
    Where a meter has nothing to tell of the load's last moments yet, its end waits for that, `patience_s` at most.
    """
    sampling = _Sampling(meters, began, every_s, patience_s)
    thread = threading.Thread(target=sampling.run, name="loadperf-sampler", daemon=True)
    thread.start()
    try:
        yield sampling.samples
    except BaseException:
        sampling.patience_s = 0.0  # what went wrong is told at once
        raise
    finally:
        sampling.ended.set()
        thread.join(sampling.patience_s + _PROMPT_S)


class _Sampling:
    """Looks at all meters every so often, and adds a sample for what is new."""

    def __init__(self, meters: Mapping[int, Meter], began: float, every_s: float, patience_s: float) -> None:
        self._meters = meters
        self._began = began
        self._every_s = every_s
        self._last: dict[int, Reading | None] = {}
        self.patience_s = patience_s
        self.samples: list[Sample] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """From the load's beginning to its end."""
        self._last = {replica: meter.begin() for replica, meter in self._meters.items()}
        over = False
        while not over:
            elapsed_s = time.monotonic() - self._began
            over = self.ended.wait(self._every_s - elapsed_s % self._every_s)
            self._look()
        ended = time.monotonic()
        while (
            any(_is_old(self._last.get(replica), ended) for replica in list(self._meters))
            and time.monotonic() < ended + self.patience_s
        ):
            time.sleep(_LOOK_EVERY_S)
            self._look(ended)

    def _look(self, until: float = math.inf) -> None:
        """Take what each meter tells; of an answer that comes after the end, all that was used is the load's."""
        for replica, meter in list(self._meters.items()):
            if replica not in self._last:  # what it used before it was ready is not the load's
                self._last[replica] = meter.begin()
                continue
            now = meter.latest()
            if now is not None and now.at > until:
                now = replace(now, at=until)
            self._last[replica] = _add(self.samples, replica, self._began, self._last[replica], now)


def _is_old(last: Reading | None, ended: float) -> bool:
    return last is None or ended - last.at > _OLD_S


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
