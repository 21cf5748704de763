"""Which earlier runs a load is compared with, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.quantity import show_time
from pytest_loadperf.records import Commit, LoadRecord, RunRecord

Earlier = tuple[RunRecord, LoadRecord]
_NEWEST_SHOWN = 5


@dataclass(frozen=True)
class Baseline:
    """The comparable runs of a load, oldest first, or why there are none."""

    loads: tuple[Earlier, ...] = ()
    origin: str = ""  # "on main"
    why_empty: str = "no history was read"

    @property
    def line(self) -> str:
        """What is compared with: how many runs, where they come from, the newest of them."""
        if not self.loads:
            return self.why_empty
        newest = called(self.loads[-1][0])
        if len(self.loads) == 1:
            return f"1 run{self._where}, {newest}"
        return f"median of {len(self.loads)} runs{self._where}, newest {newest}"

    @property
    def _where(self) -> str:
        return f" {self.origin}" if self.origin else ""

    def value(self, metric: Callable[[LoadRecord], float]) -> float | None:
        """The median of a metric over the runs that have it; None if none has."""
        values = [value for _, load in self.loads if not math.isnan(value := metric(load))]
        return median(values) if values else None

    def with_value(self, metric: Callable[[LoadRecord], float]) -> Baseline:
        """Only the runs that have the metric: an endpoint may be younger than its load."""
        having = tuple(earlier for earlier in self.loads if not math.isnan(metric(earlier[1])))
        if having or not self.loads:
            return replace(self, loads=having)
        return replace(self, loads=(), why_empty=f"it was not measured in any comparable run{self._where}")


def find(
    records: Sequence[RunRecord], load: LoadRecord, commit: Commit | None, name: str | None = None, limit: int = 30
) -> Baseline:
    """The newest `limit` comparable runs of a load among `records` (oldest first).

    `name` is the branch, tag or run to compare with, the default branch if None. Runs that were stopped early,
    are in doubt or judged `regressed` are no measure of what is normal. HistoryError if there is no such `name`.
    """
    origin, chosen = _default(records, commit) if name is None else named(records, name)
    earlier = _of_load(chosen, load.key)
    sound = [found for found in earlier if _is_sound(*found)]
    comparable = [found for found in sound if found[1].fingerprint == load.fingerprint]
    if comparable:
        return Baseline(tuple(comparable[-limit:]), origin)
    return Baseline(origin=origin, why_empty=_why_empty(records, load, origin, earlier, sound))


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
    if commit is None or commit.branch is None or commit.default_branch is None:
        return "", list(records)
    default = commit.default_branch
    return f"on {default}", [run for run in records if run.commit and run.commit.branch == default]


def _of_load(records: Sequence[RunRecord], key: str) -> list[Earlier]:
    return [(run, load) for run in records for load in run.loads if load.key == key]


def _is_sound(run: RunRecord, load: LoadRecord) -> bool:
    verdicts = (verdict for test in run.tests for verdict in test.verdicts if verdict.load == load.key)
    believed = load.aborted is None and not load.faults and not doubts(load)
    return believed and all(verdict.status != "regressed" for verdict in verdicts)


def _why_empty(
    records: Sequence[RunRecord], load: LoadRecord, origin: str, earlier: Sequence[Earlier], sound: Sequence[Earlier]
) -> str:
    where = f" {origin}" if origin else ""
    if sound:
        return f"no comparable run{where}: {_difference(sound[-1], load)}"
    if earlier:
        return f"no comparable run{where}: each one was stopped early, in doubt or had regressed"
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
