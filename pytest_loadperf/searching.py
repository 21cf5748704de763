"""Runs a search for capacity: step by step, until the highest load that holds is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from pytest_loadperf.judge.capacity import came_to, highest, is_short, next_size
from pytest_loadperf.measure.summary import cpu_percent_of, measured, stages_of
from pytest_loadperf.model import Trial
from pytest_loadperf.records import Capacity, LoadRecord, Step, StepStatus
from pytest_loadperf.report.capacity import in_words
from pytest_loadperf.search import Search

_LONGEST = 8  # times as long a step may become where its requests are too few to tell

RunStep = Callable[[LoadRecord, int, float], LoadRecord]  # of this size, so many times as long: its only trial


def searched(record: LoadRecord, search: Search, run: RunStep, say: Callable[[str], None]) -> LoadRecord:
    """The record with what was found, and the trials of the highest load that held (or of the lowest that broke)."""
    tried: list[tuple[int, bool]] = []
    steps: list[Step] = []
    trials: defaultdict[tuple[int, bool], list[Trial]] = defaultdict(list)
    most, limited = search.most, ""
    while (size := next_size(tried, search.start, most)) is not None:
        made, status, why = _tell(record, search, size, run)
        record = replace(record, faults=made.faults)
        steps.append(_step(made, size, status, why))
        say(f"loadperf: {record.name}: {in_words(steps[-1], search.by)}")
        if status != "unclear":
            tried.append((size, status == "held"))
            trials[tried[-1]] += made.trials
            continue
        limited = why
        held = highest(tried)
        if not held or size <= held:
            break
        most = held
    found = highest(tried)
    if found and found == search.most and not limited:
        limited = f"most={found} was reached"
    own = trials[(found, True) if found else min(trials, default=(0, False))]
    known = Capacity(search.by, search.until, found, tuple(steps), limited)
    return replace(record, trials=tuple(own), aborted=None, capacity=known)


def _tell(record: LoadRecord, search: Search, size: int, run: RunStep) -> tuple[LoadRecord, StepStatus, str]:
    """A step, longer and longer until its requests are enough to tell."""
    longer = 1
    while True:
        made = run(record, size, longer)
        status, why = came_to(made, search.demands)
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
