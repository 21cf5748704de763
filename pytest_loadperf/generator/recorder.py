"""Counts requests into windows; the request path only appends, the counting is done in between."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_loadperf.generator.lateness import bear
from pytest_loadperf.generator.names import Names
from pytest_loadperf.generator.unsent import told
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import Window

AFTER = -1  # the stage of requests that were sent after the last one
# When an answer came, its latency in ms and size as told, what went wrong, and its status.
_Answer = tuple[float, Any, Any, object, object]
_Pending = defaultdict[tuple[object, object], list[_Answer]]  # by method and name, as the users call them


@dataclass(slots=True)
class _Cell:
    """The counts of one endpoint in one second of one stage, since the last flush."""

    fresh_ms: list[float] = field(default_factory=list)  # latencies that are not yet counted below
    requests: int = 0
    failures: int = 0
    bytes: int = 0
    sum_ms: float = 0.0
    min_ms: float = float("inf")
    max_ms: float = 0.0
    histogram: Histogram = field(default_factory=Histogram)
    status_codes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def count(self) -> None:
        """Count the fresh latencies, all at once: that costs a fraction of one by one."""
        fresh, self.fresh_ms = self.fresh_ms, []
        if fresh:
            self.requests += len(fresh)
            self.sum_ms += sum(fresh)
            self.min_ms = min(self.min_ms, min(fresh))
            self.max_ms = max(self.max_ms, max(fresh))
            self.histogram.add(*fresh)


class Recorder:
    """Listens to Locust's request event; a request belongs to the second and stage in which it was sent."""

    def __init__(
        self, clock: Callable[[], float], secrets: Sequence[str] = (), current: Callable[[], Any] = object
    ) -> None:
        self._clock = clock
        self._current = current  # the greenlet that fires an event
        self._names = Names(secrets)
        self._began = clock()
        self._bounds: list[float] = []  # when each stage began, and at last when the load ended
        self._ended = False
        self._pending: _Pending = defaultdict(list)
        self._cells: defaultdict[tuple[int, int, str, str], _Cell] = defaultdict(_Cell)
        self._users: dict[int, int] = {}  # how many there were in each second
        self.requests = 0  # every event, whether it could be counted or not
        self.failures = 0
        self.on_answer: Callable[[float, Any], None] | None = None  # called with when it came, and its latency as told
        self.unanswered = 0  # requests that are in the windows, but that Locust never saw

    def on_request(
        self,
        request_type: object = "",
        name: object = "",
        response_time: Any = None,
        response_length: Any = None,
        exception: object = None,
        response: Any = None,
        **_: object,
    ) -> None:
        """Locust's request event."""
        self.requests += 1
        self.failures += bool(exception)
        if exception:
            exception = told(exception, response)
        status = getattr(response, "status_code", None)
        at = self._clock()
        self._pending[request_type, name].append((at, response_time, response_length, exception, status))
        if self.on_answer is not None:
            self.on_answer(at, response_time)

    def on_late_request(self, response_time: Any = None, **event: Any) -> None:
        """Locust's request event where users wait for arrivals: a task's first request began when that was due."""
        if late_ms := bear(self._current()):
            response_time = (response_time or 0.0) + late_ms
        self.on_request(response_time=response_time, **event)

    def record_unanswered(self, method: str, name: str, latency_ms: float, error: str) -> None:
        """Count a request for which Locust fires no event: one that was never answered."""
        self.unanswered += 1
        self._pending[method, name].append((self._clock(), latency_ms, 0, error, None))

    def begin(self, at: float) -> None:
        """The load begins: seconds count from here."""
        self._began = at

    def begin_stage(self, at: float) -> None:
        """The next stage begins."""
        self._bounds.append(at)

    def end_stages(self, at: float) -> None:
        """The last stage is over: what is sent from here on is not measured."""
        self._bounds.append(at)
        self._ended = True

    def see_users(self, users: int) -> None:
        """So many users run now."""
        self._users[self._second_of(self._clock())] = users

    def users_lately(self, seconds: int = 3) -> dict[int, int]:
        """How many users there were in each of the last few seconds."""
        return dict(list(self._users.items())[-seconds:])

    def fold(self) -> None:
        """Count what was appended; called often, so that no single call delays the users."""
        pending, self._pending = self._pending, defaultdict(list)
        for (method, name), answers in pending.items():
            self._sort(answers, self._names.endpoint(str(method or ""), str(name)))
        for cell in self._cells.values():
            cell.count()

    def _sort(self, answers: list[_Answer], endpoint: tuple[str, str]) -> None:
        """Put the answers of an endpoint into their cells; one is mostly in the same as the one before it."""
        since = until = 0.0
        for at, response_time, response_length, exception, status in answers:
            try:
                latency_ms, size = float(response_time or 0), int(response_length or 0)
                sent = at - latency_ms / 1000
                if not since <= sent < until:
                    cell, since, until = self._cell(sent, endpoint)
            except (TypeError, ValueError, OverflowError):
                continue  # a user's own event whose numbers are none: it is missing in the windows, and that is seen
            cell.fresh_ms.append(latency_ms)
            cell.bytes += size
            if status:
                cell.status_codes[str(status)] += 1
            if exception:
                cell.failures += 1
                cell.errors[self._names.error(exception)] += 1

    def _cell(self, sent: float, endpoint: tuple[str, str]) -> tuple[_Cell, float, float]:
        """The cell of what was sent at that moment, and from when until when it is that one."""
        second = self._second_of(sent)
        begun = bisect_right(self._bounds, sent)
        stage = AFTER if self._ended and begun == len(self._bounds) else max(0, begun - 1)
        since = max([self._began + second, *self._bounds[:begun]])
        until = min([self._began + second + 1, *self._bounds[begun:]])
        return self._cells[second, stage, *endpoint], since, until

    def _second_of(self, moment: float) -> int:
        return max(0, int(moment - self._began))

    def flush(self) -> tuple[Window, ...]:
        """The windows of everything counted since the last flush."""
        self.fold()
        cells, self._cells = self._cells, defaultdict(_Cell)
        return tuple(
            Window(
                second=second,
                stage=stage,
                method=method,
                endpoint=name,
                users=self._users.get(second, 0),
                requests=cell.requests,
                failures=cell.failures,
                bytes=cell.bytes,
                sum_ms=cell.sum_ms,
                min_ms=cell.min_ms,
                max_ms=cell.max_ms,
                histogram=cell.histogram,
                status_codes=dict(cell.status_codes),
                errors=dict(cell.errors),
            )
            for (second, stage, method, name), cell in sorted(cells.items())
        )
