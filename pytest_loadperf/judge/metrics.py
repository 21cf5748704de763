"""What a threshold can be about: each metric's units, and its value in a load's record."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_loadperf.measure.summary import cpu_percent_of, measured, memory_bytes_of, stages_of, summary_of
from pytest_loadperf.model import StageRecord, Summary
from pytest_loadperf.quantity import (
    show_bytes,
    show_ms,
    show_number,
    show_per_second,
    show_percent,
    show_rate_percent,
)
from pytest_loadperf.records import LoadRecord

Show = Callable[[float, int], str]
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Kind:
    """What kind of quantity a metric is: the units accepted for it, each with its factor, and how it is shown."""

    noun: str
    units: dict[str, Decimal]
    example: str
    step: str  # an example of a tolerance
    show: Show

    def shown(self, *values: float) -> list[str]:
        """The values with as many digits as tell them apart: '250.4 ms' breaks '< 250 ms', '250 ms' would puzzle."""
        for digits in range(3, _MOST_DIGITS):
            texts = [self.show(value, digits) for value in values]
            if len(set(texts)) == len(set(values)):
                break
        return texts

    @property
    def in_percent(self) -> bool:
        """Whether it is itself counted in percent, so that a tolerance in % means percentage points."""
        return "%" in self.units


LATENCY = "a latency"
_LATENCY = Kind(LATENCY, {"ms": Decimal(1), "s": Decimal(1000)}, "250ms", "20ms", show_ms)
_SHARE = Kind("a failure rate", {"%": Decimal("0.01")}, "1%", "0.5%", show_rate_percent)
_THROUGHPUT = Kind("a throughput", {"/s": Decimal(1)}, "100/s", "10/s", show_per_second)
_COUNT = Kind("a count", {"": Decimal(1)}, "100", "10", show_number)
_CPU = Kind("CPU use", {"%": Decimal(1)}, "80%", "5%", show_percent)
_MEMORY = Kind(
    "memory",
    {"MB": Decimal(10**6), "MiB": Decimal(2**20), "GB": Decimal(10**9), "GiB": Decimal(2**30)},
    "512MiB",
    "16MiB",
    show_bytes,
)

_OF_REQUESTS: dict[str, tuple[Kind, Callable[[Summary], float]]] = {
    "mean": (_LATENCY, lambda summary: summary.mean_ms),
    "min": (_LATENCY, lambda summary: summary.min_ms),
    "max": (_LATENCY, lambda summary: summary.max_ms),
    "rps": (_THROUGHPUT, lambda summary: summary.rps),
    "requests": (_COUNT, lambda summary: float(summary.requests)),
    "failures": (_COUNT, lambda summary: float(summary.failures)),
    "failure_rate": (_SHARE, lambda summary: summary.failure_rate),
}
_OF_SERVICE: dict[str, tuple[Kind, Callable[[Sequence[StageRecord]], float]]] = {
    "service.cpu": (_CPU, cpu_percent_of),
    "service.memory": (_MEMORY, memory_bytes_of),
}
_OF_CAPACITY = {"capacity.users": _COUNT, "capacity.rate": _THROUGHPUT, "capacity.rps": _THROUGHPUT}
_TOLD = ("p50", "p95", "p99", "failure_rate", "rps")
_TOLD_OF_ENDPOINTS = ("p50", "p95", "failure_rate")
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,6})?)")
NAMES = ("p50 … p99.99", *_OF_REQUESTS, *_OF_SERVICE, *_OF_CAPACITY)


@dataclass(frozen=True)
class Metric:
    """One number of a load: of all its measured stages and endpoints, or of one of them."""

    name: str
    endpoint: str | None = None
    stage: str | None = None

    @property
    def of_service(self) -> bool:
        """Whether it is measured on the service, which knows of no endpoints."""
        return self.name in _OF_SERVICE

    @property
    def of_capacity(self) -> bool:
        """Whether it is what a search found, whose stages are not known beforehand."""
        return self.name in _OF_CAPACITY

    @property
    def percent(self) -> float | None:
        """Which percentile of latency it is: 95.0; None if it is something else."""
        return _percent(self.name)

    @property
    def tail(self) -> float | None:
        """Which part of the requests (0 to 1) decides about a latency: 0.05 for p95, any for max and mean."""
        if self.kind.noun != LATENCY:
            return None
        return 0.0 if self.percent is None else 1 - self.percent / 100

    @property
    def worse(self) -> float:
        """1 where a larger value is a worse one, else -1."""
        return -1.0 if self.of_capacity or self.name in ("rps", "requests") else 1.0

    @property
    def kind(self) -> Kind:
        """What kind of quantity it is; KeyError if there is no such metric."""
        if self.percent is not None:
            return _LATENCY
        if self.of_capacity:
            return _OF_CAPACITY[self.name]
        return _OF_SERVICE[self.name][0] if self.of_service else _OF_REQUESTS[self.name][0]

    def __str__(self) -> str:
        endpoint = "" if self.endpoint is None else f"[{self.endpoint}]"
        stage = "" if self.stage is None else f"@{self.stage}"
        return f"{self.name}{endpoint}{stage}"

    def value(self, load: LoadRecord) -> float:
        """The load's number in base units (ms, 0 to 1, a second, bytes, % of a core); NaN where nothing was seen."""
        if self.of_service:
            return _OF_SERVICE[self.name][1](stages_of(load, self.stage))
        if self.of_capacity:
            return _found(load, self.name)
        summary = measured(load, self.stage, self.endpoint)
        if not summary.requests:
            return math.nan
        percent = self.percent
        return _OF_REQUESTS[self.name][1](summary) if percent is None else summary.percentile_ms(percent)

    def why_missing(self, load: LoadRecord) -> str:
        """Why `value` is NaN, and which stages and endpoints there are instead."""
        stopped = f"; the load was stopped early: {load.aborted}" if load.aborted else ""
        return self._what_is_missing(load) + stopped

    def _what_is_missing(self, load: LoadRecord) -> str:
        if self.of_capacity:
            return _no_capacity(load, self.name)
        if not stages_of(load, self.stage):
            return _no_stage(load, self.stage)
        if self.of_service:
            return f"the service's {self.name.removeprefix('service.')} was not sampled"
        where = "" if self.stage is None else f" in stage {self.stage!r}"
        whole = summary_of(load, self.stage)
        if self.endpoint is None or whole is None or not whole.requests:
            return f"no request was sent{where}"
        return f"no request to {self.endpoint!r}{where}; endpoints: {', '.join(whole.endpoints)}"


