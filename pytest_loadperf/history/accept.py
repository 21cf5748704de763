"""A change that is taken for the new normal, on purpose and with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.selection import matches
from pytest_loadperf.records import Acceptance, RunRecord


def acceptance(run: RunRecord, reason: str, patterns: Sequence[str]) -> Acceptance:
    """With this run begins a new level of the loads that had regressed in it, or of those of the tests that match.

    A pattern is a test's id or its name, `*` standing for anything. HistoryError if that is about no load at all.
    """
    if not reason.strip():
        raise HistoryError("the reason is empty; say why the change is the new normal")
    loads = _of_tests(run, patterns) if patterns else _regressed(run)
    return Acceptance(
        id=uuid4().hex[:8],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=reason.strip(),
        loads=tuple(dict.fromkeys(loads)),
        run=run.id,
        since=run.started_at,
        commit=run.commit,
    )


def _of_tests(run: RunRecord, patterns: Iterable[str]) -> list[str]:
    found = []
    for pattern in patterns:
        matching = [load for test in run.tests if matches(test, pattern) for load in test.loads]
        if not matching:
            names = ", ".join(test.nodeid for test in run.tests if test.loads) or "none"
            raise HistoryError(f"no load test of run {run.id} is called {pattern!r}; its load tests: {names}")
        found += matching
    return found


def _regressed(run: RunRecord) -> list[str]:
    verdicts = [verdict for test in run.tests for verdict in test.verdicts]
    found = [verdict.load for verdict in verdicts if verdict.status == "regressed"]
    if not found:
        raise HistoryError(f"nothing had regressed in run {run.id}; name what to accept with --test, or another run")
    return found
