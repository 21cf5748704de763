"""Runs a search for capacity: step by step, until the highest load that holds is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_loadperf.judge.capacity import Precision, Try, came_to, highest, is_short, next_size
from pytest_loadperf.measure.summary import cpu_percent_of, measured, stages_of
from pytest_loadperf.records import Capacity, LoadRecord, Step, StepStatus
from pytest_loadperf.report.capacity import in_words
from pytest_loadperf.search import Search

_LONGEST = 8  # times as long a step may become where its requests are too few to tell

RunStep = Callable[[LoadRecord, int, float], LoadRecord]  # of this size, so many times as long: its only trial


@dataclass(frozen=True)
class _Tried:
    step: Step
    record: LoadRecord  # of this step alone

    @property
    def outcome(self) -> Try:
        return self.step.size, self.step.status


def searched(
    record: LoadRecord, search: Search, run: RunStep, say: Callable[[str], None], precision: Precision
) -> LoadRecord:
    """The record with what was found, and the trials of the highest load that held (or of the lowest that broke)."""
    tried: list[_Tried] = []
    while (size := next_size(_outcomes(tried), search.start, search.most, precision)) is not None:
        made, status, why = _tell(record, search, size, run)
        tried.append(_Tried(_step(made, size, status, why), made))
        say(f"loadperf: {record.name}: {in_words(tried[-1].step, search.by)}")
    found, unclear = highest(_outcomes(tried))
    shown = found or min((each.step.size for each in tried if each.step.status == "broke"), default=0)
    kept = [each.record for each in tried if each.outcome == (shown, "held" if found else "broke")]
    return replace(
        record,
        trials=tuple(trial for each in kept for trial in each.trials),
        faults=tuple(dict.fromkeys(fault for each in kept for fault in each.faults)),
        aborted=None,
        capacity=Capacity(
            by=search.by,
            until=search.until,
            size=found,
            steps=tuple(each.step for each in tried),
            limited=_limit(tried, found, unclear, search),
        ),
    )


def _outcomes(tried: Sequence[_Tried]) -> list[Try]:
    return [each.outcome for each in tried]


def _limit(tried: Sequence[_Tried], found: int, unclear: int | None, search: Search) -> str:
    """Why more may hold than was found; empty where a higher load broke."""
    if unclear is not None:
        return next(each.step.why for each in tried if each.outcome == (unclear, "unclear"))
    return f"most={found} was reached" if found and found == search.most else ""


def _tell(record: LoadRecord, search: Search, size: int, run: RunStep) -> tuple[LoadRecord, StepStatus, str]:
    """A step, longer and longer until its requests are enough to tell."""
    longer = 1
    while True:
        made = run(replace(record, faults=()), size, longer)
        status, why = came_to(made, search.demands, at_last=longer >= _LONGEST)
        if longer >= _LONGEST or not is_short(made, status):
            return made, status, why
        longer *= 2


def _step(load: LoadRecord, size: int, status: StepStatus, why: str) -> Step:
    whole = measured(load)
    return Step(
        size=size,
        status=status,
        why=why,
        requests=whole.requests,
        rps=whole.rps,
        p50_ms=whole.p50_ms,
        p95_ms=whole.p95_ms,
        p99_ms=whole.p99_ms,
        failure_rate=whole.failure_rate,
        cpu_percent=cpu_percent_of(stages_of(load)),
    )
