"""A run as one JSON document, for other programs; docs/json.md says what each of its keys means."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_loadperf.codec import to_plain
from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.soundness import verdicts_on
from pytest_loadperf.measure.summary import (
    cpu_percent_of,
    measured,
    memory_bytes_of,
    stages_of,
    usual_percentiles,
)
from pytest_loadperf.model import ArrivalRecord, StageRecord, Summary, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, RunRecord, TestRecord, Verdict
from pytest_loadperf.report.files import write_whole
from pytest_loadperf.report.outcome import worst
from pytest_loadperf.result import LoadResult, StageResult

FORMAT = 1  # one more where a key is renamed, removed or means something else, and not where one is added
_NUMBERS = (
    *("duration_s", "requests", "failures", "failure_rate", "rps", "bytes", "bytes_mean"),
    *("mean_ms", "min_ms", "max_ms", "status_codes", "errors"),
)
_OF_VERDICT = ("load", "threshold", "status", "advisory", "breach", "observed", "limit", "baseline", "reason")
_Plain = dict[str, Any]


def document(run: RunRecord) -> _Plain:
    """The run without its seconds; every key is there in every document, and what is not known is None."""
    commit = run.commit
    told: _Plain = to_plain(  # which leaves no NaN and no infinity
        {
            "format": FORMAT,
            "id": run.id,
            "started_at": run.started_at,
            "duration_s": run.duration_s,
            "commit": commit.sha if commit else None,
            **{name: getattr(commit, name, None) for name in ("branch", "tag", "dirty", "subject")},
            "ci_url": run.ci_url,
            "baseline": run.baseline,
            "versions": run.versions,
            "machine": run.machine,
            "tests": [_test(test) for test in run.tests],
            "loads": [_load(run, load) for load in run.loads],
        }
    )
    return told


def listed(runs: Iterable[RunRecord]) -> str:
    """A JSON list of the documents of these runs, one to a line."""
    return "[" + ",\n".join(json.dumps(document(run), allow_nan=False) for run in runs) + "]"


def write(run: RunRecord, path: Path) -> None:
    """Write the run's document into a file, whole or not at all; LoadperfError if that can't be."""
    try:
        write_whole(path, json.dumps(document(run), indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise LoadperfError(
            f"the JSON document could not be written to {path}: {error.strerror}; make it writable, or give another "
            "path"
        ) from error


def _test(test: TestRecord) -> _Plain:
    return {
        "nodeid": test.nodeid,
        "outcome": test.outcome,
        "message": test.message,
        "loads": test.loads,
        "verdicts": [_verdict(verdict) for verdict in test.verdicts],
    }


def _verdict(verdict: Verdict) -> _Plain:
    change = None if verdict.change is None else vars(verdict.change)
    return {**{name: getattr(verdict, name) for name in _OF_VERDICT}, "change": change}


def _load(run: RunRecord, load: LoadRecord) -> _Plain:
    return {
        "key": load.key,
        "name": load.name,
        "verdict": worst(verdicts_on(run, load)),
        "aborted": load.aborted,
        "faults": load.faults,
        "doubts": [str(doubt) for doubt in doubts(load)],
        "service": vars(load.service),
        "fingerprint": load.fingerprint,
        "capacity": _capacity(load),
        "control_ms": load.control_ms,
        **_whole(load, load.trials),
        "again": _whole(load, load.again) if load.again else None,
        "again_control_ms": load.again_control_ms,
        "against": _whole(load, load.against) if load.against else None,
        "against_name": load.against_name,
    }


def _capacity(load: LoadRecord) -> _Plain | None:
    if load.capacity is None:
        return None
    return {**vars(load.capacity), "steps": [vars(step) for step in load.capacity.steps]}


def _whole(load: LoadRecord, trials: tuple[Trial, ...]) -> _Plain:
    """What was measured in these trials of a load, together, by stage and by trial."""
    result = LoadResult.of(replace(load, trials=trials))
    return {
        **_measurement(result, stages_of(result.record)),
        "stages": {name: _stage(stage, stages_of(result.record, name)) for name, stage in result.stages.items()},
        "trials": [_trial(load, trial) for trial in trials],
        "generator": vars(result.generator),
    }


def _stage(result: StageResult, records: list[StageRecord]) -> _Plain:
    stage = records[0].stage
    return {
        "measured": stage.measured,
        "asked": _asked(stage),
        "users": max(record.users for record in records),
        **_measurement(result, records),
    }


def _asked(stage: Stage) -> _Plain:
    names = ("users", "spawn_rate", "requests", "rate", "max_users", "duration_s")
    return {name: getattr(stage, name) for name in names}


def _trial(load: LoadRecord, trial: Trial) -> _Plain:
    events = [vars(event) for event in trial.events]
    return {"started_at": trial.started_at, "events": events, **_numbers(measured(replace(load, trials=(trial,))))}


def _measurement(result: StageResult, records: list[StageRecord]) -> _Plain:
    """The numbers of these stages, what the service used meanwhile, and how the arrivals went."""
    memory_bytes = memory_bytes_of(records)
    return {
        **_numbers(result),
        "endpoints": {name: _numbers(endpoint) for name, endpoint in result.endpoints.items()},
        "cpu_percent": cpu_percent_of(records),
        "memory_bytes": None if math.isnan(memory_bytes) else int(memory_bytes),
        "arrivals": None if result.arrivals is None else _arrivals(result.arrivals),
    }


def _numbers(summary: Summary) -> _Plain:
    percentiles = usual_percentiles(summary).known
    return {
        **{name: getattr(summary, name) for name in _NUMBERS},
        **{f"p{name}_ms": percentile.ms for name, percentile in percentiles.items()},
        "intervals": {
            f"p{name}": {"low_ms": percentile.low_ms, "high_ms": percentile.high_ms}
            for name, percentile in percentiles.items()
        },
    }


def _arrivals(arrivals: ArrivalRecord) -> _Plain:
    names = ("due", "started", "waiting", "rate", "achieved_rate")
    late = {f"late_p{percent}_ms": arrivals.late_ms(percent) for percent in (50, 99)}
    return {**{name: getattr(arrivals, name) for name in names}, **late}
