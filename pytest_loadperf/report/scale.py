"""From values to places on an axis: nice ticks, linear and logarithmic, and long series made short."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_HUGE = 1e300  # past this (or below its inverse) the arithmetic of ticks leaves the range of floats
_NICE = (1.0, 2.0, 5.0, 10.0)
_NICE_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True)
class Axis:
    """A range of values, its ticks, and where in it (0 to 1) a value stands."""

    low: float
    high: float
    ticks: tuple[float, ...] = ()
    log: bool = False

    def at(self, value: float) -> float:
        """0 at the low end, 1 at the high one, held inside both; NaN for what has no place on the axis."""
        if math.isnan(value):
            return math.nan
        if self.log:
            if value <= 0:
                return math.nan
            part = (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, part))


def linear(values: Iterable[float], *, count: int = 4, least: float = 0.0) -> Axis:
    """An axis from zero (or the smallest negative value) to the largest value or `least`, in about `count` steps."""
    usable = [value for value in values if abs(value) < _HUGE]
    low, high = min([0.0, *usable]), max([0.0, least, *usable])
    if high - low < 1 / _HUGE:  # nothing but zeros
        low, high = 0.0, 1.0
    step = _nice_above((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(_clean(number * step) for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def logarithmic(values: Iterable[float], *, count: int = 6) -> Axis:
    """An axis over the positive values, ending at 1, 2 or 5 times a power of ten, with at most about `count` ticks."""
    positive = [value for value in values if 1 / _HUGE < value < _HUGE]
    low = _nice_below(min(positive, default=1.0))
    high = _nice_above(max(positive, default=10.0))
    if high <= low:
        high = _nice_above(low * 1.5)
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    every = math.ceil((last - first) / count)
    steps = (1.0, 2.0, 5.0) if last - first <= 2 else (1.0,)
    candidates = [_clean(step * 10.0**power) for power in range(first, last + 1, every) for step in steps]
    ticks = tuple(tick for tick in candidates if low * 0.999 <= tick <= high * 1.001)
    return Axis(low, high, ticks, log=True)


def seconds(duration_s: float, *, count: int = 8) -> Axis:
    """A time axis from zero that ends where the time ends, with ticks people count in."""
    high = duration_s if 0 < duration_s < _HUGE else 1.0
    step = next((step for step in _NICE_SECONDS if high / step <= count), math.ceil(high / 86400 / count) * 86400)
    return Axis(0.0, high, tuple(float(tick) for tick in range(0, math.floor(high + 1e-9) + 1, step)))


def thin(points: Sequence[Point], columns: int) -> list[Point]:
    """The points, in order, at most three for each of `columns`: the lowest, the highest and a gap (NaN) if any."""
    if len(points) <= 3 * columns:
        return list(points)
    start, width = points[0][0], (points[-1][0] - points[0][0]) / columns or 1.0
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(min(columns - 1, int((point[0] - start) / width)), []).append(point)
    return [kept for group in groups.values() for kept in _extremes(group)]


def _extremes(group: Sequence[Point]) -> list[Point]:
    finite = [point for point in group if not math.isnan(point[1])]
    gaps = [point for point in group if math.isnan(point[1])][:1]
    ends = [min(finite, key=lambda point: point[1]), max(finite, key=lambda point: point[1])] if finite else []
    return sorted({*ends, *gaps}, key=lambda point: point[0])


def _nice_above(value: float) -> float:
    """The first of 1, 2, 5 or 10 times a power of ten that is no smaller."""
    power = 10.0 ** math.floor(math.log10(value))
    return _clean(next((nice * power for nice in _NICE if nice * power >= value * (1 - 1e-9)), 10 * power))


def _nice_below(value: float) -> float:
    """The last of 1, 2 or 5 times a power of ten that is no larger."""
    power = 10.0 ** math.floor(math.log10(value))
    return _clean(next((nice * power for nice in reversed(_NICE) if nice * power <= value * (1 + 1e-9)), power))


def _clean(value: float) -> float:
    """Without the dust of floating point: 0.3, not 0.30000000000000004."""
    return float(f"{value:.12g}")
