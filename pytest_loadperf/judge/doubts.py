"""Why a load's numbers may not be the service's own: then a verdict on them would be a guess."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from pytest_loadperf.measure.selfcheck import is_bottleneck
from pytest_loadperf.measure.summary import stages_of, unsent
from pytest_loadperf.model import ArrivalRecord, GeneratorRecord, SelfCheck, ServiceEvent, StageRecord
from pytest_loadperf.plan import Stage
from pytest_loadperf.quantity import show_ms, show_percent
from pytest_loadperf.records import LoadRecord, Verdict

_HIDDEN = 0.001  # of the arrivals: without more of them, a p99.9 is what it would be with them
_MOSTLY_BUSY_PERCENT = 70.0  # of a core
_WORTH_TELLING_PERCENT = 1.0
_CROWDED_PERCENT = 10.0  # of the time without a core
_BEFELL = {  # a container
    "die": "what asks it may have failed, or done without; look into its log",
    "oom": "a process of it was killed, with all that it was doing; give it more memory, or see what takes so much",
    "pause": "not by this run; requests waited meanwhile; look for what else uses this engine",
    "restart": "not by this run; what asks it may have failed, or done without; look for what else uses this engine",
}


@dataclass(frozen=True)
class Doubt:
    """One reason."""

    text: str
    detail: str  # what was seen besides, and what to do
    blames_generator: bool  # then a latency that is too high may be its own
    of_baseline: bool = False  # of what was measured beside: then what is worse than that may be its doing

    def __str__(self) -> str:
        return f"{self.text}; {self.detail}"


def doubts(load: LoadRecord, stage: str | None = None) -> list[Doubt]:
    """The doubts about the measured stages of a load, or about one stage."""
    found = []
    several = len(load.trials) > 1
    numbered = [(f"trial {number}: " if several else "", trial) for number, trial in enumerate(load.trials, 1)]
    again = [("measured again: ", trial) for trial in load.again]
    beside = [(f"{load.against_name}, trial {number}: ", trial) for number, trial in enumerate(load.against, 1)]
    for where, trial in (*numbered, *again, *beside):
        of_stages = (
            _of_stage(record, load.aborted is not None) for record in stages_of(replace(load, trials=(trial,)), stage)
        )
        of_trial = (*map(_lost, trial.generator.lost_workers), *_unseen(trial.generator), *_befell(trial.events))
        for doubt in chain(of_trial, *of_stages):
            found.append(replace(doubt, text=where + doubt.text, of_baseline=(where, trial) in beside))
    return found


def _lost(text: str) -> Doubt:
    return Doubt(
        text,
        "what it measured in its last second is missing; the others took over its users, but not its arrivals; look "
        "for what ended it: its machine's memory, a network that broke, user code",
        blames_generator=True,
    )


def _unseen(generator: GeneratorRecord) -> Iterator[Doubt]:
    if generator.unseen_users:
        users = "1 user was" if generator.unseen_users == 1 else f"{generator.unseen_users} users were"
        yield Doubt(
            f"{users} still busy when the load ended, with nothing that was counted",
            "what they waited for is missing: an unanswered request is seen only of an HTTP user that makes it itself; "
            "give what they wait for a timeout, after which they fire a request event with its exception",
            blames_generator=False,
        )


def _befell(events: Iterable[ServiceEvent]) -> Iterator[Doubt]:
    """What happened to a container, told once; one that ends without a fault, as a job does, is no reason."""
    found: defaultdict[tuple[str, str], list[ServiceEvent]] = defaultdict(list)
    for event in events:
        if event.action in _BEFELL and (event.action, event.detail) != ("die", "0"):
            found[event.container, event.action].append(event)
    for (_, action), same in found.items():
        more = f", the first of {len(same)} times" if len(same) > 1 else ""
        text = f"{same[0]} {same[0].at_s:.1f} s after the load began{more}"
        yield Doubt(text, _BEFELL[action], blames_generator=False)


def _of_stage(record: StageRecord, aborted: bool) -> Iterator[Doubt]:
    if is_bottleneck(record.generator):
        yield _bottleneck(record.stage, record.generator)
    for lack, count in unsent(record.summary).items():
        yield _unsent(record, lack, count)
    if record.users < (record.stage.users or 0) and (record.users or record.generator.seconds):  # else nobody looked
        yield _too_few(record)
    if record.arrivals is not None and is_unreached(record.arrivals):
        yield _unreached(record.stage, record.arrivals)
    if record.summary.requests < (record.stage.requests or 0) and not aborted:  # which is told for itself
        yield _unmade(record.stage, record.summary.requests)


def _too_few(record: StageRecord) -> Doubt:
    stage = record.stage
    why = "those that end by themselves, or can not be started in time, are missing in what the service was asked for"
    if stage.requests is not None and record.summary.requests >= stage.requests:
        why = "its requests were made before all had started; ask for more requests, or for a larger spawn_rate"
    ran = f"only {record.users} of {stage.users} users ran"
    return Doubt(
        f"stage {stage.name!r}: {ran if record.users else f'none of {stage.users} users ran for more than a moment'}",
        why,
        blames_generator=False,
    )


def _unmade(stage: Stage, requests: int) -> Doubt:
    return Doubt(
        f"stage {stage.name!r}: only {requests} of {stage.requests} requests were made",
        f"the others did not come within {stage.duration_s:g} s, or their users ended by themselves, or they were the "
        "share of a worker that was lost; give the stage a longer duration unless the service is to blame",
        blames_generator=False,
    )


def _bottleneck(stage: Stage, check: SelfCheck) -> Doubt:
    waited = 0.0 if math.isnan(check.waited_percent) else check.waited_percent
    if check.cpu_percent + waited >= _MOSTLY_BUSY_PERCENT:
        how = "out of CPU"
        advice = "use LeanHttpUser, more workers (--loadperf-workers), or less load"
        if waited >= _CROWDED_PERCENT:
            advice += ", or a less busy machine"
    else:
        how = "held up"
        advice = "user code that computes or blocks holds its loop, or the machine has too much else to do"
    wait = f" and {show_percent(waited)} of the time without a core" if waited >= _WORTH_TELLING_PERCENT else ""
    seen = f"CPU {show_percent(check.cpu_percent)}{wait}, its loop late by up to {show_ms(check.lag_ms)}"
    share = f"{check.saturated_s:.0f} of {check.seconds:.0f} s"
    return Doubt(
        f"stage {stage.name!r}: the generator was the bottleneck: {how} in {share}",
        f"{seen}; {noise(check)}; {advice}",
        blames_generator=True,
    )


def _unsent(record: StageRecord, lack: str, count: int) -> Doubt:
    return Doubt(
        f"stage {record.stage.name!r}: the generator was the bottleneck: {lack} for {count} of "
        f"{record.summary.requests} requests",
        "these are no failures of the service; each connection takes a file, and a port until a minute after its end: "
        "let users keep theirs, allow for more (`ulimit -n`, net.ipv4.ip_local_port_range), or use more machines",
        blames_generator=True,
    )


def is_unreached(arrivals: ArrivalRecord) -> bool:
    """Whether so many arrivals had no user that a percentile may be better than it is."""
    return arrivals.overdue > arrivals.due * _HIDDEN


def _unreached(stage: Stage, arrivals: ArrivalRecord) -> Doubt:
    return Doubt(
        f"stage {stage.name!r}: the rate was not reached: {arrivals.started} of {arrivals.due} arrivals began",
        f"{arrivals.due - arrivals.started} had no user when it ended; raise max_users ({stage.most_users}) unless the "
        "service is to blame",
        blames_generator=False,
    )


def tail_doubts(load: LoadRecord, stage: str | None, share: float) -> list[Doubt]:
    """The doubt about the slowest part (0 to 1) of the requests: that no more of them are slow than were seen late.

    What is forgiven of a whole stage, a held second, may be all of its slowest 5 %.
    """
    checks = [record.generator for record in stages_of(load, stage)]
    saturated_s, seconds = sum(check.saturated_s for check in checks), sum(check.seconds for check in checks)
    if saturated_s <= share * seconds:
        return []
    text = f"the generator was saturated for {saturated_s:.1f} of {seconds:.0f} s"
    return [Doubt(text, "what it saw late in that time may be all that is too slow", blames_generator=True)]


def noise(check: SelfCheck) -> str:
    """What else the machine was busy with."""
    parts = [
        f"{name} {show_percent(value)}"
        for name, value in (
            ("steal", check.steal_percent),
            ("other processes", check.others_percent),
            ("waiting for memory", check.stalled_percent),
        )
        if not math.isnan(value)
    ]
    return "machine: " + (", ".join(parts) or "unknown")


def in_doubt(verdict: Verdict, found: Sequence[Doubt], excusable: bool) -> Verdict:
    """The verdict as far as it can be believed: what held is inconclusive.

    What broke stays broken, unless the generator may have made it so (`excusable`), or a baseline measured beside that
    seems better than it is.
    """
    if not found or verdict.status == "no_baseline":
        return verdict
    reason = "; ".join(filter(None, (*(doubt.text for doubt in found), verdict.reason)))
    excused = any(doubt.of_baseline or (excusable and doubt.blames_generator) for doubt in found)
    if verdict.breach and not excused:
        return replace(verdict, reason=reason)
    return replace(verdict, status="inconclusive", reason=reason)
