"""Records as pandas data frames: a row for each endpoint of a run's stage, or for each second of a load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from pytest_loadperf.measure.selfcheck import saturated_seconds
from pytest_loadperf.measure.summary import stages_of, summarise, summary_of
from pytest_loadperf.model import Summary, Trial, Window
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import LoadRecord, RunRecord

ALL = "all"  # the row of a stage's endpoints together
AFTER = "after"  # the "stage" of seconds after the last one

_COUNTS = ("requests", "failures")
_LATENCIES = ("mean_ms", "min_ms", "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
_NUMBERS = (*_COUNTS, "failure_rate", "rps", *_LATENCIES)
_KEYS = ("run", "time", "commit", "branch", "load", "stage", "measured", "endpoint")
_SECOND_KEYS = ("trial", "second", "seconds", "stage", "endpoint")
_SECOND_COUNTS = ("users", *_COUNTS, "bytes")
_SECOND_LATENCIES = ("p50_ms", "p95_ms", "p99_ms")
_SATURATED = "saturated"


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row for each run, load (by its key), stage and endpoint, and one with the endpoint 'all' for the stage.

    Times in ms, `failure_rate` 0 to 1, trials of a load together.
    """
    rows = [row for run in records for load in run.loads for row in _rows(run, load)]
    made = pd.DataFrame(rows, columns=[*_KEYS, *_NUMBERS])
    made["time"] = pd.to_datetime(made["time"], utc=True)
    kinds = {"measured": "bool", **dict.fromkeys(_NUMBERS, "float64"), **dict.fromkeys(_COUNTS, "int64")}
    return made.astype(kinds)


def seconds(load: LoadRecord) -> pd.DataFrame:
    """A row for each trial (from 1), second, stage and endpoint; times in ms. Empty where the seconds were not kept.

    Of a stage of more than ten minutes a row may be of several `seconds`, of which `second` is the first. Answers
    that came after the last stage stand under the stage 'after'. `saturated` is whether the generator had no time for
    its users in that second.
    """
    rows = [row for number, trial in enumerate(load.trials, start=1) for row in _second_rows(number, trial)]
    made = pd.DataFrame(rows, columns=[*_SECOND_KEYS, *_SECOND_COUNTS, *_SECOND_LATENCIES, _SATURATED])
    counts = dict.fromkeys(("trial", "second", "seconds", *_SECOND_COUNTS), "int64")
    return made.astype({**counts, **dict.fromkeys(_SECOND_LATENCIES, "float64"), _SATURATED: "bool"})


def _rows(run: RunRecord, load: LoadRecord) -> Iterator[dict[str, Any]]:
    commit = run.commit
    identity = {
        "run": run.id,
        "time": moment(run.started_at),
        "commit": commit.sha if commit else None,
        "branch": commit.branch if commit else None,
        "load": load.key,
    }
    for stage in dict.fromkeys(record.stage.name or "" for trial in load.trials for record in trial.stages):
        whole = summary_of(load, stage)
        if whole is None:
            continue
        measured = stages_of(load, stage)[0].stage.measured
        for endpoint, summary in {ALL: whole, **whole.endpoints}.items():
            yield {**identity, "stage": stage, "measured": measured, "endpoint": endpoint, **_picked(summary, _NUMBERS)}


def _second_rows(number: int, trial: Trial) -> Iterator[dict[str, Any]]:
    together: defaultdict[tuple[int, int], list[Window]] = defaultdict(list)
    for window in trial.windows:
        together[window.second, window.stage].append(window)
    saturated = saturated_seconds(trial.pulses)
    for (second, stage), windows in sorted(together.items()):
        name = trial.stages[stage].stage.name if 0 <= stage < len(trial.stages) else AFTER
        lasts = max(window.seconds for window in windows)
        shared = {
            "trial": number,
            "second": second,
            "seconds": lasts,
            "stage": name,
            "users": max(window.users for window in windows),
            _SATURATED: not saturated.isdisjoint(range(second, second + lasts)),
        }
        for endpoint, summary in summarise(windows, float(lasts)).endpoints.items():
            yield {**shared, "endpoint": endpoint, **_picked(summary, (*_COUNTS, "bytes", *_SECOND_LATENCIES))}


def _picked(summary: Summary, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in names}
