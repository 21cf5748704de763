"""The highest load that holds: what a step of the search came to, and which load to try next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pytest_loadperf.judge.doubts import doubts, is_unreached
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.measure.summary import stages_of
from pytest_loadperf.records import LoadRecord, StepStatus

_NEAR = 1.06  # a load that holds and one that breaks are near enough
_TRIES = 2  # of both of them


def next_size(tried: Sequence[tuple[int, bool]], start: int, most: int | None) -> int | None:
    """The load to try next, by those that were tried and whether they held; None where the highest is known.

    Doubled until one breaks (or halved until one holds), then halfway between the two, at last both once more. Where
    two tries of a load disagree, a third decides: one bad moment of the machine is no limit of the service.
    """
    balance, tries = _counted(tried)
    if open_ := [size for size, held in balance.items() if held == 0]:
        return min(open_)
    held, broke = _bounds(balance)
    if held and most is not None and held >= most:
        return held if tries[held] < _TRIES else None
    if broke is None:
        doubled = held * 2 or start
        return doubled if most is None else min(doubled, most)
    if not held and broke > 1:
        return broke // 2
    if broke - held > 1 and broke > held * _NEAR:
        return (held + broke) // 2
    return next((size for size in (held, broke) if size and tries[size] < _TRIES), None)


def highest(tried: Sequence[tuple[int, bool]]) -> int:
    """The highest load that held, below all that broke; 0 where none did."""
    return _bounds(_counted(tried)[0])[0]


def _counted(tried: Sequence[tuple[int, bool]]) -> tuple[Counter[int], Counter[int]]:
    """Of each load, how many more tries held than broke, and how many there were."""
    balance: Counter[int] = Counter()
    for size, held in tried:
        balance[size] += 1 if held else -1
    return balance, Counter(size for size, _ in tried)


def _bounds(balance: Counter[int]) -> tuple[int, int | None]:
    broke = min((size for size, held in balance.items() if held < 0), default=None)
    return max((size for size, held in balance.items() if held > 0 and (not broke or size < broke)), default=0), broke


def came_to(load: LoadRecord, demands: Sequence[Threshold]) -> tuple[StepStatus, str]:
    """Whether all demands on a step hold, and the first that does not, or why it can't be told."""
    if load.aborted:
        return "broke", load.aborted
    (stage,) = stages_of(load)
    if stage.arrivals is not None and is_unreached(stage.arrivals):
        return "broke", f"the rate was not reached: {stage.arrivals.started} of {stage.arrivals.due} arrivals began"
    judged = [judge(demand, load, None, "") for demand in demands]
    for verdict in judged:
        if verdict.status == "broken":
            return "broke", f"{verdict.threshold}: {verdict.observed}"
    reasons = [verdict.reason for verdict in judged if verdict.status != "ok"]
    if reasons:
        return "unclear", next((doubt.text for doubt in doubts(load)), reasons[0])
    return "held", ""


def is_short(load: LoadRecord, status: StepStatus) -> bool:
    """Whether a longer step would tell: too few requests are all that is wrong with it."""
    return status == "unclear" and not doubts(load)
