"""What a threshold comes to on a load."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.doubts import doubts, in_doubt, tail_doubts
from pytest_loadperf.judge.limits import FromBaseline, Quantity, Tolerance
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.paired import judge_paired, requests_of_fewer
from pytest_loadperf.judge.regression import judge_change
from pytest_loadperf.judge.statistics import are_enough, failure_rate_bound, requests_needed
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.measure import interval
from pytest_loadperf.measure.summary import measured, stages_of, unsent, without_unsent
from pytest_loadperf.model import Summary
from pytest_loadperf.quantity import show_ms, show_rate_percent
from pytest_loadperf.records import LoadRecord, Status, Verdict

# The least that the rule calls a change at all.
_LATENCY = Tolerance(percent=Decimal(5))
_LATENCY_BESIDE = Tolerance(percent=Decimal(2))  # side by side
_CAPACITY = Tolerance(percent=Decimal(10))
_FAILURES = Tolerance(amount=Quantity(Decimal("0.1"), "%"))


def judge(threshold: Threshold, load: LoadRecord, baseline: Baseline | None, test: str) -> Verdict:
    """What a threshold of a test comes to on a load.

    Want of data breaks it, want of a baseline is said, too few requests or doubts about the load make it inconclusive.
    """
    metric, limit = threshold.metric, threshold.limit
    verdict = Verdict(
        test=test,
        load=load.key,
        threshold=threshold.text or str(threshold),
        status="broken",
        observed="no data",
        limit=f"{threshold.op} {limit}",
    )
    observed = metric.value(load)
    if math.isnan(observed):
        limited = metric.of_capacity and load.capacity is not None and load.capacity.limited
        return replace(verdict, status="inconclusive" if limited else "broken", reason=metric.why_missing(load))
    if metric.of_capacity and observed == 0:  # which is no multiple of any baseline
        return replace(verdict, observed=metric.kind.show(0.0, 3), reason="no load held")
    if isinstance(limit, FromBaseline):
        if metric.percent is not None and (why := _too_few_to_tell(load, metric, metric.percent)):
            return replace(verdict, status="inconclusive", observed=metric.kind.show(observed, 3), reason=why)
        if load.against_name:
            verdict = judge_paired(verdict, threshold, limit, load)
        else:
            verdict = judge_change(verdict, threshold, limit, load, baseline or Baseline())
    else:
        verdict = _judge_absolute(verdict, threshold, limit.value(metric.kind), observed, load)
    if metric.of_capacity and load.capacity is not None and load.capacity.limited:
        verdict = _at_least(verdict, load.capacity.limited)
    found = doubts(load if threshold.relative else replace(load, against=()), metric.stage)
    if verdict.breach and not found and threshold.excusable and metric.tail is not None:
        found = tail_doubts(load, metric.stage, metric.tail)
    excusable = threshold.excusable or (verdict.breach and _holds_of_what_was_sent(threshold, load, baseline))
    return in_doubt(verdict, found, excusable)


def _holds_of_what_was_sent(threshold: Threshold, load: LoadRecord, baseline: Baseline | None) -> bool:
    """Whether a limit on failures is broken only by requests that the generator's machine could not send."""
    if threshold.metric.name not in ("failures", "failure_rate"):
        return False
    if not any(unsent(record.summary) for record in stages_of(load, threshold.metric.stage)):
        return False
    return not judge(threshold, without_unsent(load), baseline, "").breach


def advised(load: LoadRecord) -> list[Threshold]:
    """What is judged although nobody asked: whether any stage got slower, or fails more often, than it did.

    Of a search for capacity, whether it found less.
    """
    if load.capacity is not None:
        return [Threshold(Metric("capacity.rps"), ">", FromBaseline("-", _CAPACITY))]
    advice = (("p95", _LATENCY_BESIDE if load.against_name else _LATENCY), ("failure_rate", _FAILURES))
    stages = dict.fromkeys(record.stage.name for record in stages_of(load) if record.summary.requests)
    return [
        Threshold(Metric(name, stage=stage if len(stages) > 1 else None), "<", FromBaseline("+", tolerance))
        for stage in stages
        for name, tolerance in advice
    ]


def _judge_absolute(verdict: Verdict, threshold: Threshold, bound: float, observed: float, load: LoadRecord) -> Verdict:
    metric = threshold.metric
    shown, shown_bound = metric.kind.shown(observed, bound)
    holds = threshold.holds(observed, bound)
    verdict = replace(
        verdict, status="ok" if holds else "broken", observed=shown, limit=f"{threshold.op} {shown_bound}"
    )
    summary = measured(load, metric.stage, metric.endpoint)
    if metric.percent is not None:
        return _with_interval(verdict, threshold, bound, summary, metric.percent)
    if metric.name == "failure_rate" and threshold.op.startswith("<") and holds:
        return replace(verdict, reason=_possible_failures(summary, bound))
    return verdict


def _at_least(verdict: Verdict, limited: str) -> Verdict:
    """The verdict on a capacity that may be larger than what was found."""
    status: Status = "inconclusive" if verdict.breach else verdict.status
    return replace(verdict, status=status, reason="; ".join(filter(None, (f"at least: {limited}", verdict.reason))))


def _with_interval(verdict: Verdict, threshold: Threshold, bound: float, summary: Summary, percent: float) -> Verdict:
    """The verdict on a percentile, in the light of how sure that is."""
    if threshold.op.startswith("<") and threshold.holds(summary.max_ms, bound):
        return _unbroken(verdict, summary, percent)
    low, high = summary.interval_ms(percent)
    if verdict.status == "broken" and math.isinf(high) and are_enough(summary.requests, percent):
        why = f"narrowly: slow requests came together, 95% interval from {show_ms(low)}"
        return replace(verdict, reason=why if threshold.holds(low, bound) else "")
    if math.isinf(high) and threshold.holds(low, bound) == threshold.op.startswith("<"):
        why = _too_few(summary.requests, interval.needed(percent, summary.effects))
        return replace(verdict, status="inconclusive", observed=f"at least {show_ms(low)}", reason=why)
    if threshold.holds(low, bound) == threshold.holds(high, bound):
        return verdict
    return replace(verdict, reason=f"narrowly: 95% interval {show_ms(low)} to {show_ms(high)}")


def _unbroken(verdict: Verdict, summary: Summary, percent: float) -> Verdict:
    """The verdict on a limit that every single request kept: enough of them show that nearly all do."""
    if failure_rate_bound(0, summary.requests) <= 1 - percent / 100:
        return verdict
    return replace(verdict, status="inconclusive", reason=_too_few(summary.requests, requests_needed(percent / 100)))


def _too_few_to_tell(load: LoadRecord, metric: Metric, percent: float) -> str:
    """Why a percentile is one request's own, be it that of the build beside; empty where it is not."""
    requests, of_baseline = requests_of_fewer(metric, load)
    if are_enough(requests, percent):
        return ""
    whose = f"{load.against_name}: " if of_baseline else ""
    return whose + _too_few(requests, requests_needed(percent / 100, 0.975))


def _too_few(requests: int, needed: int) -> str:
    return f"not identifiable with {requests} requests, about {needed} needed"


def _possible_failures(summary: Summary, bound: float) -> str:
    """What to know of a failure rate that holds: that few requests can't show it."""
    effect = summary.effects.get(interval.FAILED, 1.0)
    possible = failure_rate_bound(summary.failures, summary.requests, effect)
    if possible <= bound:
        return ""
    return f"narrowly: {summary.requests} requests leave up to {show_rate_percent(possible)} possible"
