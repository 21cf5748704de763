"""How much the numbers of a load differ when nothing has changed, and what may be demanded of them then."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev

from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.rule import RATIO, SHARE, Scale, Standing
from pytest_loadperf.measure.summary import stages_of, summary_of
from pytest_loadperf.records import LoadRecord

_METRICS = ("p50", "p95", "p99", "failure_rate", "rps")


@dataclass(frozen=True)
class Calibration:
    """One series over the trials of an unchanged service, in the metric's base unit."""

    metric: Metric
    runs: int
    centre: float
    spread: float  # standard deviation: of the logarithms, so 0.02 is 2 %; of the rates themselves for a failure rate
    visible: float  # from which value on one run would be suspect, beside so many like these

    @property
    def change(self) -> float:
        """The smallest change that one run shows, against the centre; for a failure rate in points, 0 to 1."""
        return self.visible / self.centre - 1 if self.metric.name != "failure_rate" else self.visible - self.centre

    @property
    def threshold(self) -> str:
        """A limit that would hold as long as nothing changes, rounded away from the centre: 'p95@rush < 58ms'."""
        up = self.visible >= self.centre
        limit = self.metric.kind.show(_rounded(self.visible, up), 2).replace(" ", "")
        return f"{self.metric} {'<' if up else '>'} {limit}"


def calibrations(load: LoadRecord) -> list[Calibration]:
    """Every series of a load's measured stages, and p95 of every endpoint."""
    return [made for metric in _series(load) if (made := _calibration(metric, load)) is not None]


def _series(load: LoadRecord) -> Iterator[Metric]:
    stages = dict.fromkeys(record.stage.name for record in stages_of(load) if record.summary.requests)
    for stage in stages:
        named = stage if len(stages) > 1 else None
        yield from (Metric(name, stage=named) for name in _METRICS)
        whole = summary_of(load, stage)
        endpoints = list(whole.endpoints) if whole else []
        yield from (Metric("p95", endpoint, named) for endpoint in endpoints if len(endpoints) > 1)


def _calibration(metric: Metric, load: LoadRecord) -> Calibration | None:
    values = [metric.value(replace(load, trials=(trial,))) for trial in load.trials]
    values = [value for value in values if not math.isnan(value)]
    if len(values) < 2:
        return None
    scale = SHARE if metric.name == "failure_rate" else RATIO
    standing = Standing([values], scale, worse=-1.0 if metric.name == "rps" else 1.0)
    return Calibration(metric, len(values), median(values), _spread(values, scale), standing.visible)


def _spread(values: Sequence[float], scale: Scale) -> float:
    return stdev(map(math.log, values)) if scale.relative else stdev(values)


def _rounded(value: float, up: bool) -> float:
    """The value with two digits, away from zero or towards it."""
    if value <= 0:
        return 0.0
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    steps = value / digit
    return digit * (math.ceil(steps - 1e-9) if up else math.floor(steps + 1e-9))
