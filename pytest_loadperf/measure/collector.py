"""The windows of one trial as they arrive, merged where the same second of an endpoint was told in parts.

An hour of load must not take more memory, nor a larger record, than ten minutes: of a long stage only the newest part
is kept by the second, what was before it in stretches that become longer as the stage does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import summarise, with_effects
from pytest_loadperf.model import Summary, Window

_MOST = 600  # stretches of a stage, beyond which they become twice as long
_FRESH_S = 120  # the newest part of a stage, which rules for ending a load ask for

_Key = tuple[str, str]  # method and endpoint


class Collector:
    """Adds windows; a request that was answered late is told late, under the second in which it was sent."""

    def __init__(self) -> None:
        self._stages: defaultdict[int, _Stage] = defaultdict(_Stage)
        self._requests: Counter[int] = Counter()  # by stage

    def add(self, windows: Iterable[Window]) -> None:
        """Take in what the generator told."""
        for window in windows:
            self._stages[window.stage].add(window)
            self._requests[window.stage] += window.requests
        for stage in self._stages.values():
            stage.age()

    def windows(self) -> tuple[Window, ...]:
        """All of them, in order of time."""
        found = [window for stage in self._stages.values() for window in stage.windows()]
        return tuple(sorted(found, key=lambda window: (window.second, window.stage, window.method, window.endpoint)))

    def stage(self, index: int, duration_s: float, began_s: float = 0.0) -> Summary:
        """The numbers of one stage, and how sure they are."""
        windows = [*self._stages[index].windows()]
        return with_effects(summarise(windows, duration_s), windows, began_s)

    def requests(self, stage: int) -> int:
        """How many of a stage have been told so far."""
        return self._requests[stage]

    def since(self, second: int) -> Iterator[Window]:
        """The windows of this second and later ones: asked for each second, so that a long load must not cost more."""
        return (window for stage in self._stages.values() for window in stage.since(second))


class _Stage:
    """The windows of one stage: by the second in which they begin, and by endpoint."""

    def __init__(self) -> None:
        self._begins: defaultdict[int, dict[_Key, Window]] = defaultdict(dict)
        self._first = self._newest = -1  # seconds
        self._length = 1  # of a stretch
        self._fresh = 0  # the first second that is in none

    def add(self, window: Window) -> None:
        """Put it with what its second, or its stretch, has."""
        if not self._begins:
            self._first = window.second
        self._newest = max(self._newest, window.second)
        begin = self._begin(window.second) if window.second < self._fresh else window.second
        self._put(begin, [window], self._length if begin < self._fresh else 1)

    def windows(self) -> Iterator[Window]:
        return (window for begun in self._begins.values() for window in begun.values())

    def since(self, second: int) -> Iterator[Window]:
        return (window for at in range(second, self._newest + 1) for window in self._begins.get(at, {}).values())

    def age(self) -> None:
        """Put together what is not fresh any more."""
        if len(self._begins) > _MOST:
            self._length *= 2
            self._fresh = 0
        fresh = self._begin(self._newest - _FRESH_S)
        if self._length == 1 or fresh <= self._fresh:
            return
        old = sorted(begin for begin in self._begins if self._fresh <= begin < fresh)
        for stretch, begins in groupby(old, key=self._begin):
            together = [window for begin in begins for window in self._begins.pop(begin).values()]
            self._put(stretch, together, self._length)
        self._fresh = fresh

    def _begin(self, second: int) -> int:
        """Of the stretch that it belongs to."""
        return self._first + max(0, second - self._first) // self._length * self._length

    def _put(self, begin: int, windows: Iterable[Window], length: int) -> None:
        there = self._begins[begin]
        found: defaultdict[_Key, list[Window]] = defaultdict(list)
        for window in windows:
            found[window.method, window.endpoint].append(window)
        for key, parts in found.items():
            known = [there[key]] if key in there else []
            there[key] = _together([*known, *parts], begin, length)


def _together(parts: Sequence[Window], begin: int, seconds: int) -> Window:
    """One window with the requests of all."""
    if len(parts) == 1:
        return parts[0] if seconds == 1 else replace(parts[0], second=begin, seconds=seconds)
    histogram = Histogram()
    for part in parts:
        histogram.merge(part.histogram)
    return replace(
        parts[0],
        second=begin,
        seconds=seconds,
        users=max(part.users for part in parts),
        requests=sum(part.requests for part in parts),
        failures=sum(part.failures for part in parts),
        bytes=sum(part.bytes for part in parts),
        sum_ms=sum(part.sum_ms for part in parts),
        min_ms=min(part.min_ms for part in parts),
        max_ms=max(part.max_ms for part in parts),
        histogram=Histogram.of_text(histogram.to_text()),  # a tenth of the memory
        status_codes=_added(part.status_codes for part in parts),
        errors=_added(part.errors for part in parts),
    )


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter[str]()))
