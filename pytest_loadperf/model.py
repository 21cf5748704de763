"""The nouns of measuring: what comes in (Window, Sample, Pulse), and what it adds up to (Summary, Trial)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_loadperf.measure import interval
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.percentiles import Percentile, Percentiles
from pytest_loadperf.plan import Stage

UNSENT = "never sent, "  # so begins the error of a request that the generator's machine had no port or file for


@dataclass(frozen=True)
class Window:
    """One second of one endpoint: requests belong to the second, and the stage, in which they were sent.

    Of a stage of more than ten minutes the older windows are of several seconds each.
    """

    second: int  # whole seconds since the load began
    stage: int  # index into the stages; -1 is after the last one
    method: str
    endpoint: str
    users: int
    requests: int
    failures: int
    bytes: int
    sum_ms: float
    min_ms: float
    max_ms: float
    histogram: Histogram
    status_codes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    seconds: int = 1  # that it is of


@dataclass(frozen=True)
class Summary:
    """The numbers of a stage, an endpoint or a whole load; times in ms, rates 0 to 1."""

    duration_s: float
    requests: int = 0
    failures: int = 0
    bytes: int = 0
    sum_ms: float = 0.0
    min_ms: float = float("nan")
    max_ms: float = float("nan")
    histogram: Histogram = field(default_factory=Histogram)  # empty where there are endpoints, which have it
    status_codes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    endpoints: Mapping[str, Summary] = field(default_factory=dict)  # by "METHOD name"; empty in an endpoint itself
    effects: dict[str, float] = field(default_factory=dict)  # by percentile: requests per independent one
    percentiles: Percentiles = field(default_factory=Percentiles)  # the usual ones of a stage, reckoned once

    @cached_property
    def latencies(self) -> Histogram:
        """How long its requests took, those of all endpoints together."""
        whole = [endpoint.histogram for endpoint in self.endpoints.values()]
        return Histogram.merged(whole) if whole else self.histogram

    @property
    def failure_rate(self) -> float:
        """Failed requests per request, 0 to 1; NaN without requests."""
        return self.failures / self.requests if self.requests else float("nan")

    @property
    def rps(self) -> float:
        """Requests a second."""
        return self.requests / self.duration_s if self.duration_s else float("nan")

    @property
    def mean_ms(self) -> float:
        """Mean latency; NaN without requests."""
        return self.sum_ms / self.requests if self.requests else float("nan")

    @property
    def bytes_mean(self) -> float:
        """Mean size of an answer's body; NaN without requests."""
        return self.bytes / self.requests if self.requests else float("nan")

    @property
    def p50_ms(self) -> float:
        """The median latency."""
        return self.percentile_ms(50)

    @property
    def p75_ms(self) -> float:
        """The 75th percentile of latency."""
        return self.percentile_ms(75)

    @property
    def p90_ms(self) -> float:
        """The 90th percentile of latency."""
        return self.percentile_ms(90)

    @property
    def p95_ms(self) -> float:
        """The 95th percentile of latency."""
        return self.percentile_ms(95)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of latency."""
        return self.percentile_ms(99)

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the requests did not exceed; NaN without requests."""
        if not 0 < percent <= 100:
            raise ValueError(f"percentile_ms({percent!r}): expected more than 0 and at most 100")
        return self.percentiles_ms([percent])[0]

    def percentiles_ms(self, percents: Sequence[float]) -> list[float]:
        """The latencies of several percents, which must ascend."""
        known = [self._known(percent) for percent in percents]
        if None not in known:
            return [each.ms for each in known if each is not None]
        found = self.latencies.percentiles_ms(percents)
        return [min(max(value, self.min_ms), self.max_ms) for value in found] if self.requests else found

    def interval_ms(self, percent: float) -> tuple[float, float]:
        """Between which latencies the true percentile lies, 95 times of 100.

        Infinite above where too few requests were sent to tell, NaN without any.
        """
        return self.intervals_ms([percent])[0]

    def intervals_ms(self, percents: Sequence[float]) -> list[tuple[float, float]]:
        """The intervals of several percentiles, in one walk through the histogram."""
        known = [self._known(percent) for percent in percents]
        if None not in known:
            return [(each.low_ms, each.high_ms) for each in known if each is not None]
        shares = [interval.shares(percent, self.requests, self.effects) for percent in percents]
        bounds = [(max(low * 100, 1e-9), min(high, 1.0) * 100) for low, high in shares]
        walk = sorted({bound for pair in bounds for bound in pair})
        found = dict(zip(walk, self.percentiles_ms(walk), strict=True))
        return [
            (found[low], math.inf if math.isinf(share) and self.requests else found[high])
            for (low, high), (_, share) in zip(bounds, shares, strict=True)
        ]

    def _known(self, percent: float) -> Percentile | None:
        return self.percentiles.get(interval.NAMES.get(percent, ""))


@dataclass(frozen=True)
class Sample:
    """What one replica of the service used in one second; `cpu_percent` is 100 for one core."""

    at_s: float  # seconds since the load began
    replica: int  # its number; one that comes while the load runs has another than any before it
    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True)