def _found(load: LoadRecord, name: str) -> float:
    """The highest load that held, or what it answered: of the trials, which may be those of a second search."""
    if load.capacity is None or name not in ("capacity.rps", f"capacity.{load.capacity.by}"):
        return math.nan
    if not load.capacity.size:
        return math.nan if load.capacity.limited else 0.0
    if name == "capacity.rps":
        return measured(load).rps
    stage = stages_of(load)[0].stage
    return float(stage.users or 0) if stage.schedule is None else stage.schedule.fastest


def _no_capacity(load: LoadRecord, name: str) -> str:
    if load.capacity is None:
        return "no capacity was looked for; capacity(…) makes a fixture that does"
    if not load.capacity.size:
        return load.capacity.limited
    return f"the search was by {load.capacity.by}; it knows capacity.{load.capacity.by} and capacity.rps, not {name}"


def _no_stage(load: LoadRecord, stage: str | None) -> str:
    run = dict.fromkeys(record.stage.name or "" for trial in load.trials for record in trial.stages)
    if not run:
        return "no stage was run"
    missing = "no stage is measured" if stage is None else f"no stage is called {stage!r}"
    return f"{missing}; stages: {', '.join(run)}"


def series_of(load: LoadRecord) -> Iterator[Metric]:
    """What is told of a load: of each measured stage that sent requests, and of each endpoint where it has several."""
    if load.capacity is not None:
        yield from (Metric(f"capacity.{name}") for name in (load.capacity.by, "rps"))
    stages = dict.fromkeys(record.stage.name for record in stages_of(load) if record.summary.requests)
    for stage in stages:
        named = stage if len(stages) > 1 else None
        yield from (Metric(name, stage=named) for name in (*_TOLD, *_OF_SERVICE))
        whole = summary_of(load, stage)
        endpoints = list(whole.endpoints) if whole else []
        if len(endpoints) > 1:
            yield from (Metric(name, endpoint, named) for endpoint in endpoints for name in _TOLD_OF_ENDPOINTS)


def is_metric(name: str) -> bool:
    """Whether there is such a metric."""
    return name in _OF_REQUESTS or name in _OF_SERVICE or name in _OF_CAPACITY or _percent(name) is not None


def _percent(name: str) -> float | None:
    match = _PERCENTILE.fullmatch(name)
    percent = float(match.group(1)) if match else 0.0
    return percent if percent > 0 else None  # two digits before the point keep it below 100
