"""Runs a load as often as its verdict takes: its trials, a second look at what seems slower, or pairs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_loadperf.errors import LoadperfError, ServiceError
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.judge.abort import abort_check
from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.capacity import EXACT, ROUGH
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.paired import lacks_pairs
from pytest_loadperf.judge.regression import is_suspect
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.judge.verdicts import advised, judge
from pytest_loadperf.loadspec import LoadSpec
from pytest_loadperf.model import Trial
from pytest_loadperf.plan import Plan
from pytest_loadperf.records import LoadRecord, Verdict
from pytest_loadperf.report.locust_page import LocustPages
from pytest_loadperf.report.progress import Progress
from pytest_loadperf.searching import searched
from pytest_loadperf.service.running import Counterpart, RunningService, asleep, named
from pytest_loadperf.trial import TrialRun

if TYPE_CHECKING:
    from pytest_loadperf.control import Control

_LOOKS = 3  # at the pairs: the first ones, twice as many, and four times as many


class Measuring:
    """One load, on a machine that is its own by now."""

    def __init__(
        self,
        spec: LoadSpec,
        plan: Plan,
        service: RunningService,
        progress: Progress,
        pages: LocustPages,
        control: Control | None = None,
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._service = service
        self._progress = progress
        self._pages = pages
        self._control = control

    def trials(self, record: LoadRecord) -> LoadRecord:
        """The record with all trials that were asked for, or as many as came before one was stopped early.

        Of a search for capacity they are those of the highest load that held.
        """
        before = self._control_ms(f"{record.name}, control before")
        if self._spec.search is not None:
            precision = EXACT if self._plan.scale == 1 else ROUGH
            record = searched(record, self._spec.search, self._step, self._progress.say, precision)
        else:
            for number in range(1, self._spec.trials + 1):
                title = f"{record.name} trial {number}/{self._spec.trials}" if self._spec.trials > 1 else record.name
                record = self._candidate(record, title, self._plan)
                if record.aborted:
                    return record
        try:
            return replace(record, control_ms=math.sqrt(before * self._control_ms(f"{record.name}, control after")))
        except LoadperfError as error:  # what was measured is kept
            return replace(record, faults=(*record.faults, str(error)))

    def _control_ms(self, title: str) -> float:
        return math.nan if self._control is None else self._control.p95_ms(title, self._service)

    def confirmed(self, record: LoadRecord, memory: Memory, demands: Sequence[Threshold]) -> LoadRecord:
        """The record with a second measurement, where it looks slower than the runs before it.

        That is by these demands, or by what is judged anyway.
        """
        if record.aborted or record.faults or doubts(record):
            return record
        baseline = memory.baseline(record)
        suspects = _suspects(_judged(record, baseline, demands, advice=True))
        if not suspects:
            return record
        for verdict in suspects.values():
            self._progress.say(
                f"loadperf: {record.name}: {verdict.threshold}: {verdict.observed} seen, {verdict.limit} expected; "
                "measuring again before accusing"
            )
        last = max(_place(self._plan, threshold.metric.stage) for threshold in suspects)
        shorter = replace(self._plan, stages=self._plan.stages[: last + 1])
        blank = replace(record, name=f"{record.name} again", trials=())
        measuring = Measuring(self._spec, shorter, self._service, self._progress, self._pages, self._control)
        again = measuring.trials(blank)
        if again.capacity is not None and again.capacity.limited:  # more may hold: that confirms nothing
            return record
        return replace(
            record,
            again=tuple(map(_bare, again.trials)),
            again_control_ms=again.control_ms,
            aborted=f"measured again: {again.aborted}" if again.aborted else None,
            faults=tuple(f"measured again: {fault}" for fault in again.faults),
        )

    def pairs(
        self, record: LoadRecord, counterpart: Counterpart, pairs: int, demands: Sequence[Threshold], advice: bool
    ) -> LoadRecord:
        """The record with so many pairs of trials, one of each build, or as many as came before one was stopped early.

        There are as many again, twice at most, where these do not tell whether the demands hold, or, with `advice`,
        what is judged anyway.
        """
        record = self._paired(replace(record, against_name=counterpart.name), counterpart, pairs)
        for _ in range(_LOOKS - 1):
            undecided = _undecided(record, demands, advice)
            for verdict in undecided:
                why = f"{verdict.threshold}: {verdict.reason}"
                self._progress.say(f"loadperf: {record.name}: {why}; measuring more pairs")
            if not undecided:
                break
            record = self._paired(record, counterpart, 2 * len(record.trials))
        return record

    def _paired(self, record: LoadRecord, counterpart: Counterpart, pairs: int) -> LoadRecord:
        """Every second pair begins with the other build, so that what warms up or wears out favours neither.

        Each is of services that were started for it: processes of one build may differ by several percent for as long
        as they live, which pairs of the same two would take for a change.
        """
        for number in range(len(record.trials) + 1, pairs + 1):
            title = f"{record.name} pair {number}/{pairs}"
            for of_candidate in (True, False) if number % 2 else (False, True):
                if of_candidate:
                    with asleep(counterpart.service, blamed=partial(named, counterpart.name)):
                        if number > 1:
                            _start_anew(self._service)
                        record = self._candidate(record, title, self._plan)
                else:
                    with asleep(self._service):
                        if number > 1:
                            with named(counterpart.name):
                                _start_anew(counterpart.service)
                        record = self._baseline(record, title, counterpart)
                if record.aborted:
                    return record
        return record

    def _step(self, record: LoadRecord, size: int, longer: float) -> LoadRecord:
        """The record with one step of a search, so many times as long as usual, as its only trial."""
        search = self._spec.search
        assert search is not None  # it asks for this step
        plan = replace(self._plan, stages=search.stages(size, longer, self._plan.scale))
        return self._candidate(replace(record, trials=(), aborted=None), record.name, plan)

    def _candidate(self, record: LoadRecord, title: str, plan: Plan) -> LoadRecord:
        plan = replace(plan, urls=self._service.urls)
        trial, run = self._trial(record, title, plan, self._service)
        faults = tuple(dict.fromkeys((*record.faults, *run.faults)))
        return replace(record, trials=(*record.trials, trial), aborted=run.aborted, faults=faults)

    def _baseline(self, record: LoadRecord, title: str, counterpart: Counterpart) -> LoadRecord:
        name = counterpart.name
        with named(name):
            plan = replace(self._plan, urls=counterpart.service.urls)
            trial, run = self._trial(record, f"{title}, {record.against_short}", plan, counterpart.service)
        faults = tuple(dict.fromkeys((*record.faults, *(f"the baseline {name}: {fault}" for fault in run.faults))))
        aborted = f"the baseline {name}: {run.aborted}" if run.aborted else None
        return replace(record, against=(*record.against, _bare(trial)), aborted=aborted, faults=faults)

    def _trial(self, record: LoadRecord, title: str, plan: Plan, service: RunningService) -> tuple[Trial, TrialRun]:
        with self._progress.load(title) as watcher:
            run = TrialRun(plan, service, watcher, abort_check(self._spec.abort))
            trial = run.run()
        if run.locust_page is not None:
            self._pages.keep(record.key.partition("::")[0], title, run.locust_page)
        return trial, run


def _start_anew(service: RunningService) -> None:
    try:
        service.restart()
    except ServiceError as error:
        error.args = (f"started anew for the next pair, {error}",)
        raise


def _judged(
    record: LoadRecord, baseline: Baseline | None, demands: Sequence[Threshold], *, advice: bool
) -> dict[Threshold, Verdict]:
    """What the demands come to so far, with `advice` also what is judged where nothing is demanded."""
    asked = {threshold.metric for threshold in demands}
    unasked = [threshold for threshold in advised(record) if threshold.metric not in asked] if advice else []
    return {each: judge(each, record, baseline, "") for each in (*demands, *unasked)}


def _suspects(judged: dict[Threshold, Verdict]) -> dict[Threshold, Verdict]:
    """Those that another measurement should decide."""
    return {threshold: verdict for threshold, verdict in judged.items() if is_suspect(verdict)}


def _undecided(record: LoadRecord, demands: Sequence[Threshold], advice: bool) -> list[Verdict]:
    """Those that more pairs may decide; none where something is broken already.

    Requests that are too few for a percentile tell nothing either, but more pairs are worth their time only if they
    make enough of them.
    """
    if record.aborted or record.faults or doubts(record):
        return []
    judged = _judged(record, None, demands, advice=advice)
    if any(verdict.breach for verdict in judged.values()):
        return []
    short = {each: verdict for each, verdict in judged.items() if lacks_pairs(each.metric, record)}
    return [*{**_suspects(judged), **short}.values()]


def _bare(trial: Trial) -> Trial:
    """The trial without its seconds, which nothing is drawn from."""
    return replace(trial, windows=(), samples=(), pulses=())


def _place(plan: Plan, stage: str | None) -> int:
    """Where a stage stands in the plan; the last place for all stages together."""
    names = [each.name for each in plan.stages]
    return names.index(stage) if stage in names else len(names)
