"""Which earlier runs of a load are a measure of what is normal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.records import Acceptance, Change, LoadRecord, RunRecord, Verdict

Earlier = tuple[RunRecord, LoadRecord]
_NEAR = 0.25
_FAR = 4  # times as many runs as are wanted: so far back is looked


def newest_sound(runs: Sequence[Earlier], acceptances: Sequence[Acceptance], most: int) -> list[Earlier]:
    """Of these runs, oldest first, the newest that count.

    After one that regressed none does, until two in succession stand where the runs before it stood: a slowdown that
    nobody accepted does not become normal by and by, when single runs of it happen to pass.
    """
    sound: list[Earlier] = []  # newest first
    waiting: list[Earlier] = []  # count, too, unless a run that regressed comes before them
    better_after = False
    for found in reversed(runs[-_FAR * most :]):
        accepted = _is_accepted(found, acceptances)
        if _has_regressed(*found) and not accepted:
            waiting.clear()
        elif accepted or is_sound(*found):
            waiting.append(found)
            better = _is_as_before(*found)
            if accepted or (better and better_after):
                sound += waiting
                waiting.clear()
            better_after = better
        if len(sound) >= most:
            break
    return [*sound, *waiting][:most][::-1]


def is_sound(run: RunRecord, load: LoadRecord) -> bool:
    """Whether a run by itself is a measure: it ran as asked, is in no doubt, and broke or regressed nothing."""
    return _ran_as_asked(load) and not any(map(_spoils, verdicts_on(run, load)))


def is_unconfirmed(run: RunRecord, load: LoadRecord) -> bool:
    """Whether it seemed to have regressed, and that did not show again."""
    return any(_is_suspect(verdict) and verdict.status != "regressed" for verdict in verdicts_on(run, load))


def verdicts_on(run: RunRecord, load: LoadRecord) -> Iterator[Verdict]:
    """What the run's tests came to on this load."""
    return (verdict for test in run.tests for verdict in test.verdicts if verdict.load == load.key)


def _ran_as_asked(load: LoadRecord) -> bool:
    may_be_more = load.capacity is not None and load.capacity.limited
    return load.aborted is None and not load.faults and not may_be_more and not doubts(load)


def _is_accepted(found: Earlier, acceptances: Sequence[Acceptance]) -> bool:
    """Whether somebody took it for the new normal as it is: it ran from the accepted run on until that was said."""
    run, load = found
    taken = any(each.since <= run.started_at <= each.at for each in acceptances)
    return taken and _ran_as_asked(load)


def _spoils(verdict: Verdict) -> bool:
    """It regressed, or seemed to; or it broke a fixed limit: fast errors and known slowness are not normal either."""
    if verdict.status == "regressed" or _is_suspect(verdict):
        return True
    return verdict.status == "broken" and verdict.change is None and not _is_relative(verdict)


def _is_relative(verdict: Verdict) -> bool:
    """Whether it lacked a baseline, and nothing else."""
    try:
        return parse(verdict.threshold).relative
    except UsageFault:  # "the load runs as asked", or written for another version
        return False


def _is_suspect(verdict: Verdict) -> bool:
    return verdict.change is not None and verdict.change.suspect


def _has_regressed(run: RunRecord, load: LoadRecord) -> bool:
    return any(verdict.status == "regressed" for verdict in verdicts_on(run, load))


def _is_as_before(run: RunRecord, load: LoadRecord) -> bool:
    """Whether every series of the load stands near the centre of the runs that it was compared with, or better."""
    changes = [verdict.change for verdict in verdicts_on(run, load) if verdict.change is not None]
    return bool(changes) and all(map(_is_near, changes))


def _is_near(change: Change) -> bool:
    """Whether it is not a quarter of the way to what would be seen."""
    way = change.visible - change.centre
    return (change.observed - change.centre) * way <= _NEAR * way * way
