"""What most likely made a load fail, or slower: the one cause that its own data supports best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from statistics import fmean, median

from pytest_loadperf.judge.controlled import slowdown
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.measure.summary import cpu_percent_of, measured, memory_bytes_of, stages_of, summary_of
from pytest_loadperf.model import ServiceEvent, Trial
from pytest_loadperf.quantity import show_bytes, show_percent
from pytest_loadperf.records import LoadRecord

_BEFELL = ("oom", "die", "restart", "pause")  # the gravest first
_FAILS = 0.01  # of the requests: with fewer, failures explain little
_OF_ONE_KIND = 0.8  # of the failures
_FULL = 0.95  # of the memory
_AT_LIMIT = 0.9  # of the CPU, on average over a stage
_STEAL_PERCENT = 5.0
_OTHERS_PERCENT = 25.0  # of a core
_CHANGED = 0.1
_ALONE = 1 / 3  # of the slowest one's change: what the other endpoints may have changed beside it


def likely_cause(load: LoadRecord, before: Sequence[LoadRecord]) -> str:
    """A sentence on what the data supports first in this order; empty where it supports nothing.

    `before` are the loads that it is compared with.
    """
    return next(chain.from_iterable(look(load, before) for look in _LOOKS), "")


def _containers(load: LoadRecord, _: Sequence[LoadRecord]) -> Iterator[str]:
    """What befell them in a measured stage; one that ends without a fault, as a job does, explains nothing."""
    found = [event for trial in load.trials for event in trial.events if _counts(event, trial)]
    for action in _BEFELL:
        same = [event for event in found if event.action == action]
        if same:
            more = f", the first of {len(same)} times" if len(same) > 1 else ""
            yield f"{same[0]} {same[0].at_s:.0f} s after the load began{more}"


def _counts(event: ServiceEvent, trial: Trial) -> bool:
    spans = ((each.began_s, each.began_s + each.summary.duration_s) for each in trial.stages if each.stage.measured)
    inside = any(began <= event.at_s <= ended for began, ended in spans)
    return inside and (event.action, event.detail) != ("die", "0")


def _generator(load: LoadRecord, _: Sequence[LoadRecord]) -> Iterator[str]:
    yield from (doubt.text for doubt in doubts(load) if doubt.blames_generator)


def _failures(load: LoadRecord, before: Sequence[LoadRecord]) -> Iterator[str]:
    """Of one kind, or of one endpoint; as many as ever explain nothing."""
    whole = summary_of(load)
    usual = median([measured(earlier).failure_rate for earlier in before]) if before else 0.0
    if whole is None or not whole.requests or not whole.failure_rate >= usual + _FAILS:
        return
    text, count = max(whole.errors.items(), key=lambda item: item[1], default=("", 0))
    if count >= _OF_ONE_KIND * whole.failures:
        yield f"{count:,} of {whole.failures:,} failures are “{text}”"
    for name, endpoint in whole.endpoints.items():
        if len(whole.endpoints) > 1 and endpoint.failures >= _OF_ONE_KIND * whole.failures:
            yield f"{endpoint.failures:,} of {whole.failures:,} failures are of {name}"


def _memory(load: LoadRecord, _: Sequence[LoadRecord]) -> Iterator[str]:
    limit = load.service.memory_limit_bytes
    used = memory_bytes_of(stages_of(load))
    if limit is not None and used >= _FULL * (most := limit * load.service.most_replicas):
        yield f"the service used {show_bytes(used)} of the {show_bytes(most)} of memory that it may use"


def _cpu(load: LoadRecord, _: Sequence[LoadRecord]) -> Iterator[str]:
    limit = load.service.cpu_limit_percent
    if limit is None:
        return
    most = limit * load.service.most_replicas
    for record in stages_of(load):
        if record.cpu_percent >= _AT_LIMIT * most:
            yield (
                f"the service was at its CPU limit in stage {record.stage.name}: {show_percent(record.cpu_percent)} of "
                f"{show_percent(most)}"
            )


def _machine(load: LoadRecord, before: Sequence[LoadRecord]) -> Iterator[str]:
    slower = median([slowdown(earlier, load) for earlier in before]) - 1 if before else 0.0
    if slower >= _CHANGED:
        yield f"the machine was slower than before: {slower:+.0%} by the control"
    checks = [record.generator for record in stages_of(load)]
    steal = _mean([check.steal_percent for check in checks])
    others = _mean([check.others_percent for check in checks])
    if steal >= _STEAL_PERCENT:
        yield f"the machine was not its own: {show_percent(steal)} of its time went to other virtual machines"
    if others >= _OTHERS_PERCENT:
        yield f"the machine was busy with something else: other processes took {show_percent(others)} of a core"


def _one_endpoint(load: LoadRecord, before: Sequence[LoadRecord]) -> Iterator[str]:
    changes = {name: change for name in _endpoints(load) if math.isfinite(change := _p95_change(load, before, name))}
    if len(changes) < 2:
        return
    slowest = max(changes, key=lambda name: changes[name])
    rest = max(change for name, change in changes.items() if name != slowest)
    if changes[slowest] >= _CHANGED and rest <= _ALONE * changes[slowest]:
        how = "alone is slower" if rest < _CHANGED else "is slower than the others"
        yield f"{slowest} {how}: its p95 {changes[slowest]:+.0%}, the others’ {rest:+.0%} at most"


def _work(load: LoadRecord, before: Sequence[LoadRecord]) -> Iterator[str]:
    """More of it, or more waiting."""
    if not _p95_change(load, before, None) >= _CHANGED:
        return
    change = _change(
        _cpu_per_request(load), [_cpu_per_request(earlier) * slowdown(earlier, load) for earlier in before]
    )
    if change >= _CHANGED:
        yield f"each request takes more of the service’s CPU than before: {change:+.0%}"
    elif change > -_CHANGED:
        yield f"the service waits for something: it is slower, with no more CPU a request ({change:+.0%})"


_LOOKS: tuple[Callable[[LoadRecord, Sequence[LoadRecord]], Iterator[str]], ...] = (
    _containers,
    _generator,
    _failures,
    _memory,
    _cpu,
    _machine,
    _one_endpoint,
    _work,
)


def _endpoints(load: LoadRecord) -> list[str]:
    whole = summary_of(load)
    return [*whole.endpoints] if whole else []


def _p95_change(load: LoadRecord, before: Sequence[LoadRecord], endpoint: str | None) -> float:
    def p95_ms(of: LoadRecord) -> float:
        summary = measured(of, endpoint=endpoint)
        return summary.p95_ms if summary.requests else math.nan

    return _change(p95_ms(load), [p95_ms(earlier) * slowdown(earlier, load) for earlier in before])


def _cpu_per_request(load: LoadRecord) -> float:
    summary = measured(load)
    return cpu_percent_of(stages_of(load)) / summary.rps if summary.requests else math.nan


def _change(now: float, before: Sequence[float]) -> float:
    known = [value for value in before if value > 0]
    return now / median(known) - 1 if known else math.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
