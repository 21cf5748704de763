from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from records import history, load, run, trial, window

from pytest_loadperf.history.frame import AFTER, ALL, frame, seconds
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.model import Pulse, Trial, Window
from pytest_loadperf.records import LoadRecord

NUMBERS = [
    "requests", "failures", "failure_rate", "rps",
    "mean_ms", "min_ms", "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms",
]  # fmt: skip


def test_a_frame_has_a_row_for_each_run_load_stage_and_endpoint_and_one_for_all() -> None:
    made = frame(history(2, ("rush_hour", "night")))
    assert len(made) == 2 * 2 * 3 * (3 + 1)
    assert list(made.columns) == ["run", "time", "commit", "branch", "load", "stage", "measured", "endpoint", *NUMBERS]
    assert set(made["endpoint"]) == {ALL, "GET /", "GET /search", "POST /cart"}
    assert set(made.loc[~made["measured"], "stage"]) == {"warm-up"}


def test_a_row_holds_the_numbers_of_its_summary() -> None:
    record = run()
    made = frame([record])
    row = made[(made["stage"] == "rush") & (made["endpoint"] == "GET /search")].iloc[0]
    summary = measured(record.loads[0], "rush", "GET /search")
    assert record.commit is not None
    assert (row["run"], row["commit"], row["branch"]) == (record.id, record.commit.sha, "main")
    assert (row["load"], row["time"]) == (record.loads[0].key, pd.Timestamp("2026-09-01T08:00Z"))
    for name in NUMBERS:
        assert row[name] == getattr(summary, name), name


def test_trials_of_a_load_stand_in_one_row() -> None:
    once, thrice = frame([run(loads=[load("a", trial())])]), frame([run(loads=[load("a", trial(), trial(), trial())])])
    assert len(thrice) == len(once)
    assert list(thrice["requests"]) == list(once["requests"] * 3)
    assert list(thrice["rps"]) == pytest.approx(list(once["rps"]))


def test_a_run_without_a_commit_has_none_in_its_rows() -> None:
    assert frame([replace(run(), commit=None)])[["commit", "branch"]].isna().all(axis=None)


def test_numbers_are_numbers_and_times_are_times_even_without_a_row() -> None:
    for made in (frame(history(1)), frame([])):
        assert isinstance(made["time"].dtype, pd.DatetimeTZDtype)
        assert {str(kind) for kind in made[["requests", "failures"]].dtypes} == {"int64"}
        assert {str(kind) for kind in made[NUMBERS[2:]].dtypes} == {"float64"}
        assert str(made["measured"].dtype) == "bool"


def test_an_endpoint_without_requests_has_no_latency() -> None:
    record = run(loads=[load("a", trial(answers=0.01))])
    idle = replace(record.loads[0].trials[0].stages[1].summary, requests=0, histogram=Histogram(), endpoints={})
    stage = replace(record.loads[0].trials[0].stages[1], summary=idle)
    made = frame([run(loads=[load("a", replace(record.loads[0].trials[0], stages=(stage,)))])])
    assert made.loc[0, "requests"] == 0
    assert made[["p95_ms", "failure_rate", "mean_ms"]].isna().all(axis=None)


def of(*windows: Window, base: Trial | None = None) -> LoadRecord:
    return load("a", replace(base or trial(answers=0.01), windows=windows))


def test_seconds_have_a_row_for_each_second_stage_and_endpoint() -> None:
    made = seconds(load())
    assert list(made.columns) == [
        "trial", "second", "seconds", "stage", "endpoint", "users", "requests", "failures", "bytes",
        "p50_ms", "p95_ms", "p99_ms", "saturated",
    ]  # fmt: skip
    assert len(made) == 30 * 3
    assert list(made["stage"].unique()) == ["warm-up", "rush", "peak"]
    assert made["second"].is_monotonic_increasing


def test_a_second_says_whether_the_generator_was_saturated() -> None:
    held = replace(trial(), pulses=(Pulse(1.0, 5.0, 1.0), Pulse(3.02, 5.0, 1900.0, 2.02), Pulse(4.0, 5.0, 1.0)))
    made = seconds(load("a", held))
    assert sorted(made.loc[made["saturated"], "second"].unique()) == [1, 2]


def test_a_row_of_several_seconds_says_so() -> None:
    held = replace(trial(), pulses=(Pulse(1.0, 5.0, 1.0), Pulse(3.02, 5.0, 1900.0, 2.02), Pulse(4.0, 5.0, 1.0)))
    long = replace(window(0, 1, "GET", "/", 3, [10.0] * 8), seconds=2)
    made = seconds(of(long, window(3, 1, "GET", "/", 3, [10.0]), base=held))
    assert made[["second", "seconds", "requests", "saturated"]].to_numpy().tolist() == [
        [0, 2, 8, True],
        [3, 1, 1, False],
    ]


def test_windows_of_the_same_second_stage_and_endpoint_are_merged() -> None:
    made = seconds(
        of(
            window(7, 1, "GET", "/", 3, [10.0] * 8),
            window(7, 1, "GET", "/", 5, [500.0] * 2),
            window(7, 2, "GET", "/", 5, [20.0]),
            window(7, 1, "POST", "/", 5, [30.0]),
        )
    )
    assert made[["second", "stage", "endpoint"]].to_numpy().tolist() == [
        [7, "rush", "GET /"],
        [7, "rush", "POST /"],
        [7, "peak", "GET /"],
    ]
    merged = made.iloc[0]
    assert (merged["users"], merged["requests"], merged["bytes"]) == (5, 10, 5120)
    assert merged["p50_ms"] == pytest.approx(10, rel=1e-3)
    assert merged["p95_ms"] == pytest.approx(500, rel=1e-3)


def test_trials_stay_apart_by_their_number() -> None:
    made = seconds(load("a", trial(answers=0.01), trial(answers=0.01)))
    assert made.groupby("trial").size().to_dict() == {1: 90, 2: 90}


def test_an_answer_after_the_last_stage_is_said_to_be() -> None:
    assert list(seconds(of(window(31, -1, "GET", "/", 0, [9.0])))["stage"]) == [AFTER]


def test_a_load_whose_seconds_were_not_kept_has_no_rows() -> None:
    made = seconds(load("a", trial(series=False)))
    assert made.empty
    assert str(made["requests"].dtype) == "int64"
    assert str(made["p95_ms"].dtype) == "float64"
