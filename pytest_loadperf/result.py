"""What a load fixture gives to tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from pytest_loadperf.measure.selfcheck import is_bottleneck
from pytest_loadperf.measure.summary import (
    arrivals_of,
    cpu_percent_of,
    endpoint_of,
    memory_bytes_of,
    stages_of,
    summary_of,
)
from pytest_loadperf.model import ArrivalRecord, Summary
from pytest_loadperf.provision import Provision, provision
from pytest_loadperf.records import Capacity, LoadRecord, Verdict

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class StageResult(Summary):
    """The numbers of one stage; `result["GET /search"]` gives those of one endpoint."""

    arrivals: ArrivalRecord | None = field(default=None, kw_only=True)  # of a stage with a rate

    def __getitem__(self, endpoint: str) -> Summary:
        """One endpoint: 'GET /search', or '/search' for all methods of that name; KeyError names what there is."""
        found = endpoint_of(self, endpoint)
        if found is None:
            there = ", ".join(repr(name) for name in self.endpoints) or "none at all"
            raise KeyError(f"no request of {endpoint!r} was measured; there are {there}")
        return found


@dataclass(frozen=True)
class ServiceUse:
    """What the service used over the measured stages, all replicas together."""

    cpu_percent: float  # mean; 100 is one core, NaN where the service can't be sampled
    memory_mb: float  # peak, in 10^6 bytes; NaN likewise
    replicas: int  # the most at once, unmeasured stages included; 0 likewise


@dataclass(frozen=True)
class GeneratorUse:
    """How the load generator itself, and its machine, fared over the measured stages."""

    saturated: bool  # it was out of CPU, or its loop held up, in more than a few seconds of a stage
    saturated_s: float  # how long that was
    cpu_percent: float  # of its busiest process, the highest mean of a stage; 100 is one core
    lag_ms: float  # the longest that its loop was late
    steal_percent: float  # of the machine's time, the highest mean of a stage
    others_percent: float  # CPU of neither generator nor service, likewise; 100 is one core
    unfinished_users: int
    user_errors: dict[str, int]  # exceptions in user code, by text
    lost_workers: tuple[str, ...]  # which, when and how


@dataclass(frozen=True)
class LoadResult(StageResult):
    """The numbers of a load: all measured stages of all trials together."""

    record: LoadRecord = field(kw_only=True, repr=False)
    verdicts: list[Verdict] = field(default_factory=list, kw_only=True)  # of the tests judged so far

    @classmethod
    def of(cls, record: LoadRecord) -> LoadResult:
        """The result of a record."""
        whole = summary_of(record) or Summary(duration_s=0.0)
        return cls(**_contents(whole), arrivals=arrivals_of(stages_of(record)), record=record)

    @property
    def stages(self) -> dict[str, StageResult]:
        """Every stage by its name, unmeasured ones included."""
        names = dict.fromkeys(stage.stage.name or "" for trial in self.record.trials for stage in trial.stages)
        return {name: self._stage(name) for name in names}

    def _stage(self, name: str) -> StageResult:
        summary = summary_of(self.record, name)
        assert summary is not None  # it is one of the record's
        return StageResult(**_contents(summary), arrivals=arrivals_of(stages_of(self.record, name)))

    @property
    def trials(self) -> tuple[LoadResult, ...]:
        """The same numbers of each trial."""
        return tuple(LoadResult.of(replace(self.record, trials=(trial,))) for trial in self.record.trials)

    @property
    def service(self) -> ServiceUse:
        """What the service used."""
        from pytest_loadperf.report.timeline import usage_of

        stages = stages_of(self.record)
        replicas = max((used.replicas for trial in self.record.trials for used in usage_of(trial)), default=0)
        return ServiceUse(cpu_percent_of(stages), memory_bytes_of(stages) / 1e6, replicas)

    @property
    def generator(self) -> GeneratorUse:
        """How the generator fared."""
        checks = [stage.generator for stage in stages_of(self.record)]
        records = [trial.generator for trial in self.record.trials]
        return GeneratorUse(
            saturated=any(is_bottleneck(check) for check in checks),
            saturated_s=sum(check.saturated_s for check in checks),
            cpu_percent=_highest(check.cpu_percent for check in checks),
            lag_ms=_highest(check.lag_ms for check in checks),
            steal_percent=_highest(check.steal_percent for check in checks),
            others_percent=_highest(check.others_percent for check in checks),
            unfinished_users=sum(record.unfinished_users for record in records),
            user_errors=dict(sum((Counter(record.user_errors) for record in records), Counter[str]())),
            lost_workers=tuple(lost for record in records for lost in record.lost_workers),
        )

    @property
    def capacity(self) -> Capacity:
        """What a search found, step by step; AttributeError for a load that is none."""
        if self.record.capacity is None:
            raise AttributeError(f"{self.record.name} is no search for capacity; capacity(…) makes a fixture that is")
        return self.record.capacity

    def plan(self, target: str, *, utilisation: float = 0.7, peak: float = 1.0) -> Provision:
        """What the service needs for so many calls, '200/s' or '1000/h', by the capacity that was found.

        `utilisation` is the part of the capacity that is planned with, `peak` how many times the mean the busiest
        moment asks for. Raises UsageFault for what can't be meant, AttributeError for a load that is no search.
        """
        return provision(self.capacity, self.record, target, utilisation=utilisation, peak=peak)

    def frame(self) -> pandas.DataFrame:
        """Every second of every endpoint, as a pandas DataFrame; older ones of a long stage are put together."""
        from pytest_loadperf.history.frame import seconds

        return seconds(self.record)


def _contents(summary: Summary) -> dict[str, Any]:
    return {entry.name: getattr(summary, entry.name) for entry in fields(Summary)}


def _highest(values: Iterable[float]) -> float:
    return max((value for value in values if not isnan(value)), default=nan)
