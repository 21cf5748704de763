"""Whether a load has got worse: where its numbers stand among the comparable runs', and what a second look says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from statistics import median

from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.changepoints import Drift, drift
from pytest_loadperf.judge.controlled import again_of, as_now, machine_since
from pytest_loadperf.judge.limits import FromBaseline
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.rule import RUNS_NEEDED, Standing, away, scale_of
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.measure import interval
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.quantity import show_rate_percent
from pytest_loadperf.records import Change, LoadRecord, Status, Verdict

FAILS_MORE = 0.01  # of the requests
_SQRT2 = math.sqrt(2)
_Z = 1.96


def judge_change(
    verdict: Verdict, threshold: Threshold, limit: FromBaseline, load: LoadRecord, baseline: Baseline
) -> Verdict:
    """The verdict on a limit that moves with the baseline."""
    metric, kind = threshold.metric, threshold.metric.kind
    observed = metric.value(load)
    comparable, levels = _of_series(metric, load, baseline)
    if not levels:
        return replace(verdict, status="no_baseline", observed=kind.show(observed, 3), reason=comparable.why_empty)
    series = _Series(threshold, limit, levels, own_error(metric, load))
    change = series.change(observed, as_now(metric, again_of(load), load) if load.again else math.nan)
    status, reason = series.status(change)
    if status in ("ok", "improved") and (why := _fails_more(metric, load, comparable)):
        status, reason = "inconclusive", f"{reason}: {why}"
    shown, shown_bound = kind.shown(observed, series.bound)
    (centre,) = kind.shown(change.centre)
    return replace(
        verdict,
        status=status,
        observed=shown,
        limit=f"{threshold.op} {shown_bound} ({limit.around(centre)})",
        baseline=comparable.line + machine_since(metric, (earlier for _, earlier in comparable.loads), load),
        reason=reason,
        change=change,
    )


def drifting(metric: Metric, load: LoadRecord, baseline: Baseline) -> Drift | None:
    """Whether this run and the comparable ones just before it are together worse than those before them."""
    _, levels = _of_series(metric, load, baseline)
    return drift([*levels[-1], metric.value(load)], scale_of(metric.name)) if levels else None


def _of_series(metric: Metric, load: LoadRecord, baseline: Baseline) -> tuple[Baseline, list[list[float]]]:
    """The comparable runs that have this number, and the number of each on the machine as it is now, level by level."""
    scale = scale_of(metric.name)
    values = {run.id: as_now(metric, earlier, load) for run, earlier in chain.from_iterable(baseline.levels)}
    comparable = baseline.of_series(str(metric), lambda run: scale.forward(values[run.id]))
    return comparable, [[values[run.id] for run, _ in level] for level in comparable.levels]


def is_suspect(verdict: Verdict) -> bool:
    """Whether another measurement should decide."""
    change = verdict.change
    return change is not None and (change.undecided or (change.suspect and math.isnan(change.again)))


class _Series:
    """The comparable runs of one number, and the limit that they make."""

    def __init__(
        self, threshold: Threshold, limit: FromBaseline, levels: Sequence[Sequence[float]], own_error: float
    ) -> None:
        self._threshold = threshold
        self._scale = scale_of(threshold.metric.name)
        self._worse = 1.0 if threshold.op.startswith("<") else -1.0

        def standing(error: float) -> Standing:
            return Standing(levels, self._scale, worse=self._worse, own_error=error)

        # How sure this run's own number is does not keep a suspicion down, which costs only a second look: a stall that
        # makes the number unsure is just what that should tell from chance. It does keep an accusation down.
        self._suspecting, self._alone, self._twice = standing(0.0), standing(own_error), standing(own_error / _SQRT2)
        self.bound = limit.value(self._suspecting.centre, threshold.metric.kind)

    def change(self, observed: float, again: float) -> Change:
        """Where the number stands."""
        expecting = self._suspecting
        low, high = self._alone.band
        return Change(
            series=str(self._threshold.metric),
            observed=observed,
            centre=expecting.centre,
            low=low,
            high=high,
            visible=max(expecting.visible, self._twice.visible, key=lambda value: self._worse * value),
            runs=expecting.runs,
            suspect=self._is_beyond(observed) and expecting.is_worse(observed),
            again=again,
        )

    def status(self, change: Change) -> tuple[Status, str]:
        """What it comes to, and why."""
        moved, seen = self._away(change.observed), f"{self._away(change.visible)} would be seen"
        if change.runs < RUNS_NEEDED:
            return "no_baseline", f"{moved}; a verdict needs {RUNS_NEEDED} comparable runs"
        if change.suspect and math.isnan(change.again):
            return "inconclusive", f"{moved}, but not measured again"
        if change.suspect:
            both = f"{moved}, measured again {self._away(change.again)}"
            return ("regressed", both) if self._shows_twice(change) else ("inconclusive", f"{both}: not confirmed")
        if self._is_beyond(change.observed):
            return "inconclusive", f"{moved}, {seen}: within what chance explains"
        if self._alone.is_better(change.observed):
            return "improved", f"{moved}, {seen}"
        if self._scale.hides(change.visible, change.centre, self.bound):
            return "inconclusive", f"{moved}, {seen}: {self._hidden_by(change)}"
        return "ok", f"{moved}, {seen}"

    def _hidden_by(self, change: Change) -> str:
        if not self._scale.relative:
            return "too little to tell"
        if self._scale.hides(self._suspecting.visible, change.centre, self.bound):
            return "runs differ too much"
        return "slow requests came together in this run; a longer stage would tell"

    def _shows_twice(self, change: Change) -> bool:
        forward, back = self._scale.forward, self._scale.back
        mean = back((forward(change.observed) + forward(change.again)) / 2)
        again = self._is_beyond(change.again) and self._suspecting.is_worse(change.again)
        return again and self._twice.is_worse(mean)

    def _is_beyond(self, value: float) -> bool:
        return not self._threshold.holds(value, self.bound)

    def _away(self, value: float) -> str:
        return away(value, self._suspecting.centre, self._scale)


def _fails_more(metric: Metric, load: LoadRecord, baseline: Baseline) -> str:
    """Why a number that its failures bend proves nothing: errors are fast, or slow, but no answers."""
    ours = _failure_rate(metric, load)
    if not bends(metric) or not ours > FAILS_MORE:
        return ""
    before = median(_failure_rate(metric, earlier) for _, earlier in baseline.loads)
    if not ours > before + FAILS_MORE:
        return ""
    return f"more requests failed, {show_rate_percent(ours)} to {show_rate_percent(before)} before"


def bends(metric: Metric) -> bool:
    """Whether failures make a number mean something else."""
    return not metric.of_service and metric.name not in ("failures", "failure_rate")


def _failure_rate(metric: Metric, load: LoadRecord) -> float:
    return measured(load, metric.stage, metric.endpoint).failure_rate


def own_error(metric: Metric, load: LoadRecord) -> float:
    """The standard error of this run's own number, on the metric's scale; 0 where it is not known."""
    summary = measured(load, metric.stage, metric.endpoint)
    if metric.name == "failure_rate":
        return 0.5 / math.sqrt(summary.requests / summary.effects.get(interval.FAILED, 1.0))
    if metric.name == "failures":
        return 0.5  # of a count's root, whatever the count
    if metric.percent is None:
        return 0.0
    low, high = summary.interval_ms(metric.percent)
    return math.log(min(high, summary.max_ms) / low) / (2 * _Z) if low > 0 else 0.0
