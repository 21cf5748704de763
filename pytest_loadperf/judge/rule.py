"""The rule: whether a number stands further from those of the comparable runs than chance would put it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_loadperf.judge.statistics import Expected, expected

RUNS_NEEDED = 5  # to tell how much runs differ; with fewer nobody is accused
UNLIKELY = 0.005  # how rarely chance alone may put a run that far out
BAND = 0.025  # of the runs are expected above the band that is drawn, and as many below it


@dataclass(frozen=True)
class Scale:
    """On which scale the runs of a metric spread evenly, so that Student's t may be asked."""

    forward: Callable[[float], float]
    back: Callable[[float], float]
    prior: float  # how much runs differ, before any was seen
    least: float  # what counts as a change at all: a part of the centre, or as much as this
    blind: float  # where only larger changes would be seen, a number that keeps its limit proves little; likewise
    relative: bool = False

    def step(self, centre: float) -> float:
        """The smallest change that counts, in the metric's own unit."""
        return centre * self.least if self.relative else self.least

    def hides(self, visible: float, centre: float, bound: float) -> bool:
        """Whether what would be seen is too large a change, and one that is beyond the limit."""
        change = abs(visible - centre)
        return change > abs(bound - centre) and change > (centre * self.blind if self.relative else self.blind)


RATIO = Scale(lambda value: math.log(value) if value > 0 else math.nan, math.exp, 0.05, 0.05, 0.5, relative=True)
SHARE = Scale(
    lambda rate: math.asin(math.sqrt(rate)),
    lambda angle: math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2,
    0.03,
    0.001,
    0.01,
)
COUNT = Scale(math.sqrt, lambda root: max(root, 0.0) ** 2, 0.5, 1.0, 10.0)
_SCALES = {"failure_rate": SHARE, "failures": COUNT}


def scale_of(metric: str) -> Scale:
    """The scale of a metric by its name."""
    return _SCALES.get(metric, RATIO)


def away(value: float, centre: float, scale: Scale) -> str:
    """How far a value is from the centre: '+12.3%', '+0.4 points' for a rate, '+3' for a count."""
    if scale is SHARE:
        return f"{_rounded((value - centre) * 100, 4):+.2g} points"
    return f"{_rounded(value / centre - 1, 3):+.1%}" if scale.relative else f"{_rounded(value - centre, 6):+g}"


def _rounded(number: float, digits: int) -> float:
    """Without what computing leaves of nothing, and without a minus before a zero."""
    return round(number, digits) + 0.0


class Standing:
    """Where the next run of a series should stand, and which values stand out."""

    def __init__(
        self, levels: Sequence[Sequence[float]], scale: Scale, *, worse: float = 1.0, own_error: float = 0.0
    ) -> None:
        """By the runs' values, level by level; `worse` is 1 where larger is worse, else -1."""
        self._scale = scale
        self._worse = worse
        self._expected: Expected = expected([[*map(scale.forward, level)] for level in levels], scale.prior, own_error)
        self.runs = sum(map(len, levels))
        self.centre = scale.back(self._expected.centre)

    @property
    def band(self) -> tuple[float, float]:
        """Between which values 95 of 100 runs were expected."""
        reach = self._expected.reach(BAND)
        return self._at(-reach), self._at(reach)

    @property
    def visible(self) -> float:
        """The first value for the worse that would stand out."""
        least = self.centre + self._worse * self._scale.step(self.centre)
        value = self._at(self._worse * self._expected.reach(UNLIKELY))
        return max(value, least) if self._worse > 0 else min(value, least)

    def is_worse(self, value: float) -> bool:
        """Whether the value stands out for the worse; of too few runs, none does."""
        return self._stands_out(value, self._worse)

    def is_better(self, value: float) -> bool:
        """Whether it stands out for the better."""
        return self._stands_out(value, -self._worse)

    def _at(self, distance: float) -> float:
        return self._scale.back(self._expected.centre + distance)

    def _stands_out(self, value: float, direction: float) -> bool:
        if self.runs < RUNS_NEEDED or direction * (value - self.centre) < self._scale.step(self.centre):
            return False
        away = direction * (self._scale.forward(value) - self._expected.centre)
        return self._expected.tail(self._expected.centre + away) < UNLIKELY
