"""The runs before the one that is reported, and which of them its numbers may be compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_loadperf.judge.soundness import Earlier
from pytest_loadperf.records import RunRecord


def until(run: RunRecord, history: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs up to this one, oldest first, this one last whether or not the history has it."""
    earlier = {record.id: record for record in history if record.id != run.id and record.started_at <= run.started_at}
    return [*sorted(earlier.values(), key=lambda record: (record.started_at, record.id)), run]


def of_load(runs: Sequence[RunRecord], key: str) -> Iterator[Earlier]:
    """Each run that has the load, with it."""
    return ((run, load) for run in runs for load in run.loads if load.key == key)


def why_apart(then: Earlier, now: Earlier) -> str:
    """Why a run's load can't be compared with the newest run's: set-up, machine, branch; empty if it can."""
    (run, load), (newest_run, newest) = then, now
    before, after = load.fingerprint, newest.fingerprint
    reasons = [] if before == after else _differences(before, after)
    if load.aborted and run is not newest_run:
        reasons.append("stopped early")
    if run.commit and newest_run.commit:
        ours = (None, newest_run.commit.branch, newest_run.commit.default_branch)
        if run.commit.branch not in ours:
            reasons.append(f"branch: {run.commit.branch}")
    return ", ".join(reasons)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    fields = [field for field in sorted(before.keys() | after.keys()) if before.get(field) != after.get(field)]
    return [f"{field}: {before.get(field, 'unknown')}" for field in fields]
