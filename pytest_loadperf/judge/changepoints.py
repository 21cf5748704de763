"""Where the level of a series changed over its runs, and whether it drifts: of numbers alone, without a random one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, median

from pytest_loadperf.judge.rule import RUNS_NEEDED, Scale
from pytest_loadperf.judge.statistics import expected

_SIDE = 5  # runs that a level has at least
_WINDOW = 18  # runs at least that are looked at by themselves where there are more
_LATEST = 3  # runs that drift together
_UNLIKELY = 0.001  # how rarely chance alone may put them that far out


@dataclass(frozen=True)
class ChangePoint:
    """A change of level: medians of the runs from the change before to this one, and from here to the next."""

    place: int  # of the first value of the new level
    before: float
    after: float


@dataclass(frozen=True)
class Drift:
    """The latest runs, all together worse than the level before them."""

    before: float  # the median of that level
    runs: int  # in it
    latest: float  # their mean or median, whichever is closer to it
    number: int = _LATEST  # of them


def change_points(values: Sequence[float], scale: Scale) -> list[ChangePoint]:
    """Every change of level in the series, oldest first; NaN counts as no run.

    What decides are ranks, so one outlier is one rank, and logarithms would say the same. Of 1,000 series of 30
    unchanged runs about 4 show a change, about 40 where each run takes after the one before; a step of twice the runs'
    standard deviation shows after ten runs 88 times of 100, with 30 runs before it.
    """
    known = [(place, value) for place, value in enumerate(values) if not math.isnan(value)]
    numbers = [value for _, value in known]
    cuts = sorted(_cuts(numbers, 0))
    while too_small := [found for found in _changes(numbers, cuts) if not _counts(found, scale)]:
        cuts.remove(min(too_small, key=lambda found: abs(found.after - found.before)).place)
    return [ChangePoint(known[found.place][0], found.before, found.after) for found in _changes(numbers, cuts)]


def drift(values: Sequence[float], scale: Scale, worse: float = 1.0) -> Drift | None:
    """Whether the latest three runs, each of which may pass, are together worse than the level before them.

    Told by both their mean and their median, for one slow run is no drift; `worse` is 1 where larger is worse, else -1.
    Of 1,000 unchanged runs up to 2 show it, up to 12 where each run takes after the one before.
    """
    earlier, latest = values[:-_LATEST], values[-_LATEST:]
    changes = change_points(earlier, scale)
    level = earlier[changes[-1].place :] if changes else earlier
    if len(level) < RUNS_NEEDED:
        return None
    usual = expected([[*map(scale.forward, level)]], scale.prior, together=_LATEST)
    centre = median(level)
    least = min if worse > 0 else max
    best, middle = least(latest), least(scale.back(fmean(map(scale.forward, latest))), median(latest))
    if worse * (best - centre) < scale.step(centre) / 2 or worse * (middle - centre) < scale.step(centre):
        return None
    away = worse * (scale.forward(middle) - usual.centre)
    return Drift(centre, len(level), middle) if usual.tail(usual.centre + away) < _UNLIKELY else None


def _cuts(values: Sequence[float], offset: int) -> Iterator[int]:
    """Where the series falls into two, and where each part does in turn."""
    if (place := _cut(values)) is not None:
        yield offset + place
        yield from _cuts(values[:place], offset)
        yield from _cuts(values[place:], offset + place)


def _cut(values: Sequence[float]) -> int | None:
    """Where the series falls into two, if it does; looked for in all of it, then in ever shorter windows.

    A level that came and went is not seen in the whole, in which ranks before and after are much the same.
    """
    runs = len(values)
    if runs < 2 * _SIDE:
        return None
    # About what the largest of so many normal numbers comes to, and some more: fitted to series without a change.
    limit = math.sqrt(2 * math.log(runs)) + 0.8
    size = float(runs)
    while size >= _WINDOW or size == runs:
        starts = range(0, runs - int(size) + 1, max(1, int(size) // 3))
        found = [(*_parting(values[start : start + int(size)]), start) for start in starts]
        strength, place, start = max(found)
        if strength > limit:
            return start + _placed(values[start : start + int(size)], place)
        size /= 1.5
    return None


def _parting(values: Sequence[float]) -> tuple[float, int]:
    """How much, and where, the ranks before and after differ most: Wilcoxon's statistic for every cut."""
    runs = len(values)
    counts = Counter(values)
    ties = sum(count**3 - count for count in counts.values())
    spread = math.sqrt((runs + 1 - ties / (runs * (runs - 1))) / 12)
    if not spread:  # all are the same
        return 0.0, 0
    mean = (runs + 1) / 2
    sums = [*accumulate(_ranks(values, counts))]
    cuts = range(_SIDE, runs - _SIDE + 1)
    away, place = max([((sums[place - 1] - place * mean) ** 2 / (place * (runs - place)), place) for place in cuts])
    return math.sqrt(away) / spread, place


def _placed(values: Sequence[float], about: int) -> int:
    """The cut near this one after which values are least far from the medians of both sides; ranks are off by a few."""
    near = range(max(_SIDE, about - _SIDE), min(len(values) - _SIDE, about + _SIDE) + 1)
    return min(near, key=lambda place: _scatter(values[:place]) + _scatter(values[place:]))


def _scatter(values: Sequence[float]) -> float:
    centre = median(values)
    return math.fsum(abs(value - centre) for value in values)


def _ranks(values: Sequence[float], counts: Mapping[float, int]) -> Iterator[float]:
    """From 1; equal values, of which there are so many, share the mean of theirs."""
    ranks, below = {}, 0
    for value in sorted(counts):
        ranks[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    return map(ranks.__getitem__, values)


def _changes(values: Sequence[float], cuts: Sequence[int]) -> list[ChangePoint]:
    edges = [0, *cuts, len(values)]
    medians = [median(values[start:end]) for start, end in pairwise(edges) if end > start]
    return [ChangePoint(place, *levels) for place, levels in zip(cuts, pairwise(medians), strict=False)]


def _counts(change: ChangePoint, scale: Scale) -> bool:
    """Whether it is large enough to be called one."""
    return abs(change.after - change.before) >= scale.step(min(change.before, change.after))
