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

_KEPT_S = 600  # a stage of no more is kept by the second; a stretch is never longer than the stage over this
_FRESH_S = 120  # the newest part of a stage, of which nothing is put together

_Key = tuple[str, str]  # method and endpoint


class Collector:
    """Adds windows; a request that was answered late is told late, under the second in which it was sent."""

    def __init__(self) -> None:
        self._stages: defaultdict[int, _Stage] = defaultdict(_Stage)
        self._requests: Counter[int] = Counter()  # by stage
        self._fresh_s = _FRESH_S

    def add(self, windows: Iterable[Window]) -> None:
        """Take in what the generator told."""
        for window in windows:
            self._stages[window.stage].add(window)
            self._requests[window.stage] += window.requests
        for stage in self._stages.values():
            stage.age(self._fresh_s)

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

    def since(self, second: int) -> list[Window]:
        """The windows of this second and later ones: asked for each second, so that a long load must not cost more."""
        newest = max((stage.newest for stage in self._stages.values()), default=second)
        self._fresh_s = max(self._fresh_s, newest - second + 1)  # a rule that looks further back will do so again
        return [window for stage in self._stages.values() for window in stage.since(second)]


class _Stage:
    """The windows of one stage: by the second in which they begin, and by endpoint."""

    def __init__(self) -> None:
        self.newest = -1
        self._begins: defaultdict[int, dict[_Key, Window]] = defaultdict(dict)
        self._length = 1  # of a stretch
        self._first = self._fresh = 0  # when the first stretch begins, and the last one ends

    def add(self, window: Window) -> None:
        """Put it with what its second, or its stretch, has."""
        self.newest = max(self.newest, window.second)
        if window.second < self._fresh:
            self._put(self._stretch(window.second), [window], self._length)
        else:
            self._put(window.second, [window], 1)

    def windows(self) -> Iterator[Window]:
        """All of them."""
        return (window for begun in self._begins.values() for window in begun.values())

    def since(self, second: int) -> Iterator[Window]:
        """Those that begin then, and later."""
        return (window for at in range(second, self.newest + 1) for window in self._begins.get(at, {}).values())

    def age(self, fresh_s: int) -> None:
        """Put together what is not fresh any more."""
        if self._length == 1:
            if not self._begins or self.newest - min(self._begins) < _KEPT_S:
                return
            self._length = 2
            self._first = self._fresh = min(self._begins)
        elif self._is_long() and (self._fresh - self._first) % (2 * self._length) == 0:
            self._length *= 2
            self._join(self._first, self._fresh)
        if (fresh := self._stretch(self.newest - fresh_s)) > self._fresh:
            self._join(self._fresh, fresh)
            self._fresh = fresh

    def _is_long(self) -> bool:
        return self.newest - self._first >= _KEPT_S * self._length

    def _join(self, since: int, until: int) -> None:
        begins = sorted(begin for begin in self._begins if since <= begin < until)
        for stretch, parts in groupby(begins, key=self._stretch):
            self._put(stretch, [window for begin in parts for window in self._begins.pop(begin).values()], self._length)

    def _stretch(self, second: int) -> int:
        """When the one begins that it belongs to."""
        return self._first + max(0, second - self._first) // self._length * self._length

    def _put(self, begin: int, windows: Iterable[Window], seconds: int) -> None:
        there = self._begins[begin]
        found: defaultdict[_Key, list[Window]] = defaultdict(list)
        for window in windows:
            found[window.method, window.endpoint].append(window)
        for key, parts in found.items():
            known = [there[key]] if key in there else []
            there[key] = _together([*known, *parts], begin, seconds)


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
