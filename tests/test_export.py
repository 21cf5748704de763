from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
import records

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.records import Commit, RunRecord
from pytest_loadperf.report.export import Exported, export

NAME = "tests_test_search_perf.py_rush_hour.csv"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


@pytest.fixture(scope="module")
def history() -> list[RunRecord]:
    return records.history(4)


def test_a_load_has_a_file_with_a_row_for_each_run_oldest_first(tmp_path: Path, history: list[RunRecord]) -> None:
    assert export(history, tmp_path / "series") == [Exported(tmp_path / "series" / NAME, 4, 0)]
    found = rows(tmp_path / "series" / NAME)
    assert [row["run"] for row in found] == [run.id for run in history]
    assert [row["time"] for row in found] == [run.started_at for run in history]
    assert [row["commit"] for row in found] == [run.commit.sha for run in history if run.commit]
    assert {row["branch"] for row in found} == {"main"}


def test_numbers_are_those_of_the_load_and_of_each_endpoint(tmp_path: Path, history: list[RunRecord]) -> None:
    export(history, tmp_path)
    row, load = rows(tmp_path / NAME)[2], history[2].loads[0]
    for name in ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "failure_rate", "rps"):
        assert float(row[name]) == pytest.approx(getattr(measured(load), name), rel=1e-5)
        endpoint = measured(load, endpoint="GET /search")
        assert float(row[f"{name}[GET /search]"]) == pytest.approx(getattr(endpoint, name), rel=1e-5)


def test_the_form_is_what_the_csv_importer_of_otava_reads(tmp_path: Path, history: list[RunRecord]) -> None:
    """One header, commas, a time with its zone, numbers without a unit: as its own examples have it."""
    export(history[:1], tmp_path)
    head, line = (tmp_path / NAME).read_text(encoding="utf-8").splitlines()
    assert head.startswith("time,run,commit,branch,p50_ms,p95_ms,p99_ms,mean_ms,failure_rate,rps,p50_ms[GET /],")
    assert re.match(r"2026-09-01T08:00:00\+00:00,[\w-]+,[0-9a-f]{40},main,[0-9.]+,[0-9.]+,", line)


def test_runs_that_the_newest_can_not_be_compared_with_are_left_out(tmp_path: Path, history: list[RunRecord]) -> None:
    def other(run: RunRecord, **changes: object) -> RunRecord:
        return replace(run, loads=(replace(run.loads[0], **changes),))  # type: ignore[arg-type]

    (trial,) = history[3].loads[0].trials
    silent = replace(trial, stages=())
    doubtful = replace(trial, generator=replace(trial.generator, lost_workers=("worker 1 was lost",)))
    runs = [
        other(history[0], fingerprint={"cores": "8"}),
        other(history[1], aborted="too many failures"),
        other(history[2], trials=(silent,)),
        other(history[2], trials=(doubtful,)),
        other(history[2], faults=("a user raised",)),
        history[3],
    ]
    (made,) = export(runs, tmp_path)
    assert [row["run"] for row in rows(made.path)] == [history[3].id]
    assert str(made) == f"{made.path}: 1 run, 5 left out: not comparable, stopped early or in doubt"


def test_branches_stand_in_one_file_with_their_names(tmp_path: Path, history: list[RunRecord]) -> None:
    idea = replace(history[1], commit=Commit("f" * 40, branch="idea"))
    unknown = replace(history[2], commit=None)
    (made,) = export([history[0], idea, unknown], tmp_path)
    assert [(row["branch"], row["commit"][:3]) for row in rows(made.path)][1:] == [("idea", "fff"), ("", "")]
    assert str(made) == f"{made.path}: 3 runs"


def test_an_endpoint_that_was_not_asked_has_no_number(tmp_path: Path, history: list[RunRecord]) -> None:
    load = history[0].loads[0]
    (trial,) = load.trials
    stages = tuple(
        replace(
            stage,
            summary=replace(stage.summary, endpoints={"GET /": stage.summary.endpoints["GET /"]}),
        )
        for stage in trial.stages
    )
    older = replace(history[0], loads=(replace(load, trials=(replace(trial, stages=stages),)),))
    (made,) = export([older, history[1]], tmp_path)
    first, second = rows(made.path)
    assert (first["p95_ms[GET /search]"], first["p95_ms[GET /]"] != "") == ("", True)
    assert float(second["p95_ms[GET /search]"]) > 0


def test_no_two_loads_share_a_file(tmp_path: Path) -> None:
    keys = ["a.py::load[1 2]", "a.py::load[1/2]", "b.py::" + "x" * 300]
    loads = [replace(records.load(), key=key) for key in keys]
    made = export([records.run(0, loads, [])], tmp_path)
    assert [each.path.name for each in made[:2]] == ["a.py_load_1_2.csv", "a.py_load_1_2-2.csv"]
    assert all(each.path.exists() and len(each.path.name) < 120 for each in made)


def test_a_folder_that_can_not_be_written_to_is_an_error(tmp_path: Path, history: list[RunRecord]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LoadperfError) as error:
        export(history, tmp_path / "file")
    assert str(error.value) == (
        f"the series could not be written to {tmp_path}/file/{NAME}: File exists; make it writable, or give another "
        "folder"
    )
