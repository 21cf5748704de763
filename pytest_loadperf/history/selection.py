"""Which runs of a history somebody asks for, and which of their tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import RunRecord, TestRecord

_NEWEST_SHOWN = 5


@dataclass(frozen=True)
class Selection:
    """What is asked for; nothing leaves everything in."""

    branch: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tests: tuple[str, ...] = ()  # patterns

    def of(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """The runs that are asked for, with these tests; HistoryError, which names what there is, if there is none."""
        runs = [run for run in records if self._has(run)]
        if records and not runs:
            branches = dict.fromkeys(run.commit.branch for run in records if run.commit and run.commit.branch)
            raise HistoryError(
                f"no run of {len(records)} is what was asked for; they are of {records[0].started_at[:10]} to "
                f"{records[-1].started_at[:10]}, on the branches {', '.join(branches) or 'of nobody knows'}"
            )
        if not self.tests:
            return runs
        narrowed = [run for each in runs if (run := self._with_tests(each)).tests]
        if runs and not narrowed:
            names = ", ".join(test.nodeid for test in runs[-1].tests) or "none"
            raise HistoryError(f"no load test is called {' or '.join(self.tests)}; those of the newest run: {names}")
        return narrowed

    def _has(self, run: RunRecord) -> bool:
        at = moment(run.started_at)
        on_branch = self.branch is None or (run.commit is not None and run.commit.branch == self.branch)
        return on_branch and (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def _with_tests(self, run: RunRecord) -> RunRecord:
        tests = tuple(test for test in run.tests if any(matches(test, pattern) for pattern in self.tests))
        keys = {key for test in tests for key in test.loads}
        return replace(run, tests=tests, loads=tuple(load for load in run.loads if load.key in keys))


def matches(test: TestRecord, pattern: str) -> bool:
    """Whether a pattern, a test's id or its name with `*` for anything, is about this test."""
    names = (test.nodeid, test.nodeid.partition("::")[2])
    return any(fnmatchcase(name, pattern) or name == pattern for name in names)


def chosen(records: Sequence[RunRecord], run_id: str | None, place: str) -> RunRecord:
    """The run with this id, or the newest; HistoryError, naming the newest, if there is no such run."""
    if not records:
        raise HistoryError(f"no runs in {place} yet; `pytest --loadperf` adds one")
    if run_id is None:
        return records[-1]
    for record in records:
        if record.id == run_id:
            return record
    newest = ", ".join(record.id for record in records[-_NEWEST_SHOWN:])
    raise HistoryError(f"no run {run_id!r} in {place}; the newest are {newest} (`pytest-loadperf history` lists all)")
