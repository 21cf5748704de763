"""The nouns of judging and keeping: what a load came to (LoadRecord, Verdict), and a whole run (RunRecord)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.measure.percentiles import Percentiles
from pytest_loadperf.model import Trial
from pytest_loadperf.quantity import show_bytes, size_bytes

_AUTOSCALE = re.compile(r"(\d+) to (\d+) replicas at ([\d.]+)% CPU")


@dataclass(frozen=True)
class ServiceRecord:
    """What was loaded."""

    kind: Literal["docker", "compose", "process", "url"]
    name: str  # the image, the command or the address, secrets redacted
    digest: str | None = None  # of the image
    limits: dict[str, str] = field(default_factory=dict)  # cpus, memory, cpuset, replicas: as given; autoscale
    started_in_s: float | None = None
    backend: str = ""  # engine or machine it ran on, for the fingerprint: "docker 20", "process", "url"
    fallback_from: str | None = None  # why another backend was used than the one asked for

    @property
    def cpu_limit_percent(self) -> float | None:
        """What one replica may use, where that is limited; 100 is one core."""
        try:
            return float(self.limits["cpus"]) * 100
        except (KeyError, ValueError):
            return None

    @property
    def memory_limit_bytes(self) -> float | None:
        """What one replica may use, where that is limited."""
        try:
            given = self.limits["memory"]
            return float(size_bytes(int(given) if given.isdecimal() else given, "memory"))
        except (KeyError, UsageFault):
            return None

    @property
    def readable_limits(self) -> dict[str, str]:
        """The limits, with a memory that was given in bytes in a unit that can be read."""
        if (memory := self.memory_limit_bytes) is None or not self.limits["memory"].isdecimal():
            return self.limits
        return {**self.limits, "memory": show_bytes(memory)}

    @property
    def most_replicas(self) -> int:
        """How many replicas there were; at most, where their number changed."""
        scaled = self._autoscale
        return int(scaled[2]) if scaled else int(self.limits.get("replicas", "1"))

    @property
    def cpu_target_percent(self) -> float | None:
        """What one replica was to use on average, where their number changed by that; 100 is one core."""
        scaled = self._autoscale
        return float(scaled[3]) / 100 * (self.cpu_limit_percent or 100.0) if scaled else None

    @property
    def _autoscale(self) -> re.Match[str] | None:
        return _AUTOSCALE.match(self.limits.get("autoscale", ""))


@dataclass(frozen=True)
class Together:
    """The usual percentiles of all measured stages and trials together: to reckon them would take all histograms."""

    sum_ms: float  # of the latencies that they are of; other trials, which may take the place of these, have another
    percentiles: Percentiles


By = Literal["users", "rate"]
StepStatus = Literal["held", "broke", "unclear"]


@dataclass(frozen=True)
class Step:
    """One load of a search for the highest that holds."""

    size: int  # users, or arrivals a second
    status: StepStatus
    why: str = ""  # which demand broke and what was seen, or why it can't be told
    requests: int = 0
    rps: float = float("nan")
    p50_ms: float = float("nan")
    p95_ms: float = float("nan")
    p99_ms: float = float("nan")
    failure_rate: float = float("nan")
    cpu_percent: float = float("nan")  # of the service


@dataclass(frozen=True)
class Capacity:
    """The highest load that held, and the loads that were tried to find it."""

    by: By
    until: str  # the demands, as written
    size: int  # users, or arrivals a second; 0 where none held
    steps: tuple[Step, ...]
    limited: str = ""  # why more may hold than was found

    @property
    def load(self) -> str:
        """The highest load that held: '40 users', '200/s'."""
        return size_in_words(self.by, self.size)

    @property
    def knee(self) -> Step | None:
        """Where more load begins to cost more time than it brings answers: the most answers for their time.

        That is Kleinrock's power, throughput by latency: below the knee a service has time left, beyond requests wait.
        """
        known = [step for step in self.steps if step.status == "held" and step.p50_ms > 0]  # errors are fast
        return max(known, key=lambda step: step.rps / step.p50_ms, default=None)


def size_in_words(by: By, size: int) -> str:
    """A load of this size: '40 users', '200/s'."""
    if by == "rate":
        return f"{size}/s"
    return "1 user" if size == 1 else f"{size} users"


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
    control_ms: float = float("nan")  # p95 of the control around it, which tells how fast the machine was
    again: tuple[Trial, ...] = ()  # a second measurement, which confirms a suspicion or does not; no part of a baseline
    again_control_ms: float = float("nan")
    against: tuple[Trial, ...] = ()  # side by side: the baseline's half of each pair, whose other one is in `trials`
    against_name: str = ""  # "git:main (ab12cd3)", or an image
    together: dict[str, Together] = field(default_factory=dict)  # by endpoint, "" for all, where that is several stages
    capacity: Capacity | None = None  # of a search, whose `trials` are those of the highest load that held

    @property
    def against_short(self) -> str:
        """The baseline without its commit: 'git:main'."""
        return self.against_name.partition(" ")[0]


Status = Literal["ok", "broken", "regressed", "improved", "no_baseline", "inconclusive"]


@dataclass(frozen=True)
class Change:
    """How a series stands against its comparable runs, or the build beside it; values in the metric's base unit."""

    series: str  # "p95[GET /search]@rush"
    observed: float
    centre: float  # where the comparable runs stand, or the baseline's own number
    low: float  # the band in which 95 of 100 runs were expected; side by side: the interval of `paired`
    high: float
    visible: float  # from which value on a run would have been suspect
    runs: int  # that tell how much runs differ; side by side: pairs
    suspect: bool = False  # worse than chance explains
    again: float = float("nan")  # the second measurement of a suspect
    paired: float = float("nan")  # side by side: the baseline's number, changed as much as the pairs differ
    undecided: bool = False  # side by side: these pairs do not tell, more of them might


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
    change: Change | None = None  # against the baseline, where there is one
    advisory: bool = False  # nobody asked for it: it is told, and fails nothing

    @property
    def breach(self) -> bool:
        """Whether this fails the test."""
        return self.status in ("broken", "regressed") and not self.advisory

    @property
    def remark(self) -> str:
        """The reason, and whether it is mere advice."""
        return "; ".join(filter(None, ("advice" if self.advisory else "", self.reason)))


@dataclass(frozen=True)
class Commit:
    """The state of the code under test."""

    sha: str
    branch: str | None = None
    tag: str | None = None
    default_branch: str | None = None
    dirty: bool = False
    subject: str = ""


@dataclass(frozen=True)
class LogSlice:
    """What a service wrote around a breach: bounded, secrets redacted."""

    load: str  # the LoadRecord's key
    text: str
    when: str = ""  # which time that is, and what happened then; empty where it is merely what was written last


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
    service_logs: tuple[LogSlice, ...] = ()  # where a threshold broke: one for each load that it broke on


@dataclass(frozen=True)
class Acceptance:
    """A change that somebody took for the new normal: the levels of these loads begin anew with a run."""

    id: str
    at: str  # when it was accepted; ISO 8601, UTC
    reason: str
    loads: tuple[str, ...]  # keys
    run: str  # the first of the new level
    since: str  # when that began; ISO 8601, UTC
    commit: Commit | None = None  # of that run


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
    accepted: tuple[Acceptance, ...] = ()  # the changes that were the new normal when it was judged
