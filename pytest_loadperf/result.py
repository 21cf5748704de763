"""What a load fixture gives to tests."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from pytest_loadperf.measure.summary import cpu_percent_of, endpoint_of, memory_bytes_of, stages_of, summary_of
from pytest_loadperf.model import LoadRecord, Summary, Verdict

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class StageResult(Summary):
    """The numbers of one stage; `result["GET /search"]` gives those of one endpoint."""

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


@dataclass(frozen=True)
class GeneratorUse:
    """How the load generator itself fared."""

    cpu_percent: float
    saturated: bool  # it was out of CPU in more than a tenth of the seconds: latencies may be its own
    unfinished_users: int
    user_errors: dict[str, int]  # exceptions in user code, by text


@dataclass(frozen=True)
class LoadResult(StageResult):
    """The numbers of a load: all measured stages of all trials together."""

    record: LoadRecord = field(kw_only=True, repr=False)
    verdicts: list[Verdict] = field(default_factory=list, kw_only=True)  # of the tests judged so far

    @classmethod
    def of(cls, record: LoadRecord) -> LoadResult:
        """The result of a record."""
        whole = summary_of(record) or Summary(duration_s=0.0)
        return cls(**_contents(whole), record=record)

    @property
    def stages(self) -> dict[str, StageResult]:
        """Every stage by its name, unmeasured ones included."""
        names = dict.fromkeys(stage.stage.name or "" for trial in self.record.trials for stage in trial.stages)
        found = {name: summary_of(self.record, name) for name in names}
        return {name: StageResult(**_contents(summary)) for name, summary in found.items() if summary is not None}

    @property
    def trials(self) -> tuple[LoadResult, ...]:
        """The same numbers of each trial."""
        return tuple(LoadResult.of(replace(self.record, trials=(trial,))) for trial in self.record.trials)

    @property
    def service(self) -> ServiceUse:
        """What the service used."""
        stages = stages_of(self.record)
        return ServiceUse(cpu_percent_of(stages), memory_bytes_of(stages) / 1e6)

    @property
    def generator(self) -> GeneratorUse:
        """How the generator fared."""
        records = [trial.generator for trial in self.record.trials]
        lasted = sum(stage.summary.duration_s for trial in self.record.trials for stage in trial.stages)
        errors: dict[str, int] = {}
        for record in records:
            for text, count in record.user_errors.items():
                errors[text] = errors.get(text, 0) + count
        return GeneratorUse(
            cpu_percent=max((record.cpu_percent for record in records), default=float("nan")),
            saturated=sum(record.saturated_s for record in records) > lasted / 10,
            unfinished_users=sum(record.unfinished_users for record in records),
            user_errors=errors,
        )

    def frame(self) -> pandas.DataFrame:
        """Every second of every endpoint, as a pandas DataFrame."""
        from pytest_loadperf.history.frame import seconds

        return seconds(self.record)


def _contents(summary: Summary) -> dict[str, Any]:
    return {entry.name: getattr(summary, entry.name) for entry in fields(Summary)}
