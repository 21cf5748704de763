"""The nouns of judging and keeping: what a load came to (LoadRecord, Verdict), and a whole run (RunRecord)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pytest_loadperf.model import Trial


@dataclass(frozen=True)
class ServiceRecord:
    """What was loaded."""

    kind: Literal["docker", "compose", "process", "url"]
    name: str  # the image, the command or the address, secrets redacted
    digest: str | None = None  # of the image
    limits: dict[str, str] = field(default_factory=dict)  # cpus, memory, cpuset, replicas: as given
    started_in_s: float | None = None
    backend: str = ""  # engine or machine it ran on, for the fingerprint: "docker 20", "process", "url"
    fallback_from: str | None = None  # why another backend was used than the one asked for


@dataclass(frozen=True)
class LoadRecord:
    """One load fixture's run: what was asked for, what was measured."""

    key: str  # "tests/test_search.py::rush_hour[4]": the series' identity over runs
    name: str  # "rush_hour[4]"
    service: ServiceRecord
    trials: tuple[Trial, ...]
    fingerprint: dict[str, str]  # of the machine, the stages and the service: which runs may be compared
    aborted: str | None = None  # why the load was stopped early
    faults: tuple[str, ...] = ()  # why it is not the load that was asked for


Status = Literal["ok", "broken", "regressed", "improved", "no_baseline", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """What one threshold of one test came to, on one load."""

    test: str
    load: str  # the LoadRecord's key
    threshold: str  # as the user wrote it
    status: Status
    observed: str  # with its unit, as shown
    limit: str  # with its operator and unit, as shown
    baseline: str = ""  # what it was compared with: how many runs, the newest
    reason: str = ""  # why, where observed and limit do not say it all

    @property
    def breach(self) -> bool:
        """Whether this fails the test."""
        return self.status in ("broken", "regressed")


@dataclass(frozen=True)
class Commit:
    """The state of the code under test."""

    sha: str
    branch: str | None = None
    tag: str | None = None
    default_branch: str | None = None
    dirty: bool = False
    subject: str = ""


TestOutcome = Literal["passed", "failed", "error", "skipped", "xfailed"]


@dataclass(frozen=True)
class TestRecord:
    """One test that used a load."""

    __test__ = False  # not a test class, whatever its name says to pytest

    nodeid: str
    outcome: TestOutcome
    loads: tuple[str, ...] = ()  # keys
    verdicts: tuple[Verdict, ...] = ()
    message: str = ""  # of the failure or error, its last lines, redacted


@dataclass(frozen=True)
class RunRecord:
    """What is kept of one pytest run."""

    id: str
    started_at: str  # ISO 8601, UTC
    duration_s: float
    loads: tuple[LoadRecord, ...]
    tests: tuple[TestRecord, ...]
    commit: Commit | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    ci_url: str | None = None
    baseline: str | None = None  # the branch, tag or run that was asked for with --loadperf-baseline
