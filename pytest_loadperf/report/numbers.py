"""Percentiles at the cost that a report of hundreds of runs can afford."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from pytest_loadperf.measure.histogram import Histogram, middle_us
from pytest_loadperf.model import Summary


def percentiles_ms(histogram: Histogram, percents: Sequence[float]) -> list[float]:
    """What `Histogram.percentile_ms` gives for each of the percents, which must ascend, in one walk."""
    buckets = sorted(histogram.counts)
    seen = list(accumulate(map(histogram.counts.__getitem__, buckets)))
    if not seen:
        return [math.nan] * len(percents)
    found, place = [], 0
    for percent in percents:
        rank = max(1, math.ceil(seen[-1] * percent / 100 - 1e-9))
        while seen[place] < rank:
            place += 1
        found.append(middle_us(buckets[place]) / 1000)
    return found


def summary_percentiles_ms(summary: Summary, percents: Sequence[float]) -> list[float]:
    """What `Summary.percentile_ms` gives for each of the percents, which must ascend."""
    found = percentiles_ms(summary.histogram, percents)
    return [min(max(value, summary.min_ms), summary.max_ms) for value in found] if summary.requests else found
