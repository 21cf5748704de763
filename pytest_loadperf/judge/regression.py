"""Whether a load has got worse: where its numbers stand among the comparable runs', and what a second look says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain

from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.changepoints import Drift, drift
from pytest_loadperf.judge.limits import FromBaseline
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.rule import RUNS_NEEDED, Scale, Standing, away, scale_of
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.measure import interval
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.records import Change, LoadRecord, Status, Verdict

BLIND = 0.5  # of the centre: where only larger changes would be seen, a run that keeps its limit proves little
_Z = 1.96


def judge_change(
    verdict: Verdict, threshold: Threshold, limit: FromBaseline, load: LoadRecord, baseline: Baseline
) -> Verdict:
    """The verdict on a limit that moves with the baseline."""
    metric, kind = threshold.metric, threshold.metric.kind
    scale = scale_of(metric.name)
    observed = metric.value(load)
    comparable, levels = _of_series(metric, baseline)
    if not levels:
        return replace(verdict, status="no_baseline", observed=kind.show(observed, 3), reason=comparable.why_empty)
    worse = 1.0 if threshold.op.startswith("<") else -1.0
    standing = Standing(levels, scale, worse=worse, own_error=own_error(metric, load))
    bound = limit.value(standing.centre, kind)
    change = _change(threshold, load, standing, bound)
    status, reason = _status(threshold, change, standing, bound, scale)
    shown, shown_bound = kind.shown(observed, bound)
    (centre,) = kind.shown(standing.centre)
    return replace(
        verdict,
        status=status,
        observed=shown,
        limit=f"{threshold.op} {shown_bound} ({limit.around(centre)})",
        baseline=comparable.line,
        reason=reason,
        change=change,
    )


def drifting(metric: Metric, load: LoadRecord, baseline: Baseline) -> Drift | None:
    """Whether this run and the comparable ones just before it are together worse than those before them."""
    _, levels = _of_series(metric, baseline)
    return drift([*levels[-1], metric.value(load)], scale_of(metric.name)) if levels else None


def _of_series(metric: Metric, baseline: Baseline) -> tuple[Baseline, list[list[float]]]:
    """The comparable runs that have this number, and the number of each, level by level."""
    scale = scale_of(metric.name)
    values = {run.id: metric.value(earlier) for run, earlier in chain.from_iterable(baseline.levels)}
    comparable = baseline.of_series(str(metric), lambda run: scale.forward(values[run.id]))
    return comparable, [[values[run.id] for run, _ in level] for level in comparable.levels]


def is_suspect(verdict: Verdict) -> bool:
    """Whether a second measurement should decide."""
    return verdict.change is not None and verdict.change.suspect and math.isnan(verdict.change.again)


def _change(threshold: Threshold, load: LoadRecord, standing: Standing, bound: float) -> Change:
    metric = threshold.metric
    observed = metric.value(load)
    low, high = standing.band
    return Change(
        series=str(metric),
        observed=observed,
        centre=standing.centre,
        low=low,
        high=high,
        visible=standing.visible,
        runs=standing.runs,
        suspect=not threshold.holds(observed, bound) and standing.is_worse(observed),
        again=metric.value(replace(load, trials=load.again, again=())) if load.again else math.nan,
    )


def _status(threshold: Threshold, change: Change, standing: Standing, bound: float, scale: Scale) -> tuple[Status, str]:
    """What it comes to, and why."""

    def distance(value: float) -> str:
        return away(value, change.centre, scale)

    seen = f"{distance(change.observed)}, {distance(change.visible)} would be seen"
    if change.runs < RUNS_NEEDED:
        return "no_baseline", f"{distance(change.observed)}; a verdict needs {RUNS_NEEDED} comparable runs"
    if change.suspect and math.isnan(change.again):
        return "inconclusive", f"{distance(change.observed)}, but not measured again"
    if change.suspect:
        both = f"{distance(change.observed)}, measured again {distance(change.again)}"
        confirmed = not threshold.holds(change.again, bound) and standing.is_worse(change.again)
        return ("regressed", both) if confirmed else ("inconclusive", f"{both}: not confirmed")
    if not threshold.holds(change.observed, bound):
        return "inconclusive", f"{seen}: within what chance explains"
    if standing.is_better(change.observed):
        return "improved", seen
    if scale.relative and abs(change.visible - change.centre) > BLIND * change.centre:
        return "inconclusive", f"{seen}: runs differ too much"
    return "ok", seen


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
