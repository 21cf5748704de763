"""Which earlier runs a load is compared with, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.judge.rule import RUNS_NEEDED
from pytest_loadperf.judge.soundness import Earlier, is_sound, is_unconfirmed, newest_sound, verdicts_on
from pytest_loadperf.quantity import show_time
from pytest_loadperf.records import Acceptance, Commit, LoadRecord, RunRecord

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

        Five runs in succession that had improved begin a new level.
        """
        having = [[earlier for earlier in level if not math.isnan(value(earlier[0]))] for level in self.levels]
        levels = tuple(part for level in having for part in _split_where_improved(level, series))
        if levels or not self.levels:
            return replace(self, levels=levels)
        return replace(self, levels=(), why_empty=f"it was not measured in any comparable run{self._where}")


def _split_where_improved(level: Sequence[Earlier], series: str) -> Iterator[tuple[Earlier, ...]]:
    """The level, cut before the first of so many runs in succession that had improved as make a level.

    The newest ones that had improved, while they are fewer, are left out: a fast machine may have made them.
    """
    begins = streak = 0
    for place, earlier in enumerate(level):
        streak = streak + 1 if _improved(*earlier, series) else 0
        if streak == RUNS_NEEDED and (start := place - streak + 1) > begins:
            yield tuple(level[begins:start])
            begins = start
    rest = level[begins : len(level) - streak] if streak < RUNS_NEEDED else level[begins:]
    if level:
        yield tuple(rest or level[begins:])


def _improved(run: RunRecord, load: LoadRecord, series: str) -> bool:
    return any(
        verdict.status == "improved" and verdict.change is not None and verdict.change.series == series
        for verdict in verdicts_on(run, load)
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
    ids = {run.id for run in chosen}
    acceptances = [each for each in accepted if load.key in each.loads and each.run in ids]
    earlier = _of_load(chosen, load.key)
    alike = _comparable(earlier, load)
    comparable = newest_sound(alike, acceptances, _MOST)
    found = Baseline(
        levels=tuple(_levels(comparable, acceptances)),
        origin=origin,
        accepted=_reason(comparable, acceptances),
        unconfirmed=sum(is_unconfirmed(*each) for each in alike[-_MOST:]),
        latest=len(alike[-_MOST:]),
    )
    if name is not None:
        peers = [each for each in _comparable(_of_load(default, load.key), load) if each[0].id not in ids]
        found = replace(found, levels=(*_levels(newest_sound(peers, acceptances, _MOST), acceptances), *found.levels))
    elif own := _of_own_branch(records, load, commit, ids, accepted):
        found = replace(own, levels=(*found.levels, *own.levels))
    if comparable or found.accepted:
        return found
    sound = [each for each in earlier if is_sound(*each)]
    return Baseline(origin=origin, why_empty=_why_empty(records, load, origin, earlier, sound))


def _of_own_branch(
    records: Sequence[RunRecord],
    load: LoadRecord,
    commit: Commit | None,
    others: set[str],
    accepted: Sequence[Acceptance],
) -> Baseline | None:
    """The level that was accepted on the branch of this run, where that is not compared with anyway."""
    branch = commit.branch if commit else None
    runs = [run for run in records if branch and run.commit and run.commit.branch == branch and run.id not in others]
    ids = {run.id for run in runs}
    acceptances = [each for each in accepted if load.key in each.loads and each.run in ids]
    if not acceptances:
        return None
    alike = _comparable(_of_load(runs, load.key), load)
    *_, level = [(), *_levels(newest_sound(alike, acceptances, _MOST), acceptances)]
    if not level or level[-1][0].started_at < acceptances[-1].since:
        return None
    return Baseline(levels=(level,), origin=f"on {branch}", accepted=acceptances[-1].reason)


def _comparable(runs: Sequence[Earlier], load: LoadRecord) -> list[Earlier]:
    return [found for found in runs if found[1].fingerprint == load.fingerprint]


def _reason(runs: Sequence[Earlier], acceptances: Iterable[Acceptance]) -> str:
    """Of the acceptance that the last level began with; empty if it began with none."""
    newest = runs[-1][0].started_at if runs else ""
    return next((each.reason for each in reversed([*acceptances]) if each.since <= newest), "")


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
