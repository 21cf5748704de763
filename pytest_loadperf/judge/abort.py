"""Whether a running load has to stop early."""

from __future__ import annotations

from collections.abc import Callable

from pytest_loadperf.loadspec import AbortRule
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.measure.summary import measured, summarise
from pytest_loadperf.model import GeneratorRecord, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, ServiceRecord

_LEAST_REQUESTS = 10  # of fewer, all may fail by chance


def abort_check(rule: AbortRule | None) -> Callable[[float, Collector], str | None]:
    """A function that is asked every second, and says in words why the load has to stop, or None."""
    if rule is None:
        return lambda _at_s, _collector: None

    def check(at_s: float, collector: Collector) -> str | None:
        if at_s < rule.for_s:
            return None
        recent = _recent(collector, at_s, rule.for_s)
        metric, limit = rule.condition.metric, rule.limit.value(rule.condition.metric.kind)
        if metric.name == "failure_rate" and measured(recent).requests < _LEAST_REQUESTS:
            return None
        observed = metric.value(recent)
        if not rule.condition.holds(observed, limit):  # nor if nothing was answered
            return None
        seen, _ = metric.kind.shown(observed, limit)
        return f"stopped after {at_s:.0f} s by abort={str(rule)!r}: {seen} was seen"

    return check


def _recent(collector: Collector, at_s: float, for_s: float) -> LoadRecord:
    summary = summarise(collector.since(int(at_s - for_s)), for_s)
    stage = StageRecord(Stage(users=1, duration="1s"), 0.0, summary)
    trial = Trial("", (stage,), GeneratorRecord(summary.requests))
    return LoadRecord("", "", ServiceRecord("url", ""), (trial,), {})
