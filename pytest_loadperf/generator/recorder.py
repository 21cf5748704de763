"""Counts requests into windows; the request path only appends, the counting is done in between."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import Window
from pytest_loadperf.redact import redact

AFTER = -1  # the stage of requests that were sent after the last one
_MOST_ERRORS = 100  # distinct error texts of one load; what comes after counts as one
_OTHER_ERRORS = "(other errors)"
_LONGEST_ERROR = 300
_MOST_ENDPOINTS = 500  # of one load; users who put an id into every URL make one each
_OTHER_ENDPOINTS = ("", "(other endpoints)")
_MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(slots=True)
class _Cell:
    """The counts of one endpoint in one second of one stage, since the last flush."""

    requests: int = 0
    failures: int = 0
    bytes: int = 0
    sum_ms: float = 0.0
    min_ms: float = float("inf")
    max_ms: float = 0.0
    histogram: Histogram = field(default_factory=Histogram)
    status_codes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Listens to Locust's request event; a request belongs to the second and stage in which it was sent."""

    def __init__(self, clock: Callable[[], float], secrets: Sequence[str] = ()) -> None:
        self._clock = clock
        self._secrets = secrets
        self._began = clock()
        self._bounds: list[float] = []  # when each stage began, and at last when the load ended
        self._ended = False
        self._pending: list[tuple[float, object, object, Any, Any, object, object]] = []
        self._cells: dict[tuple[int, int, str, str], _Cell] = {}
        self._users: dict[int, int] = {}  # how many there were in each second
        self._endpoints: dict[tuple[str, str], tuple[str, str]] = {}  # as counted, by how the users call them
        self._error_texts: set[str] = set()
        self.requests = 0  # every event, whether it could be counted or not
        self.failures = 0
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
        status = getattr(response, "status_code", None)
        self._pending.append((self._clock(), request_type, name, response_time, response_length, exception, status))

    def record_unanswered(self, method: str, name: str, latency_ms: float, error: str) -> None:
        """Count a request for which Locust fires no event: one that was never answered."""
        self.unanswered += 1
        self._pending.append((self._clock(), method, name, latency_ms, 0, error, None))

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

    def fold(self) -> None:
        """Count what was appended; called often, so that no single call delays the users."""
        pending, self._pending = self._pending, []
        for at, method, name, response_time, response_length, exception, status in pending:
            try:
                latency_ms, size = float(response_time or 0), int(response_length or 0)
                sent = at - latency_ms / 1000
                second = self._second_of(sent)
            except (TypeError, ValueError, OverflowError):
                continue  # a user's own event whose numbers are none: it is missing in the windows, and that is seen
            key = (second, self._stage_of(sent), *self._endpoint(str(method or ""), str(name)))
            self._count(self._cells.setdefault(key, _Cell()), latency_ms, size, exception, status)

    def _second_of(self, moment: float) -> int:
        return max(0, int(moment - self._began))

    def _stage_of(self, sent: float) -> int:
        stage = max(0, bisect_right(self._bounds, sent) - 1)
        return AFTER if self._ended and stage == len(self._bounds) - 1 else stage

    def _count(self, cell: _Cell, latency_ms: float, size: int, exception: object, status: object) -> None:
        cell.requests += 1
        cell.bytes += size
        cell.sum_ms += latency_ms
        cell.min_ms = min(cell.min_ms, latency_ms)
        cell.max_ms = max(cell.max_ms, latency_ms)
        cell.histogram.add(latency_ms)
        if status:
            cell.status_codes[str(status)] += 1
        if exception:
            cell.failures += 1
            cell.errors[self._error_text(exception)] += 1

    def _error_text(self, exception: object) -> str:
        raw = exception if isinstance(exception, str) else repr(exception)
        text = redact(_MEMORY_ADDRESS.sub("", raw), self._secrets)[:_LONGEST_ERROR]
        if text not in self._error_texts and len(self._error_texts) >= _MOST_ERRORS:
            return _OTHER_ERRORS
        self._error_texts.add(text)
        return text

    def flush(self) -> tuple[Window, ...]:
        """The windows of everything counted since the last flush."""
        self.fold()
        cells, self._cells = self._cells, {}
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

    def _endpoint(self, method: str, name: str) -> tuple[str, str]:
        """Method and name as they are counted: without secrets, and no more of them than a report can hold."""
        known = self._endpoints.get((method, name))
        if known is None:
            if len(self._endpoints) >= _MOST_ENDPOINTS:
                return _OTHER_ENDPOINTS
            known = self._endpoints[method, name] = (method, redact(name, self._secrets))
        return known
