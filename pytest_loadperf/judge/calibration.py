"""How much the numbers of a load differ when nothing has changed, and what may be demanded of them then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev

from pytest_loadperf.judge.metrics import Metric, series_of
from pytest_loadperf.judge.paired import PAIRS_NEEDED, Pairs
from pytest_loadperf.judge.regression import own_error
from pytest_loadperf.judge.rule import Scale, Standing, scale_of
from pytest_loadperf.records import LoadRecord


@dataclass(frozen=True)
class Calibration:
    """One series over the trials of an unchanged service, in the metric's base unit."""

    metric: Metric
    runs: int
    centre: float
    spread: float  # standard deviation: of the logarithms, so 0.02 is 2 %; of the rates themselves for a failure rate
    visible: float  # from which value on one run would be suspect, beside so many like these
    beside: float  # from which value on half as many pairs, side by side, would show a change

    @property
    def change(self) -> float:
        """The smallest change that one run shows, against the centre; for a failure rate in points, 0 to 1."""
        return self._from_centre(self.visible)

    @property
    def change_beside(self) -> float:
        """The smallest change that half as many pairs show, side by side."""
        return self._from_centre(self.beside)

    def _from_centre(self, value: float) -> float:
        return value - self.centre if self.metric.name == "failure_rate" else value / self.centre - 1

    @property
    def threshold(self) -> str:
        """A limit that would hold as long as nothing changes, rounded away from the centre: 'p95@rush < 58ms'."""
        up = self.visible >= self.centre
        limit = self.metric.kind.show(_rounded(self.visible, up), 2).replace(" ", "")
        return f"{self.metric} {'<' if up else '>'} {limit}"


def calibrations(load: LoadRecord) -> list[Calibration]:
    """Every series of a load that can be told of."""
    return [made for metric in series_of(load) if (made := _calibration(metric, load)) is not None]


def _calibration(metric: Metric, load: LoadRecord) -> Calibration | None:
    scale, worse = scale_of(metric.name), metric.worse
    runs = [replace(load, trials=(trial,)) for trial in load.trials]
    runs = [each for each in runs if math.isfinite(scale.forward(metric.value(each)))]
    if len(runs) < 2 * PAIRS_NEEDED:
        return None
    values = [metric.value(each) for each in runs]
    standing = Standing([values], scale, worse=worse, own_error=max(own_error(metric, each) for each in runs))
    pairs = Pairs([*zip(values[::2], values[1::2], strict=False)], scale, worse=worse)
    return Calibration(
        metric, len(values), median(values), _spread(values, scale), standing.visible, pairs.shown(standing.centre)
    )


def _spread(values: Sequence[float], scale: Scale) -> float:
    return stdev(map(math.log, values)) if scale.relative else stdev(values)


def _rounded(value: float, up: bool) -> float:
    """The value with two digits, away from zero or towards it."""
    if value <= 0:
        return 0.0
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    steps = value / digit
    return digit * (math.ceil(steps - 1e-9) if up else math.floor(steps + 1e-9))
