"""The highest load that holds: what a step of the search came to, and which load to try next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_loadperf.judge.doubts import doubts, is_unreached
from pytest_loadperf.judge.limits import Quantity
from pytest_loadperf.judge.regression import FAILS_MORE
from pytest_loadperf.judge.statistics import are_enough
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.measure.summary import measured, stages_of
from pytest_loadperf.quantity import show_rate_percent
from pytest_loadperf.records import LoadRecord, StepStatus, Verdict

_OF_FAILURES = ("failures", "failure_rate")

Try = tuple[int, StepStatus]  # a load, and what became of it


@dataclass(frozen=True)
class Precision:
    """When a search has found what it looks for."""

    near: float  # a load that holds and one that breaks so many times that are near enough
    tries: int  # of both of them


EXACT = Precision(near=1.06, tries=2)
ROUGH = Precision(near=1.5, tries=1)  # of a run that judges nothing


def next_size(tried: Sequence[Try], start: int, most: int | None, precision: Precision) -> int | None:
    """The load to try next, by those that were tried; None where the highest that holds is known.

    Doubled until one breaks (or halved until one holds), then halfway between the two, at last both once more. Where
    two tries of a load disagree, a third decides: one bad moment of the machine is no limit of the service. Beyond a
    load of which nothing can be told there is nothing to look for.
    """
    known = _Known.of(tried)
    if known.open_:
        return min(known.open_)
    if known.is_limited or (known.held and most is not None and known.held >= most):
        if not known.held and known.unclear and known.unclear > 1:
            return known.unclear // 2
        return known.held if known.held and known.tries[known.held] < precision.tries else None
    held, broke = known.held, known.broke
    if broke is None:
        doubled = held * 2 or start
        return doubled if most is None else min(doubled, most)
    if not held and broke > 1:
        return broke // 2
    if broke - held > 1 and broke > held * precision.near:
        return (held + broke) // 2
    return next((size for size in (held, broke) if size and known.tries[size] < precision.tries), None)


def highest(tried: Sequence[Try]) -> tuple[int, int | None]:
    """The highest load that held, below all that broke, 0 where none did; and the one that nothing could be told of.

    The latter is None where a load broke below it.
    """
    known = _Known.of(tried)
    return known.held, known.unclear if known.is_limited else None


@dataclass(frozen=True)
class _Known:
    tries: Counter[int]
    open_: list[int]  # tried as often with one end as with the other
    held: int
    broke: int | None
    unclear: int | None  # the lowest

    @classmethod
    def of(cls, tried: Sequence[Try]) -> _Known:
        unclear = min((size for size, status in tried if status == "unclear"), default=None)
        balance: Counter[int] = Counter()
        for size, status in tried:
            if status != "unclear" and (unclear is None or size < unclear):
                balance[size] += 1 if status == "held" else -1
        broke = min((size for size, held in balance.items() if held < 0), default=None)
        held = [size for size, held in balance.items() if held > 0 and (broke is None or size < broke)]
        open_ = [size for size, held in balance.items() if held == 0]
        return cls(Counter(size for size, _ in tried), open_, max(held, default=0), broke, unclear)

    @property
    def is_limited(self) -> bool:
        return self.unclear is not None and self.broke is None


def came_to(load: LoadRecord, demands: Sequence[Threshold], *, at_last: bool) -> tuple[StepStatus, str]:
    """Whether all demands on a step hold, and the first that does not, or why it can't be told.

    Where none is about failures, as few may fail as leave a latency what it is: errors are fast, but no answers. At
    last, when no longer step is to follow, what was seen has to do where there are requests enough, but the slow ones
    came together: so it is near the limit, where each load is tried more than once.
    """
    if why := next(filter(None, (load.aborted, *load.faults)), None):
        return "broke", why
    if why := next((doubt.text for doubt in doubts(load) if doubt.blames_generator), None):
        return "unclear", why
    for stage in stages_of(load):
        if stage.arrivals is not None and is_unreached(stage.arrivals):
            return "broke", f"the rate was not reached: {stage.arrivals.started} of {stage.arrivals.due} arrivals began"
    if why := next((demand.metric.why_missing(load) for demand in demands if _is_missing(demand, load)), None):
        return "unclear", why
    judged = [judge(demand, load, None, "") for demand in demands]
    for verdict in judged:
        if verdict.status == "broken":
            return "broke", f"{verdict.threshold}: {verdict.observed}"
    failed = measured(load).failure_rate
    if failed >= FAILS_MORE and not any(demand.metric.name in _OF_FAILURES for demand in demands):
        return "broke", f"{show_rate_percent(failed)} failed"
    unclear = {demand: verdict for demand, verdict in zip(demands, judged, strict=True) if verdict.status != "ok"}
    if why := _open(unclear, load, at_last):
        return "unclear", why
    return "held", ""


def _open(unclear: Mapping[Threshold, Verdict], load: LoadRecord, at_last: bool) -> str:
    """Why it can't be told whether these hold; empty where they do."""
    if not unclear:
        return ""
    if why := next((doubt.text for doubt in doubts(load)), ""):
        return why
    if at_last and all(_has_requests(demand, load) and _is_kept(demand, load) for demand in unclear):
        return ""
    return next(iter(unclear.values())).reason


def _has_requests(demand: Threshold, load: LoadRecord) -> bool:
    """Whether they would be enough, if each were slow or fast by itself."""
    metric = demand.metric
    return metric.percent is None or are_enough(measured(load, None, metric.endpoint).requests, metric.percent)


def _is_kept(demand: Threshold, load: LoadRecord) -> bool:
    """Whether what was seen does: what broke may be the generator's doing, but it has not held."""
    assert isinstance(demand.limit, Quantity)  # a search demands nothing else
    return demand.holds(demand.metric.value(load), demand.limit.value(demand.metric.kind))


def _is_missing(demand: Threshold, load: LoadRecord) -> bool:
    return math.isnan(demand.metric.value(load))


def is_short(load: LoadRecord, status: StepStatus) -> bool:
    """Whether a longer step would tell: too few requests are all that is wrong with it."""
    return status == "unclear" and not doubts(load)
