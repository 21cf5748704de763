"""What the HTML page shows, computed before a template is opened."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from pytest_loadperf.judge.causes import likely_cause
from pytest_loadperf.judge.doubts import Doubt, doubts
from pytest_loadperf.judge.paired import Comparison, comparisons
from pytest_loadperf.measure.summary import cpu_percent_of, memory_bytes_of, stages_of
from pytest_loadperf.model import ArrivalRecord, ServiceEvent, StageRecord, Summary, Trial
from pytest_loadperf.quantity import show_bytes, show_ms, show_number, show_per_second, show_percent, show_rate_percent
from pytest_loadperf.records import Acceptance, LoadRecord, RunRecord
from pytest_loadperf.report.capacity import Found
from pytest_loadperf.report.charts import sparkline
from pytest_loadperf.report.comparable import until
from pytest_loadperf.report.distribution import Distribution, distribution
from pytest_loadperf.report.figures import Figure, over_time
from pytest_loadperf.report.outcome import Outcome, in_words, outcome_of
from pytest_loadperf.report.trend import Point, Trend, endpoints_of_interest, trend
from pytest_loadperf.report.trend_figures import over_runs
from pytest_loadperf.report.variants import Variants, variants
from pytest_loadperf.result import LoadResult

_LISTED = 50  # runs in a table; the charts show them all
_SPARKS = 30


@dataclass(frozen=True)
class KeyFigure:
    """One number of a load, with what it was before."""

    name: str
    value: str
    before: str = ""


@dataclass(frozen=True)
class TrialPart:
    """One trial, and its charts."""

    result: LoadResult
    trial: Trial
    figures: tuple[Figure, ...]
    open: bool  # whether its charts are shown at once: the slowest trial's are


@dataclass(frozen=True)
class StagePart:
    """One stage, over all trials."""

    record: StageRecord  # of one trial: what was asked for is the same in all
    summary: Summary
    cpu_percent: float  # mean; NaN where the service can't be sampled
    memory_bytes: float  # peak; NaN likewise


@dataclass(frozen=True)
class PairPart:
    """One pair, side by side: p95 of all measured stages of each build."""

    candidate_ms: float
    baseline_ms: float

    @property
    def change(self) -> str:
        """How much more the candidate's is; empty where one of both is missing."""
        change = self.candidate_ms / self.baseline_ms - 1 if self.baseline_ms else math.nan
        return "" if math.isnan(change) else f"{change:+.1%}"


@dataclass(frozen=True)
class TrendPart:
    """A load, or one of its endpoints, over the runs."""

    name: str
    trend: Trend
    figures: tuple[Figure, ...]

    @property
    def words(self) -> str:
        """What it, or one of its runs, is found by."""
        return " ".join([self.name, *dict.fromkeys(word for point in self.listed for word in point.words.split())])

    @property
    def listed(self) -> Sequence[Point]:
        """The newest runs, newest first."""
        return self.trend.points[: -_LISTED - 1 : -1]


@dataclass(frozen=True)
class LoadPart:
    """All that is shown of one load."""

    anchor: str
    record: LoadRecord
    result: LoadResult
    trials: tuple[TrialPart, ...]
    trends: tuple[TrendPart, ...]  # of the whole load, then of the endpoints that thresholds name
    before: tuple[LoadRecord, ...]  # what it is compared with: earlier runs, or the other build
    distribution: Distribution
    accepted: tuple[Acceptance, ...] = ()

    @property
    def trend(self) -> Trend:
        """The whole load over the runs."""
        return self.trends[0].trend

    @property
    def words(self) -> str:
        """What it is found by."""
        status = self.trend.now.status
        return f"{self.record.key} {in_words(status) if status else ''}"

    @property
    def first_run(self) -> bool:
        """Whether no earlier run has this load."""
        return len(self.trend.points) == 1 and not self.trend.baseline.loads

    @property
    def stages(self) -> list[StagePart]:
        """Each stage with its numbers over all trials."""
        return _stage_parts(self.record)

    @property
    def again(self) -> list[StagePart]:
        """The stages of the second measurement, where there was a suspicion."""
        return _stage_parts(replace(self.record, trials=self.record.again))

    @property
    def pairs(self) -> list[PairPart]:
        """The pairs, where the load ran side by side with another build."""
        beside = LoadResult.of(replace(self.record, trials=self.record.against)).trials
        return [PairPart(ours.p95_ms, theirs.p95_ms) for ours, theirs in zip(self.result.trials, beside, strict=False)]

    @property
    def beside(self) -> list[Comparison]:
        """Every series against that of the other build."""
        return comparisons(self.record)

    @property
    def doubts(self) -> list[Doubt]:
        """Why these numbers may not be the service's own."""
        return doubts(self.record)

    @property
    def events(self) -> list[tuple[str, ServiceEvent]]:
        """What happened to the service's containers, and when: in which trial, if there are several."""
        several = len(self.record.trials) > 1
        numbered = [(f"trial {number}" if several else "", each) for number, each in enumerate(self.record.trials, 1)]
        again = [("measured again", each) for each in self.record.again]
        beside = [(f"{self.record.against_short}, trial {n}", each) for n, each in enumerate(self.record.against, 1)]
        return [(when, event) for when, trial in (*numbered, *again, *beside) for event in trial.events]

    @property
    def cause(self) -> str:
        """What most likely made it fail, or slower; empty where its data does not tell."""
        return likely_cause(self.record, self.before)

    @property
    def found(self) -> Found | None:
        """What the search for capacity found, where it is one."""
        return None if self.record.capacity is None else Found(self.record.capacity)

    @property
    def arrivals(self) -> dict[str, ArrivalRecord]:
        """How the arrivals of each stage with a rate went."""
        return {name: stage.arrivals for name, stage in self.result.stages.items() if stage.arrivals is not None}

    @property
    def key_figures(self) -> list[KeyFigure]:
        """The load at a glance, each number beside the baseline's median."""
        result, used = self.result, self.result.service
        return [
            KeyFigure("Requests", f"{result.requests:,}"),
            KeyFigure("Per second", show_number(result.rps), self._before("rps")),
            KeyFigure("Failed", show_rate_percent(result.failure_rate), self._before("failure_rate")),
            *(
                KeyFigure(name, show_ms(result.percentile_ms(float(name[1:]))), self._before(name))
                for name in ("p50", "p95", "p99")
            ),
            KeyFigure("CPU, mean", show_percent(used.cpu_percent)),
            KeyFigure("Memory, peak", show_bytes(used.memory_mb * 1e6)),
        ]

    def _before(self, metric: str) -> str:
        median, change = self.trend.medians[metric], self.trend.change(metric)
        if math.isnan(median):
            return ""
        show = {"rps": show_per_second, "failure_rate": show_rate_percent}.get(metric, show_ms)
        by = "" if math.isnan(change) or metric == "failure_rate" else f" ({_signed(change)})"
        return f"median {show(median)}{by}"

    @property
    def change(self) -> str:
        """How far p95 is from the baseline's median: '48% above'; empty without a baseline."""
        change = self.trend.change("p95")
        return "" if math.isnan(change) else f"{abs(change):.0%} {'above' if change > 0 else 'below'}"

    @property
    def spark_values(self) -> list[float]:
        """p95 of the newest runs that can be compared, this one last."""
        return [point.p95 for point in self.trend.points if not point.why_apart][-_SPARKS:]

    @property
    def spark(self) -> str:
        """The same as a small line."""
        values = self.spark_values
        return sparkline(values, f"p95 over the last {len(values)} comparable runs", width=200, height=32)


