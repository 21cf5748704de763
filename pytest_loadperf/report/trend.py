"""Each load's numbers over the runs: what they were, which may be compared, and where the baseline stands."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.baseline import Baseline, called, find
from pytest_loadperf.judge.changepoints import ChangePoint, change_points
from pytest_loadperf.judge.controlled import slowdown
from pytest_loadperf.judge.limits import Quantity
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.rule import scale_of
from pytest_loadperf.judge.soundness import Earlier, is_unconfirmed, verdicts_on
from pytest_loadperf.judge.thresholds import Threshold, parse
from pytest_loadperf.measure.summary import endpoint_of, measured, summary_of
from pytest_loadperf.records import Acceptance, Change, LoadRecord, RunRecord, Status
from pytest_loadperf.report.comparable import of_load, until, why_apart
from pytest_loadperf.report.outcome import in_words, worst

METRICS = ("p50", "p95", "p99", "failure_rate", "rps")


@dataclass(frozen=True)
class Point:
    """One run's numbers of one load (or one endpoint of it), in base units; NaN where nothing was sent.

    Its latencies are taken to the machine as it is in the run that is reported, where their control tells.
    """

    run: RunRecord
    load: LoadRecord
    slower: float  # so many times by the control
    status: Status | None  # the gravest of its verdicts
    failed: bool  # a threshold of this load broke
    unconfirmed: bool  # it seemed to have regressed, and that did not show again
    changes: dict[str, Change]  # by series: how its numbers stood against the runs before it, where they were judged
    why_apart: str  # why it can't be compared with the newest run; empty where it can
    requests: int
    p50: float
    p95: float
    p99: float
    failure_rate: float
    rps: float

    @property
    def called(self) -> str:
        """How the run is named: its time and commit."""
        return called(self.run)

    @property
    def words(self) -> str:
        """What it is found by."""
        return " ".join(filter(None, (self.called, self.branch, self.status and in_words(self.status))))

    @property
    def branch(self) -> str:
        """The branch it ran on, if that is known."""
        return (self.run.commit and self.run.commit.branch) or ""


@dataclass(frozen=True)
class Limit:
    """A threshold's absolute limit on one of the metrics."""

    metric: str
    value: float
    text: str  # "< 250 ms"


@dataclass(frozen=True)
class Trend:
    """One load (or endpoint) over the runs, oldest first; the last point is the run that is reported."""

    points: tuple[Point, ...]
    baseline: Baseline
    medians: dict[str, float]  # of the baseline's runs, by metric; NaN where there are none
    limits: tuple[Limit, ...] = ()
    endpoint: str | None = None
    accepted: tuple[Acceptance, ...] = ()  # changes that were taken for the new normal
    before: tuple[LoadRecord, ...] = ()  # those that a verdict on p95 compares with

    @property
    def now(self) -> Point:
        """The run that is reported."""
        return self.points[-1]

    @property
    def is_controlled(self) -> bool:
        """Whether the machine of other runs is allowed for."""
        return any(point.slower != 1.0 for point in self.points)

    @property
    def failing(self) -> tuple[Point, ...]:
        """The newest comparable runs, as far back as all of them failed."""
        comparable = [point for point in self.points if not point.why_apart]
        held = [place for place, point in enumerate(comparable) if not point.failed]
        return tuple(comparable[held[-1] + 1 :] if held else comparable)

    def change(self, metric: str) -> float:
        """How far the run is from the baseline's median: 0.1 is a tenth above it; NaN where there is none."""
        before = self.medians[metric]
        return float(getattr(self.now, metric)) / before - 1 if before else float("nan")

    def expected(self, metric: str, place: int) -> tuple[float, float]:
        """Between which values the run at this place was expected, 95 times of 100; NaN where nobody reckoned it."""
        point, name = self.points[place], Metric(metric, self.endpoint)
        change = point.changes.get(str(name))
        if change is None:
            return math.nan, math.nan
        slower = point.slower if name.percent is not None else 1.0
        return change.low * slower, change.high * slower

    def interval(self, metric: str, place: int) -> tuple[float, float] | None:
        """Between which values the true one of this run lies, 95 times of 100; None for what has no such interval."""
        percent = Metric(metric).percent
        if percent is None:
            return None
        point = self.points[place]
        summary = measured(point.load, endpoint=self.endpoint)
        low, high = summary.interval_ms(percent)
        return low * point.slower, min(high, summary.max_ms) * point.slower

    def levels(self) -> list[tuple[int, Acceptance]]:
        """The changes that were accepted, each with the place of the first run of its level."""
        first = ((next(self._since(each), None), each) for each in self.accepted)
        return [(place, each) for place, each in first if place is not None]

    def _since(self, accepted: Acceptance) -> Iterator[int]:
        return (place for place, point in enumerate(self.points) if point.run.started_at >= accepted.since)

    def change_points(self, metric: str) -> list[ChangePoint]:
        """Where its level changed among the comparable runs; a place is that of the point."""
        places = [place for place, point in enumerate(self.points) if not point.why_apart]
        values = [float(getattr(self.points[place], metric)) for place in places]
        return [replace(each, place=places[each.place]) for each in change_points(values, scale_of(metric))]


