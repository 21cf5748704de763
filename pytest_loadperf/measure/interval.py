"""How sure a number is: neighbouring requests are not independent, so they tell less than their count.

A queue that is long for one request is long for the next one, too. What that costs is seen in blocks of time: how many
requests of each were slower than the percentile of all, and how much more these counts vary, together with their
neighbours', than chance would have it. The ratio is the design effect: so many requests tell what one independent
request would. No library reckons it from counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

from pytest_loadperf.measure.histogram import Histogram

PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
NAMES = {percent: f"{percent:g}" for percent in PERCENTS}
FAILED = "failed"
_BLOCKS = 10
# The effect is itself an estimate from a few blocks. This makes the interval of p95 hold the true one in 88 to 97 of
# 100 runs of a simulated queue, with ten blocks; with fewer, more by the square of Student's t over that for ten. Three
# blocks are trusted like five: short stages are for a quick look.
_CAUTION = 1.5
_STUDENT = {3: 2.78, 4: 2.78, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
_Z = 1.96  # 95 %, two-sided
_TAIL = 0.025


def effects(parts: Sequence[tuple[int, Histogram, int]], seconds: int) -> dict[str, float]:
    """The design effects of a stage: for each of PERCENTS, and for its failures.

    `parts` are its windows: the second, from the stage's beginning, with the latencies and the failures in it.
    """
    if not seconds:
        return {}
    blocks = _blocks(parts, seconds)
    latencies = [Histogram.merged(histogram for histogram, _ in block) for block in blocks]
    requests = [histogram.total for histogram in latencies]
    found = {FAILED: _effect([sum(failed for _, failed in block) for block in blocks], requests)}
    below = 1.0
    limits = Histogram.merged(latencies).buckets_at(PERCENTS)
    for percent, limit in zip(PERCENTS, limits or repeat(0), strict=False):
        own = _effect([histogram.above(limit) for histogram in latencies], requests)
        found[NAMES[percent]] = max(own, below)  # the percentile below has seen more of what makes requests slow
        below = own
    return found


def _blocks(parts: Sequence[tuple[int, Histogram, int]], seconds: int) -> list[list[tuple[Histogram, int]]]:
    """The windows in blocks of equal length; what came after the last second is in the last block."""
    blocks = min(_BLOCKS, seconds)
    found: list[list[tuple[Histogram, int]]] = [[] for _ in range(blocks)]
    for second, latencies, failed in parts:
        found[min(max(second, 0) * blocks // seconds, blocks - 1)].append((latencies, failed))
    return found


def _effect(counted: Sequence[int], requests: Sequence[int]) -> float:
    """How many requests tell what one independent request would, from the counts of each block; cautiously."""
    total, blocks = sum(requests), len(requests)
    share = sum(counted) / total if total else 0.0
    if not 0 < share < 1:
        return 1.0
    if blocks not in _STUDENT:  # one second or two tell nothing of neighbours
        return _CAUTION
    caution = _CAUTION * (_STUDENT[blocks] / _STUDENT[_BLOCKS]) ** 2
    off = [count - share * of for count, of in zip(counted, requests, strict=True)]
    alone = math.fsum(each * each for each in off)
    leaning = 0.0  # a queue may last longer than a block
    lags = min(2, blocks // 4)
    for lag in range(1, lags + 1):
        together = math.fsum(one * other for one, other in zip(off, off[lag:], strict=False))
        leaning += 2 * (1 - lag / (lags + 1)) * together
    variance = (alone + max(0.0, leaning)) * blocks / (blocks - 1)
    return round(caution * max(1.0, variance / (share * (1 - share) * total)), 2)


def joined(parts: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """The effects of several stages or trials together: their mean, each weighed by its requests."""
    known = [(requests, found) for requests, found in parts if requests and found]
    total = sum(requests for requests, _ in known)
    names = known[0][1] if known else ()
    return {name: sum(n * found.get(name, 1.0) for n, found in known) / total for name in names}


def shares(percent: float, requests: int, found: Mapping[str, float]) -> tuple[float, float]:
    """Between which shares of the requests (0 to 1) the true percentile lies; infinite above where too few tell."""
    share, known = percent / 100, requests / _effect_at(percent, found)
    low, high = _wilson(share, known) if known else (0.0, 1.0)
    return low, high if known and share**known <= _TAIL else math.inf


def needed(percent: float, found: Mapping[str, float]) -> int:
    """About how many requests it takes before one of them is likely to lie beyond the percentile."""
    return math.ceil(math.log(_TAIL) / math.log(percent / 100) * _effect_at(percent, found))


def rates(failures: int, requests: int, found: Mapping[str, float]) -> tuple[float, float]:
    """Between which failure rates (0 to 1) the true one lies."""
    if not requests:
        return 0.0, 1.0
    return _wilson(failures / requests, requests / found.get(FAILED, 1.0))


def _effect_at(percent: float, found: Mapping[str, float]) -> float:
    """That of the nearest percentile below."""
    below = [each for each in PERCENTS if each <= percent] or PERCENTS[:1]
    return found.get(NAMES[below[-1]], 1.0)


def _wilson(share: float, number: float) -> tuple[float, float]:
    """Wilson's interval of a share that was seen in so many independent requests."""
    middle = share + _Z * _Z / (2 * number)
    reach = _Z * math.sqrt(share * (1 - share) / number + _Z * _Z / (4 * number * number))
    scale = 1 + _Z * _Z / number
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
