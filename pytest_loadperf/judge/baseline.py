"""Which earlier runs a load is compared with, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.quantity import show_time
from pytest_loadperf.records import Acceptance, Commit, LoadRecord, RunRecord, Verdict

Earlier = tuple[RunRecord, LoadRecord]
Levels = tuple[tuple[Earlier, ...], ...]
_MOST = 30  # the newest
_UNSTABLE = 0.2  # of the runs
_NEWEST_SHOWN = 5


@dataclass(frozen=True)
class Baseline:
    """The comparable runs of a load, oldest first, or why there are none.

    They stand in levels: an accepted change begins a new one. The last level is what is compared with; all of them tell
    how much runs differ.
    """

    levels: Levels = ()
    origin: str = ""  # "on main"
    why_empty: str = "no history was read"
    accepted: str = ""  # why the last level began
    unconfirmed: int = 0  # of the latest runs, those left out as suspects that were not confirmed
    latest: int = 0

    @property
    def loads(self) -> tuple[Earlier, ...]:
        """The runs that are compared with."""
        return self.levels[-1] if self.levels else ()

    @property
    def runs(self) -> int:
        """How many runs tell how much runs differ."""
        return sum(map(len, self.levels))

    @property
    def line(self) -> str:
        """What is compared with: how many runs, where they come from, the newest of them."""
        if not self.loads:
            return self.why_empty
        newest = called(self.loads[-1][0])
        if len(self.loads) == 1:
            return f"1 run{self._where}, {newest}{self._left_out}"
        return f"median of {len(self.loads)} runs{self._where}, newest {newest}{self._left_out}"

    @property
    def _where(self) -> str:
        since = f" since a change was accepted ({self.accepted})" if self.accepted else ""
        return f" {self.origin}{since}" if self.origin else since

    @property
    def _left_out(self) -> str:
        if not self.unconfirmed:
            return ""
        if self.unconfirmed > _UNSTABLE * self.latest:
            return f"; environment unstable: {self.unconfirmed} of the latest {self.latest} were suspects, unconfirmed"
        return f"; {self.unconfirmed} left out as unconfirmed suspects"

    def of_series(self, series: str, value: Callable[[RunRecord], float]) -> Baseline:
        """Only the runs that have this number of the load: an endpoint may be younger than its load.

        Two runs in succession that had improved begin a new level.
        """
        having = [[earlier for earlier in level if not math.isnan(value(earlier[0]))] for level in self.levels]
        levels = tuple(part for level in having for part in _split_where_improved(level, series))
        if levels or not self.levels:
            return replace(self, levels=levels)
        return replace(self, levels=(), why_empty=f"it was not measured in any comparable run{self._where}")


def _split_where_improved(level: Sequence[Earlier], series: str) -> Iterator[tuple[Earlier, ...]]:
    """The level, cut before the first of every two runs in succession that had improved.

    Where the newest run alone had improved, it is left out: only the next one tells whether a level begins with it.
    """
    begins, better = 0, [_improved(*earlier, series) for earlier in level]
    for place in range(1, len(level) - 1):
        if better[place] and better[place + 1] and not better[place - 1]:
            yield tuple(level[begins:place])
            begins = place
    undecided = len(level) > 1 and better[-1] and not better[-2]
    if level:
        yield tuple(level[begins : -1 if undecided else None])


def _improved(run: RunRecord, load: LoadRecord, series: str) -> bool:
    return any(
        verdict.status == "improved" and verdict.change is not None and verdict.change.series == series
        for verdict in _verdicts(run, load)
    )


def find(
    records: Sequence[RunRecord],
    load: LoadRecord,
    commit: Commit | None,
    name: str | None = None,
    accepted: Sequence[Acceptance] = (),
) -> Baseline:
    """The newest comparable runs of a load among `records` (oldest first).

    `name` is the branch, tag or run to compare with, the default branch if None. Runs that were stopped early, are in
    doubt, suspect, broken or regressed are no measure of what is normal, unless that was accepted. HistoryError if
    there is no such `name`.
    """
    default_origin, default = _default(records, commit)
    origin, chosen = (default_origin, default) if name is None else named(records, name)
    acceptances = [each for each in accepted if load.key in each.loads]
    earlier = _of_load(chosen, load.key)
    alike = [found for found in earlier if found[1].fingerprint == load.fingerprint]
    comparable = _newest_sound(alike, acceptances)
    if not comparable:
        sound = [found for found in earlier if _is_sound(*found, acceptances)]
        return Baseline(origin=origin, why_empty=_why_empty(records, load, origin, earlier, sound))
    ids = {run.id for run, _ in comparable}
    peers = [] if name is None else [found for found in _of_load(default, load.key) if found[0].id not in ids]
    alike_peers = [found for found in peers if found[1].fingerprint == load.fingerprint]
    latest = alike[-_MOST:]
    return Baseline(
        levels=(*_levels(_newest_sound(alike_peers, acceptances), acceptances), *_levels(comparable, acceptances)),
        origin=origin,
        accepted=_reason(comparable, acceptances),
        unconfirmed=sum(_is_unconfirmed(*found) for found in latest),
        latest=len(latest),
    )


def _reason(runs: Sequence[Earlier], acceptances: Iterable[Acceptance]) -> str:
    """Of the acceptance that the last level began with; empty if it began with none."""
    newest, _ = runs[-1]
    return next((each.reason for each in reversed([*acceptances]) if each.since <= newest.started_at), "")


def _levels(runs: Sequence[Earlier], acceptances: Iterable[Acceptance]) -> Iterator[tuple[Earlier, ...]]:
    """The runs, cut where a new level was accepted."""
    cuts = sorted(each.since for each in acceptances)
    for _, level in groupby(runs, lambda earlier: sum(cut <= earlier[0].started_at for cut in cuts)):
        yield tuple(level)


def named(records: Sequence[RunRecord], name: str) -> tuple[str, list[RunRecord]]:
    """What `name` is and its runs: those on that branch, else with that tag, else the run with that id.

    HistoryError, naming what there is, if it is none of them; an empty history can't have it yet.
    """
    for origin, runs in (
        (f"on {name}", [run for run in records if run.commit and run.commit.branch == name]),
        (f"tagged {name}", [run for run in records if run.commit and run.commit.tag == name]),
        (f"called {name}", [run for run in records if run.id == name]),
    ):
        if runs or not records:
            return origin, runs
    branches = _known(run.commit.branch for run in records if run.commit)
    tags = _known(run.commit.tag for run in records if run.commit)
    newest = _known(run.id for run in records[: -_NEWEST_SHOWN - 1 : -1])
    raise HistoryError(
        f"the history has no branch, tag or run {name!r}; branches: {branches}; tags: {tags}; newest runs: {newest}"
    )


def called(run: RunRecord) -> str:
    """How a run is named in a line: '2026-11-19 10:12 UTC ab12cd3'; its id where it has no commit."""
    return f"{show_time(run.started_at)} {run.commit.sha[:7] if run.commit else run.id}"


def _default(records: Sequence[RunRecord], commit: Commit | None) -> tuple[str, list[RunRecord]]:
    """The runs on the default branch; all where this run can't tell one branch from another."""
    default = commit.default_branch if commit else None
    on_default = [run for run in records if default and run.commit and run.commit.branch == default]
    if commit is None or default is None or (commit.branch is None and not on_default):
        return "", list(records)
    return f"on {default}", on_default


