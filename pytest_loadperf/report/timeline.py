"""One trial second by second: the numbers of each second's windows, and what the service used meanwhile."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import Sample, Trial, Window
from pytest_loadperf.plan import Stage

_TOO_SHORT_S = 0.2  # a last second of which less than this belongs to the load says nothing about rates


@dataclass(frozen=True)
class Stretch:
    """From when to when a stage lasted, in seconds since the load began."""

    stage: Stage
    start: float
    end: float


@dataclass(frozen=True)
class Second:
    """The numbers of all endpoints in one second; latencies are NaN where no request was sent."""

    at: int
    users: float
    rps: float
    failures: float  # a second
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Usage:
    """What the replicas used in one second: the least, the mean and the most of one of them."""

    at: int
    cpu_percent: tuple[float, float, float]
    memory_bytes: tuple[float, float, float]
    replicas: int  # that were there


def stretches(trial: Trial) -> list[Stretch]:
    """When each stage ran: until the next one began, the last one for as long as it was measured."""
    begins = [record.began_s for record in trial.stages]
    ends = [*begins[1:], *(record.began_s + record.summary.duration_s for record in trial.stages[-1:])]
    return [Stretch(record.stage, begin, end) for record, begin, end in zip(trial.stages, begins, ends, strict=True)]


def seconds_of(trial: Trial) -> list[Second]:
    """Every second of the load, also those in which nothing was sent; what was put together is spread evenly."""
    begins: defaultdict[int, list[Window]] = defaultdict(list)
    for window in trial.windows:
        if window.stage >= 0:
            begins[window.second].append(window)
    end = max((stretch.end for stretch in stretches(trial)), default=math.inf)
    found: dict[int, Second] = {}
    for begin, windows in begins.items():
        lasts = max(window.seconds for window in windows)
        numbers = _second(begin, windows, min(lasts, end - begin))
        found |= {at: replace(numbers, at=at) for at in range(begin, begin + lasts)}
    return [found.get(at) or _second(at, (), 1.0) for at in range(max(found, default=-1) + 1)]


def _second(at: int, windows: Sequence[Window], covered: float) -> Second:
    histogram = Histogram.merged(window.histogram for window in windows)
    whole = covered >= _TOO_SHORT_S
    p50, p95, p99 = histogram.percentiles_ms((50, 95, 99))
    return Second(
        at=at,
        users=max((window.users for window in windows), default=math.nan),
        rps=sum(window.requests for window in windows) / covered if whole else math.nan,
        failures=sum(window.failures for window in windows) / covered if whole else math.nan,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def usage_of(trial: Trial) -> list[Usage]:
    """What the service used in each second of the load in which it was sampled."""
    end = max((stretch.end for stretch in stretches(trial)), default=math.inf)
    by_second: defaultdict[int, defaultdict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in trial.samples:
        middle_s = sample.at_s - 0.5  # a sample is taken when the second it tells of has passed
        if 0 <= middle_s < end:
            by_second[math.floor(middle_s)][sample.replica].append(sample)
    # A second between two samples may have none, since they do not keep perfect time: the replica was there then.
    lives: dict[int, tuple[int, int]] = {}
    for at, replicas in sorted(by_second.items()):
        lives |= {replica: (lives.get(replica, (at, at))[0], at) for replica in replicas}
    return [
        _usage(at, replicas.values(), sum(first <= at <= last for first, last in lives.values()))
        for at, replicas in sorted(by_second.items())
    ]


def _usage(at: int, replicas: Collection[Sequence[Sample]], there: int) -> Usage:
    """Samples of one replica that fell into one second are one: the sampler does not keep perfect time."""
    cpu = [fmean(sample.cpu_percent for sample in samples) for samples in replicas]
    memory = [fmean(sample.memory_bytes for sample in samples) for samples in replicas]
    return Usage(at, (min(cpu), fmean(cpu), max(cpu)), (min(memory), fmean(memory), max(memory)), there)
