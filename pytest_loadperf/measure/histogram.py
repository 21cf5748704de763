"""A latency histogram with three significant digits, whose merging is exact.

Locust's own percentiles are rounded to two digits (1051 ms becomes 1100 ms), and no library on PyPI stores a
log-linear histogram as plain data without a compiled dependency; the arithmetic is twenty lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

# Values below 2 * _HALF microseconds have a bucket each; every doubling above is cut into _HALF buckets, so a
# bucket is never wider than 1/1024 of its value.
_HALF_BITS = 10
_HALF = 1 << _HALF_BITS


def bucket_of(value_us: int) -> int:
    """The bucket of a latency in whole microseconds."""
    shift = value_us.bit_length() - _HALF_BITS - 1
    return value_us if shift <= 0 else shift * _HALF + (value_us >> shift)


_HIGHEST = bucket_of(10**15)  # thirty years
_MOST = 10**15  # of a bucket
_LETTERS = b"0123456789* "  # of a text


def middle_us(bucket: int) -> float:
    """The middle of a bucket, in microseconds."""
    shift = max(0, bucket // _HALF - 1)
    lowest = (bucket - shift * _HALF) << shift
    return lowest + ((1 << shift) - 1) / 2


class Histogram:
    """How many latencies fell into each bucket.

    One that was kept is a text until somebody asks for its counts, and one that was merged the parts that it was merged
    of: a long history holds tens of thousands, and what is asked of most of them stands in their records as numbers.
    """

    __slots__ = ("_counts", "_parts", "_text")
    __hash__ = None  # type: ignore[assignment] # it grows

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts = dict(counts or {})
        self._text = ""
        self._parts: tuple[Histogram, ...] = ()

    @classmethod
    def of_text(cls, text: str) -> Histogram:
        """The histogram that `to_text` wrote; ValueError if this is none."""
        if text.encode().translate(None, _LETTERS):
            raise ValueError(f"expected a histogram such as '1203 4*17', got {text[:40]!r}")
        made = cls()
        made._text = text
        return made

    def to_text(self) -> str:
        """Each bucket, as its distance from the one before, with its count where that is not one: '1203 4*17'."""
        if self._text:
            return self._text
        parts, last, counts = [], 0, self.counts
        for bucket in sorted(counts):
            count = counts[bucket]
            parts.append(str(bucket - last) if count == 1 else f"{bucket - last}*{count}")
            last = bucket
        return " ".join(parts)

    @property
    def counts(self) -> dict[int, int]:
        """How many are in each bucket that has any."""
        if self._text:
            self._counts, self._text = _counts(self._text), ""
        if self._parts:
            parts, self._parts = self._parts, ()
            for part in parts:
                self.merge(part)
        return self._counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    def __repr__(self) -> str:
        return f"Histogram({self.counts!r})"

    def add(self, *values_ms: float) -> None:
        """Count latencies, in milliseconds."""
        counts = self.counts
        for value in values_ms:
            bucket = bucket_of(max(0, round(value * 1000)))
            counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Add another histogram's counts to this one's; the other stays the text that it may be."""
        counts, more = self.counts, _counts(other._text) if other._text else other.counts
        if not counts:
            self._counts = dict(more)
            return
        for bucket, count in more.items():
            counts[bucket] = counts.get(bucket, 0) + count

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram with the counts of all, which must not grow any more."""
        whole = cls()
        whole._parts = tuple(histograms)
        return whole

    @property
    def total(self) -> int:
        """How many latencies were counted."""
        return sum(self.counts.values())

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the requests did not exceed (nearest rank), in ms; NaN without requests."""
        return self.percentiles_ms([percent])[0]

    def percentiles_ms(self, percents: Sequence[float]) -> list[float]:
        """The latencies of several percents, which must ascend."""
        found = self.buckets_at(percents)
        return [middle_us(bucket) / 1000 for bucket in found] if found else [math.nan] * len(percents)

    def buckets_at(self, percents: Sequence[float]) -> list[int]:
        """The buckets in which these latencies are counted, in one walk; none without requests."""
        buckets = sorted(self.counts)
        seen = list(accumulate(map(self.counts.__getitem__, buckets)))
        found, place = [], 0
        for percent in percents if seen else ():
            rank = min(max(1, math.ceil(seen[-1] * percent / 100 - 1e-9)), seen[-1])
            while seen[place] < rank:
                place += 1
            found.append(buckets[place])
        return found

    def above(self, bucket: int) -> int:
        """How many latencies were counted in higher buckets."""
        return sum(count for each, count in self.counts.items() if each > bucket)


def _counts(text: str) -> dict[int, int]:
    """What a text holds; nothing, where its numbers can't be meant: then somebody has tampered with the record."""
    counts, bucket = {}, 0
    try:
        for part in text.split():
            distance, _, count = part.partition("*")
            bucket += int(distance)
            counts[bucket] = int(count or 1)
    except ValueError:
        return {}
    sensible = bucket <= _HIGHEST and all(0 < count < _MOST for count in counts.values())
    return counts if sensible else {}