def _of_load(records: Sequence[RunRecord], key: str) -> list[Earlier]:
    return [(run, load) for run in records for load in run.loads if load.key == key]


def _newest_sound(runs: Sequence[Earlier], acceptances: Sequence[Acceptance]) -> list[Earlier]:
    """Of these runs, as many as count; a long history is not looked through for more."""
    sound = (found for found in reversed(runs) if _is_sound(*found, acceptances))
    return [*islice(sound, _MOST)][::-1]


def _is_sound(run: RunRecord, load: LoadRecord, acceptances: Iterable[Acceptance]) -> bool:
    if load.aborted is not None or load.faults or doubts(load):
        return False
    if any(each.since <= run.started_at <= each.at for each in acceptances):  # slower, and accepted as it is
        return True
    return not any(_spoils(verdict) for verdict in _verdicts(run, load))


def _spoils(verdict: Verdict) -> bool:
    """Whether a verdict says that its run is no measure of what is normal.

    It regressed, or seemed to; or it broke a fixed limit: fast errors and known slowness are not normal either.
    """
    if verdict.status == "broken":
        return "baseline" not in verdict.threshold
    return verdict.status == "regressed" or (verdict.change is not None and verdict.change.suspect)


def _is_unconfirmed(run: RunRecord, load: LoadRecord) -> bool:
    return any(
        verdict.change is not None and verdict.change.suspect and verdict.status != "regressed"
        for verdict in _verdicts(run, load)
    )


def _verdicts(run: RunRecord, load: LoadRecord) -> Iterator[Verdict]:
    return (verdict for test in run.tests for verdict in test.verdicts if verdict.load == load.key)


def _why_empty(
    records: Sequence[RunRecord], load: LoadRecord, origin: str, earlier: Sequence[Earlier], sound: Sequence[Earlier]
) -> str:
    where = f" {origin}" if origin else ""
    if sound:
        return f"no comparable run{where}: {_difference(sound[-1], load)}"
    if earlier:
        return f"no comparable run{where}: each one was stopped early, in doubt, suspect, broken or regressed"
    branches = {run.commit.branch for run, _ in _of_load(records, load.key) if run.commit and run.commit.branch}
    elsewhere = f", only on {_known(sorted(branches))}" if branches else ""
    return f"no earlier run of this load{where}{elsewhere}"


def _difference(earlier: Earlier, load: LoadRecord) -> str:
    run, before = earlier
    fields = sorted(before.fingerprint.keys() | load.fingerprint.keys())
    pairs = ((field, before.fingerprint.get(field, "none"), load.fingerprint.get(field, "none")) for field in fields)
    changes = "; ".join(f"{field} was {then!r}, is {now!r}" for field, then, now in pairs if then != now)
    return f"since the newest ({called(run)}), {changes}"


def _known(names: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name)) or "none"