def trend(
    run: RunRecord,
    history: Sequence[RunRecord],
    key: str,
    endpoint: str | None = None,
    shown: Container[str] | None = None,
) -> Trend:
    """A load of `run` over the runs before it, all of them or those with the ids `shown`.

    KeyError if the run has no such load.
    """
    now = next((load for load in run.loads if load.key == key), None)
    if now is None:
        raise KeyError(key)
    runs = until(run, history)
    baseline = find(runs[:-1], now, run.commit, run.baseline, run.accepted)
    points = tuple(_point(earlier, (run, now), endpoint) for earlier in of_load(runs, key))
    by_run = {point.run.id: point for point in points}
    compared = {name: _compared(Metric(name, endpoint), by_run, baseline) for name in METRICS}
    accepted = tuple(each for each in run.accepted if key in each.loads)
    return Trend(
        points=tuple(point for point in points if shown is None or point.run.id in shown or point.run is run),
        baseline=baseline,
        medians={
            name: median(getattr(point, name) for point in before) if before else math.nan
            for name, before in compared.items()
        },
        limits=tuple(_limits(run, key, endpoint)),
        endpoint=endpoint,
        accepted=accepted,
        before=tuple(point.load for point in compared["p95"]),
    )


def endpoints_of_interest(run: RunRecord, load: LoadRecord) -> list[str]:
    """The endpoints that a threshold on this load names, and that it saw."""
    named = dict.fromkeys(threshold.metric.endpoint for threshold, _ in _thresholds(run, load.key))
    whole = summary_of(load)
    return [name for name in named if name and whole and endpoint_of(whole, name)]


def _point(earlier: Earlier, newest: Earlier, endpoint: str | None) -> Point:
    run, load = earlier
    verdicts = list(verdicts_on(run, load))
    summary = measured(load, endpoint=endpoint)
    slower = slowdown(load, newest[1])
    p50, p95, p99 = (value * slower for value in summary.percentiles_ms((50, 95, 99)))
    return Point(
        run=run,
        load=load,
        slower=slower,
        status=worst(verdicts),
        failed=any(verdict.breach for verdict in verdicts),
        unconfirmed=is_unconfirmed(run, load),
        changes={verdict.change.series: verdict.change for verdict in verdicts if verdict.change is not None},
        why_apart=why_apart(earlier, newest),
        requests=summary.requests,
        p50=p50,
        p95=p95,
        p99=p99,
        failure_rate=summary.failure_rate,
        rps=summary.rps,
    )


def _compared(metric: Metric, by_run: Mapping[str, Point], baseline: Baseline) -> list[Point]:
    """Those of the baseline's runs that have this number; an improvement may have begun a level of its own."""
    having = baseline.of_series(str(metric), lambda run: float(getattr(by_run[run.id], metric.name)))
    return [by_run[run.id] for run, _ in having.loads]


def _limits(run: RunRecord, key: str, endpoint: str | None) -> Iterator[Limit]:
    """What the run's thresholds demand of the whole load (or of the endpoint) in so many words."""
    for threshold, text in _thresholds(run, key):
        metric, limit = threshold.metric, threshold.limit
        if isinstance(limit, Quantity) and metric.name in METRICS and metric == Metric(metric.name, endpoint):
            yield Limit(metric.name, limit.value(metric.kind), text)


def _thresholds(run: RunRecord, key: str) -> Iterator[tuple[Threshold, str]]:
    """The thresholds on a load with their limits as shown; one written for another version is passed over."""
    for test in run.tests:
        for verdict in test.verdicts:
            if verdict.load == key:
                try:
                    yield parse(verdict.threshold), verdict.limit
                except UsageFault:
                    continue
