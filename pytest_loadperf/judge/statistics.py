"""What numbers can show, and what they can't."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

_PRIOR_WEIGHT = 3  # runs
_TRIMMED_FROM = 10  # values; a fifth of fewer is one, or none


def failure_rate_bound(failures: int, requests: int, effect: float = 1.0, confidence: float = 0.95) -> float:
    """The failure rate (0 to 1) that so many failures do not exclude: Clopper and Pearson's one-sided upper bound.

    0 failures of 50 requests leave 5.8 % possible; without requests nothing is excluded. `effect` is how many of these
    requests tell what one independent request would.
    """
    if not 0 <= failures <= requests:
        raise ValueError(f"{failures} failures of {requests} requests: expected 0 to {requests}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; expected more than 0 and less than 1")
    if failures == requests:  # also without any
        return 1.0
    if failures == 0:
        return float(1 - (1 - confidence) ** (effect / requests))
    from scipy.special import betaincinv  # a quarter of a second, which a load without failures need not take

    return float(betaincinv(failures / effect + 1, (requests - failures) / effect, confidence))


def requests_needed(share: float, confidence: float = 0.95) -> int:
    """How many requests, all of them good, show that this share of all (0 to 1) is: 59 for 0.95."""
    return math.ceil(math.log(1 - confidence) / math.log(share))


def are_enough(requests: int, percent: float) -> bool:
    """Whether so many requests, were they independent, would show this percentile, or it is one request's own."""
    return requests >= requests_needed(percent / 100, 0.975)


@dataclass(frozen=True)
class Expected:
    """Where the next run of a series should stand, by the runs before it: Student's t around their centre."""

    centre: float
    error: float  # standard error of one more run, or of the mean of some
    freedom: float  # degrees of freedom

    def tail(self, seen: float) -> float:
        """How likely chance alone puts a run as far above the centre as this, or further."""
        from scipy.special import stdtr

        return float(stdtr(self.freedom, (self.centre - seen) / self.error))

    def reach(self, tail: float) -> float:
        """How far above the centre a run has to stand to be that unlikely."""
        from scipy.special import stdtrit

        return float(-stdtrit(self.freedom, tail)) * self.error


def expected(levels: Sequence[Sequence[float]], prior: float, own_error: float = 0.0, together: int = 1) -> Expected:
    """What the runs of a series lead to expect: the centre of its last level, the spread within all of them.

    The spread is the standard deviation, not a robust one: slow sessions belong in it. It is drawn towards `prior`, for
    a few runs that happen to agree promise too much, and it is not below the error of the run that is judged.
    `together` is how many runs are judged by their mean.
    """
    last = levels[-1]
    spread, freedom = spread_within(levels, prior)
    spread = max(spread, own_error)
    return Expected(median(last), spread * math.sqrt(1 / together + 1 / len(last)), freedom)


def mean_of(values: Sequence[float], prior: float, own_error: float = 0.0, trimmed: bool = False) -> Expected:
    """Where values like these stand on average, by Student's t.

    Where it is `trimmed`, the lowest and the highest fifth of ten and more do not count (Yuen's t), so that a few odd
    ones do not move it. The spread is drawn towards `prior`, for the sake of a few values that happen to agree, but is
    not below what was seen, nor below `own_error`. The prior is worth some values, unless they show how wrong it is.
    """
    ordered = sorted(values)
    cut = len(ordered) // 5 if trimmed and len(ordered) >= _TRIMMED_FROM else 0
    middle = ordered[cut : len(ordered) - cut]
    drawn_in = [*[middle[0]] * cut, *middle, *[middle[-1]] * cut]
    squares = sum((value - fmean(drawn_in)) ** 2 for value in drawn_in)
    known = len(middle) / len(ordered)  # these are of single values; what was drawn in spreads less by so much
    freedom = len(middle) - 1
    seen = squares / freedom if freedom else 0.0
    drawn = (squares + _PRIOR_WEIGHT * known * prior**2) / (freedom + _PRIOR_WEIGHT)
    if drawn >= seen:
        freedom += _PRIOR_WEIGHT
    spread = math.sqrt(max(drawn, seen, known * own_error**2))
    return Expected(fmean(middle), spread / math.sqrt(len(middle)), freedom)


def spread_within(levels: Sequence[Sequence[float]], prior: float) -> tuple[float, float]:
    """The standard deviation within all levels, drawn towards `prior`, and its degrees of freedom."""
    squares = sum((value - fmean(level)) ** 2 for level in levels for value in level)
    freedom = sum(len(level) - 1 for level in levels) + _PRIOR_WEIGHT
    return math.sqrt((squares + _PRIOR_WEIGHT * prior**2) / freedom), freedom
