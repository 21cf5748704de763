"""The windows of one trial as they arrive, merged where the same second of an endpoint was told in parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import summarise, with_effects
from pytest_loadperf.model import Summary, Window


class Collector:
    """Adds windows; a request that was answered late is told late, under the second in which it was sent."""

    def __init__(self) -> None:
        self._seconds: defaultdict[int, dict[tuple[int, str, str], Window]] = defaultdict(dict)
        self._requests: Counter[int] = Counter()  # by stage

    def add(self, windows: Iterable[Window]) -> None:
        """Take in what the generator told."""
        for window in windows:
            second, key = self._seconds[window.second], (window.stage, window.method, window.endpoint)
            known = second.get(key)
            second[key] = window if known is None else _joined(known, window)
            self._requests[window.stage] += window.requests

    def windows(self) -> tuple[Window, ...]:
        """All of them, in order of time."""
        return tuple(window for _, second in sorted(self._seconds.items()) for _, window in sorted(second.items()))

    def stage(self, index: int, duration_s: float, began_s: float = 0.0) -> Summary:
        """The numbers of one stage, and how sure they are."""
        windows = [window for second in self._seconds.values() for window in second.values() if window.stage == index]
        return with_effects(summarise(windows, duration_s), windows, began_s)

    def requests(self, stage: int) -> int:
        """How many of a stage have been told so far."""
        return self._requests[stage]

    def since(self, second: int) -> Iterator[Window]:
        """The windows of this second and later ones: asked for each second, so that a long load must not cost more."""
        newest = max(self._seconds, default=-1)
        return (window for at in range(second, newest + 1) for window in self._seconds.get(at, {}).values())


def _joined(one: Window, other: Window) -> Window:
    histogram = Histogram(one.histogram.counts)  # at once: thousands of parts would be merged one within the other
    histogram.merge(other.histogram)
    return replace(
        one,
        users=max(one.users, other.users),
        requests=one.requests + other.requests,
        failures=one.failures + other.failures,
        bytes=one.bytes + other.bytes,
        sum_ms=one.sum_ms + other.sum_ms,
        min_ms=min(one.min_ms, other.min_ms),
        max_ms=max(one.max_ms, other.max_ms),
        histogram=histogram,
        status_codes=dict(Counter(one.status_codes) + Counter(other.status_codes)),
        errors=dict(Counter(one.errors) + Counter(other.errors)),
    )
