"""A latency histogram with three significant digits, whose merging is exact.

Locust's own percentiles are rounded to two digits (1051 ms becomes 1100 ms), and no library on PyPI stores a
log-linear histogram as plain data without a compiled dependency; the arithmetic is twenty lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

# Values below 2 * _HALF microseconds have a bucket each; every doubling above is cut into _HALF buckets, so a
# bucket is never wider than 1/1024 of its value.
_HALF_BITS = 10
_HALF = 1 << _HALF_BITS


def bucket_of(value_us: int) -> int:
    """The bucket of a latency in whole microseconds."""
    shift = value_us.bit_length() - _HALF_BITS - 1
    return value_us if shift <= 0 else shift * _HALF + (value_us >> shift)


def middle_us(bucket: int) -> float:
    """The middle of a bucket, in microseconds."""
    shift = max(0, bucket // _HALF - 1)
    lowest = (bucket - shift * _HALF) << shift
    return lowest + ((1 << shift) - 1) / 2


@dataclass(slots=True)
class Histogram:
    """How many latencies fell into each bucket."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, *values_ms: float) -> None:
        """Count latencies, in milliseconds."""
        counts = self.counts
        for value in values_ms:
            bucket = bucket_of(max(0, round(value * 1000)))
            counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one's."""
        if not self.counts:
            self.counts = dict(other.counts)
            return
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram with the counts of all."""
        whole = cls()
        for histogram in histograms:
            whole.merge(histogram)
        return whole

    @property
    def total(self) -> int:
        """How many latencies were counted."""
        return sum(self.counts.values())

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the requests did not exceed (nearest rank), in ms; NaN without requests."""
        bucket = self.percentile_bucket(percent)
        return math.nan if bucket is None else middle_us(bucket) / 1000

    def percentile_bucket(self, percent: float) -> int | None:
        """The bucket in which that latency is counted; None without requests."""
        rank = max(1, math.ceil(self.total * percent / 100 - 1e-9))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return bucket
        return None

    def above(self, bucket: int) -> int:
        """How many latencies were counted in higher buckets."""
        return sum(count for each, count in self.counts.items() if each > bucket)