@dataclass(frozen=True)
class Page:
    """The whole page."""

    run: RunRecord
    outcome: Outcome
    loads: tuple[LoadPart, ...]
    runs: int  # with this one

    @property
    def variants(self) -> list[Variants]:
        """Parametrised loads, their variants side by side."""
        return variants([(load.anchor, load.result) for load in self.loads])

    @property
    def images(self) -> list[tuple[str, str]]:
        """Each service's name with the digest of its image."""
        services = [load.record.service for load in self.loads]
        return list(dict.fromkeys((service.name, service.digest) for service in services if service.digest))

    @property
    def requests(self) -> int:
        """Measured requests of all loads."""
        return sum(load.result.requests for load in self.loads)

    def load(self, key: str) -> LoadPart | None:
        """The load with this key; None if it never came to run."""
        return next((load for load in self.loads if load.record.key == key), None)


def _signed(change: float) -> str:
    return "±0%" if abs(change) < 0.005 else f"{change:+.0%}"


def page_of(run: RunRecord, history: Sequence[RunRecord], shown: Container[str] | None = None) -> Page:
    """The page of a run, with the runs before it, all of them or those with the ids `shown`."""
    loads = tuple(_load_part(run, history, load, number, shown) for number, load in enumerate(run.loads, start=1))
    return Page(run, outcome_of(run), loads, len(until(run, history)))


def _load_part(
    run: RunRecord, history: Sequence[RunRecord], load: LoadRecord, number: int, shown: Container[str] | None
) -> LoadPart:
    names = [None, *endpoints_of_interest(run, load)]
    trends = [(name or load.name, trend(run, history, load.key, name, shown)) for name in names]
    result = LoadResult.of(load)
    before = _before(load, trends[0][1])
    return LoadPart(
        anchor=f"load-{number}",
        record=load,
        result=result,
        trials=_trial_parts(result),
        trends=tuple(TrendPart(name, each, tuple(over_runs(each))) for name, each in trends),
        before=before,
        distribution=distribution(result, before, load.against_short),
        accepted=tuple(each for each in run.accepted if load.key in each.loads),
    )


def _before(load: LoadRecord, whole: Trend) -> tuple[LoadRecord, ...]:
    if load.against:
        return (replace(load, trials=load.against, against=()),)
    return whole.before


def _stage_parts(load: LoadRecord) -> list[StagePart]:
    found = ((stages_of(load, name), summary) for name, summary in LoadResult.of(load).stages.items())
    return [
        StagePart(records[0], summary, cpu_percent_of(records), memory_bytes_of(records)) for records, summary in found
    ]


def _trial_parts(result: LoadResult) -> tuple[TrialPart, ...]:
    results, load = result.trials, result.record
    slowest = max(range(len(results)), key=lambda place: results[place].p95_ms, default=0)
    return tuple(
        TrialPart(result, trial, tuple(over_time(trial, load.service)), place == slowest)
        for place, (result, trial) in enumerate(zip(results, load.trials, strict=True))
    )
