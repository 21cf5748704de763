"""CSV files with the columns of `locust --csv`."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import records
from projects import ONE_SECOND, Project, python

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import summary_of
from pytest_loadperf.report.locust_csv import write

LOCUSTS = """
import json, tempfile
from locust import stats
with tempfile.TemporaryDirectory() as folder:
    made = stats.StatsCSVFileWriter(None, stats.PERCENTILES_TO_REPORT, folder + "/it", full_history=False)
    made.close_files()
print(json.dumps({
    "stats": made.requests_csv_columns,
    "stats_history": made.stats_history_csv_columns,
    "failures": made.failures_columns,
    "exceptions": made.exceptions_columns,
}))
"""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def test_the_columns_are_locusts(tmp_path: Path) -> None:
    done = subprocess.run(python("-c", LOCUSTS), check=True, capture_output=True, text=True)
    write([records.load()], tmp_path)
    for kind, columns in json.loads(done.stdout).items():
        with (tmp_path / f"rush_hour_rush_{kind}.csv").open() as file:
            assert next(csv.reader(file)) == columns


def test_a_stage_has_a_row_for_each_endpoint_and_one_for_all(tmp_path: Path) -> None:
    load = records.load()
    write([load], tmp_path)
    *endpoints, whole = rows(tmp_path / "rush_hour_rush_stats.csv")
    assert [(row["Type"], row["Name"]) for row in endpoints] == [("GET", "/"), ("GET", "/search"), ("POST", "/cart")]
    summary = summary_of(load, "rush")
    assert summary is not None
    assert (whole["Type"], whole["Name"]) == ("", "Aggregated")
    assert int(whole["Request Count"]) == summary.requests == sum(int(row["Request Count"]) for row in endpoints)
    assert float(whole["95%"]) == summary.p95_ms
    assert float(whole["Requests/s"]) == pytest.approx(summary.rps)


def test_the_history_adds_up_to_the_stage_second_by_second(tmp_path: Path) -> None:
    load = records.load("rush_hour", records.trial(seed=1), records.trial(seed=2))
    write([load], tmp_path)
    found = rows(tmp_path / "rush_hour_rush_stats_history.csv")
    summary = summary_of(load, "rush")
    assert summary is not None
    assert len(found) == 2 * 15
    assert int(found[-1]["Total Request Count"]) == summary.requests == sum(float(row["Requests/s"]) for row in found)
    assert float(found[-1]["Total Median Response Time"]) == summary.p50_ms
    assert [int(row["Timestamp"]) - int(found[0]["Timestamp"]) for row in found[:15]] == [*range(15)]


def test_a_row_of_the_history_may_be_of_several_seconds(tmp_path: Path) -> None:
    trial = records.trial()
    windows = [each for each in trial.windows if each.stage == 1]
    first = windows[0].second
    windows = [replace(each, seconds=5) for each in windows if (each.second - first) % 5 == 0]
    write([records.load("rush_hour", replace(trial, windows=tuple(windows)))], tmp_path)
    found = rows(tmp_path / "rush_hour_rush_stats_history.csv")
    assert len(found) == 3
    assert sum(5 * float(row["Requests/s"]) for row in found) == sum(each.requests for each in windows)


def test_failures_and_exceptions_are_told_with_how_often(tmp_path: Path) -> None:
    trial = records.trial(failing=0.2)
    windows = tuple(
        replace(each, errors={"503 Busy": each.failures}) if each.failures else each for each in trial.windows
    )
    generator = replace(trial.generator, user_errors={"ValueError: no": 3})
    write([records.load("rush_hour", replace(trial, windows=windows, generator=generator))], tmp_path)
    found = rows(tmp_path / "rush_hour_rush_failures.csv")
    assert {row["Error"] for row in found} == {"503 Busy"}
    in_stage = [each for each in windows if each.stage == 1]
    assert sum(int(row["Occurrences"]) for row in found) == sum(each.failures for each in in_stage)
    assert all(row["First Seen"] <= row["Last Seen"] for row in found)
    assert rows(tmp_path / "rush_hour_rush_exceptions.csv") == []  # which stage they are of nobody knows
    (told,) = rows(tmp_path / "rush_hour_warm-up_exceptions.csv")
    assert (told["Count"], told["Message"]) == ("3", "ValueError: no")


def test_two_stages_whose_names_look_alike_have_files_of_their_own(tmp_path: Path) -> None:
    write([records.load("rush/hour"), records.load("Rush hour")], tmp_path)
    assert {path.name for path in tmp_path.glob("*rush_stats.csv")} | {
        path.name for path in tmp_path.glob("*rush-2_stats.csv")
    } == {"rush_hour_rush_stats.csv", "Rush_hour_rush-2_stats.csv"}


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(LoadperfError, match=r"the CSV files could not be written to .*; make it writable, or give"):
        write([records.load()], tmp_path / "taken")


def test_a_run_writes_them_where_it_is_asked_to(project: Project) -> None:
    project.module("test_it", f"rush = load(Shopper, {ONE_SECOND})\ndef test_rush(rush): assert rush.requests\n")
    result = project.run("--loadperf-csv", "csv")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["csv     *csv"])
    *_, whole = rows(project.path / "csv" / "rush_rush_stats.csv")
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    (load,) = json.loads(kept.read_text())["loads"]
    assert int(whole["Request Count"]) == load["trials"][0]["stages"][0]["summary"]["requests"]
    assert len(rows(project.path / "csv" / "rush_rush_stats_history.csv")) in (1, 2)