class ServiceEvent:
    """Something that happened to a container while a load ran, as the engine says, or a change of their number."""

    at_s: float  # seconds since the load began
    container: str  # 'replica 2', or a service that it depends on; empty where there is but one
    action: (
        str  # the engine's word: die, health_status, kill, oom, pause, restart, start, stop, unpause; or ours, scale
    )
    detail: str = ""  # the exit code, the signal, the state of health, or '1 to 2 replicas'

    def __str__(self) -> str:
        """What happened: 'replica 2 ended with exit code 137'."""
        return f"{self.container or 'the service'} {_HAPPENED.get(self.action, self.action).format(self.detail)}"


_HAPPENED = {
    "die": "ended with exit code {}",
    "health_status": "turned {}",
    "kill": "was sent signal {}",
    "oom": "ran out of memory",
    "pause": "was paused",
    "restart": "was restarted",
    "scale": "was scaled from {}",
    "start": "was started",
    "stop": "was stopped",
    "unpause": "went on",
}


@dataclass(frozen=True)
class Pulse:
    """How one process of the generator, its users and its machine fared in about a second; NaN where nothing says."""

    at_s: float  # when it ended, since the load began
    cpu_percent: float  # of the process; 100 is one core
    lag_ms: float  # the longest that its event loop was late: so much a latency may be too long
    lasted_s: float = 1.0  # a loop that is held takes no pulse meanwhile
    waited_percent: float = float("nan")  # of the time, in which it could have run, but others had the cores
    busy_percent: float = float("nan")  # of all processes of the machine together; 100 is one core
    steal_percent: float = float("nan")  # of the machine's time, given to other virtual machines
    stalled_percent: float = float("nan")  # of the time in which something waited for memory
    process: int = 0  # the generator's own, or the number of a worker
    users: int = 0  # the most that it ran at one time


@dataclass(frozen=True)
class SelfCheck:
    """Whether a stage's numbers are the service's, or the generator's and the machine's own."""

    seconds: float = 0.0  # that were looked at
    saturated_s: float = 0.0  # of those, how long its worst process was out of CPU, or its loop held
    cpu_percent: float = float("nan")  # mean of that process
    waited_percent: float = float("nan")  # mean, for a core that others had
    lag_ms: float = float("nan")  # the longest
    steal_percent: float = float("nan")  # mean
    stalled_percent: float = float("nan")  # mean
    others_percent: float = float("nan")  # mean CPU of neither generator nor service; 100 is one core


@dataclass(frozen=True)
class ArrivalRecord:
    """How the arrivals of an open-model stage went."""

    due: int
    started: int
    waiting: int  # due, but still without a user when the stage ended
    lasted_s: float
    overdue: int = 0  # of those, the ones that had waited for more than a moment
    late: Histogram = field(default_factory=Histogram)  # from when an arrival was due until a user began with it

    @property
    def rate(self) -> float:
        """The rate that was asked for on average, in arrivals a second."""
        return self.due / self.lasted_s if self.lasted_s else float("nan")

    @property
    def achieved_rate(self) -> float:
        """The rate at which users really began, in arrivals a second."""
        return self.started / self.lasted_s if self.lasted_s else float("nan")

    def late_ms(self, percent: float) -> float:
        """How late this share of the starts were at most, in ms."""
        return self.late.percentile_ms(percent)


@dataclass(frozen=True)
class StageRecord:
    """One stage as it was run and what was measured in it."""

    stage: Stage
    began_s: float  # since the load began
    summary: Summary
    cpu_percent: float = float("nan")  # the service's mean over the stage, all replicas together
    memory_bytes: int = 0  # the service's peak over the stage, all replicas together
    users: int = 0  # the most that ran at once
    generator: SelfCheck = field(default_factory=SelfCheck)
    arrivals: ArrivalRecord | None = None  # of an open-model stage

    def __post_init__(self) -> None:
        if self.stage.name is None:  # in a record that someone wrote by hand: all that is run is given one
            object.__setattr__(self, "stage", replace(self.stage, name=""))


@dataclass(frozen=True)
class GeneratorRecord:
    """What the generator counted over the whole load."""

    requests: int  # ours, compared with Locust's
    unfinished_users: int = 0  # users still busy when the wait for answers ended
    unseen_users: int = 0  # of those, the ones that waited for what nobody counts
    user_errors: dict[str, int] = field(default_factory=dict)  # exceptions raised by user code, by text
    lost_workers: tuple[str, ...] = ()  # which, when and how; what each measured in its last second is missing


@dataclass(frozen=True)
class Trial:
    """One run of all stages."""

    started_at: str  # when the first stage began; ISO 8601, UTC
    stages: tuple[StageRecord, ...]
    generator: GeneratorRecord
    events: tuple[ServiceEvent, ...] = ()  # what happened to the service's containers meanwhile
    windows: tuple[Window, ...] = ()  # kept apart from the record, in its series file
    samples: tuple[Sample, ...] = ()  # likewise
    pulses: tuple[Pulse, ...] = ()  # likewise
