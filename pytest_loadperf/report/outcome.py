"""What a run came to, in words: which tests failed and why, which are undecided, which passed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_loadperf.records import RunRecord, Status, TestRecord, Verdict

_SIGNS: dict[Status, str] = {
    "broken": "✗",
    "regressed": "✗",
    "inconclusive": "?",
    "no_baseline": "?",
    "improved": "✓",
    "ok": "✓",
}
_UNDECIDED: tuple[Status, ...] = ("inconclusive", "no_baseline")


def in_words(status: Status) -> str:
    """The status with a sign, so that it is told by more than a colour: '✗ broken', '? no baseline'."""
    return f"{_SIGNS[status]} {status.replace('_', ' ')}"


def worst(verdicts: Iterable[Verdict]) -> Status | None:
    """The gravest status among the verdicts; None if there is none."""
    return min((verdict.status for verdict in verdicts), key=list(_SIGNS).index, default=None)


@dataclass(frozen=True)
class Told:
    """One test's result, taken apart."""

    test: TestRecord

    @property
    def file(self) -> str:
        """The file that the test stands in."""
        return self.test.nodeid.partition("::")[0]

    @property
    def name(self) -> str:
        """The test's name, its class and parameters included."""
        file, _, name = self.test.nodeid.partition("::")
        return name or file

    @property
    def error(self) -> str:
        """The line of pytest's report that says what went wrong; empty where the test did not fail."""
        lines = [line for line in self.test.message.splitlines() if line.strip()]
        marked = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
        return next(iter(marked or lines[-1:]), "")

    @property
    def words(self) -> str:
        """What it is found by."""
        statuses = dict.fromkeys(in_words(verdict.status) for verdict in self.test.verdicts)
        return " ".join([self.test.nodeid, self.test.outcome, *statuses])

    @property
    def failed(self) -> bool:
        """Whether the test failed, for whatever reason."""
        return self.test.outcome in ("failed", "error") or (bool(self.breaches) and self.test.outcome != "xfailed")

    @property
    def breaches(self) -> list[Verdict]:
        """The thresholds that do not hold."""
        return [verdict for verdict in self.test.verdicts if verdict.breach]

    @property
    def undecided(self) -> list[Verdict]:
        """What could not be judged, and what has regressed although nobody asked about it."""
        return [
            verdict
            for verdict in self.test.verdicts
            if (verdict.status == "regressed" if verdict.advisory else verdict.status in _UNDECIDED)
        ]

    @property
    def held(self) -> list[Verdict]:
        """The thresholds that hold, and what has improved although nobody asked about it."""
        return [
            verdict
            for verdict in self.test.verdicts
            if verdict.status == "improved" or (verdict.status == "ok" and not verdict.advisory)
        ]


@dataclass(frozen=True)
class Outcome:
    """The tests of a run in the order in which they matter."""

    failed: tuple[Told, ...] = ()
    undecided: tuple[Told, ...] = ()  # passed, but some threshold could not be judged, or something else got worse
    passed: tuple[Told, ...] = ()
    expected: tuple[Told, ...] = ()  # failed, and marked with xfail
    skipped: tuple[Told, ...] = ()

    @property
    def headline(self) -> str:
        """The run in one sentence."""
        ran = len(self.failed) + len(self.undecided) + len(self.passed)
        if not ran:
            return "No load test ran"
        noun = "load test" if ran == 1 else "load tests"
        if self.failed:
            return "The load test failed" if ran == 1 else f"{len(self.failed)} of {ran} {noun} failed"
        passed = "The load test passed" if ran == 1 else f"All {ran} {noun} passed"
        return f"{passed}, {len(self.undecided)} to look at" if self.undecided else passed


def outcome_of(run: RunRecord) -> Outcome:
    """The run's tests, sorted by how they ended."""
    told = [Told(test) for test in run.tests]
    failed = [test for test in told if test.failed]
    expected = [test for test in told if test.test.outcome == "xfailed"]
    skipped = [test for test in told if test.test.outcome == "skipped" and not test.failed]
    rest = [test for test in told if test not in (*failed, *expected, *skipped)]
    return Outcome(
        failed=tuple(failed),
        undecided=tuple(test for test in rest if test.undecided),
        passed=tuple(test for test in rest if not test.undecided),
        expected=tuple(expected),
        skipped=tuple(skipped),
    )
