from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from records import judged, load, run, trial, verdict, window

from pytest_loadperf.cli import main
from pytest_loadperf.history.store import open_store
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import StageRecord
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import Commit, LoadRecord, RunRecord
from pytest_loadperf.report.document import document

Captured = pytest.CaptureFixture[str]


def key(name: str) -> str:
    return f"tests/test_search_perf.py::{name}"


def small(number: int = 0, *names: str) -> RunRecord:
    loads = [load(name, trial(seed=number, answers=0.05)) for name in names or ("rush_hour",)]
    return run(number, loads)


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def keep(*records: RunRecord, place: str = ".loadperf") -> None:
    for record in records:
        open_store(place, Path.cwd()).append(record)


# history


def steady(name: str, failures: int = 0) -> LoadRecord:
    """Twenty requests in ten seconds, two of them slow."""
    summary = replace(summarise([window(0, 0, "GET", "/", 1, [10.0] * 18 + [250.0] * 2)], 10), failures=failures)
    stage = StageRecord(Stage("rush", users=1, duration="10s"), 0.0, summary)
    return load(name, replace(trial(answers=0.01), stages=(stage,)))


def test_history_lists_every_run_and_load_the_newest_last(capsys: Captured) -> None:
    verdicts = (verdict(load=key("night")), verdict(load=key("night"), status="no_baseline"))
    test = judged("test_night", "passed", *verdicts)
    first = replace(run(0, [steady("rush_hour"), steady("night")], [test]), id="a1", commit=Commit("9e3779b97", "main"))
    test = judged("test_rush", "failed", verdict(status="broken"), verdict())
    second = replace(run(1, [steady("rush_hour", failures=3)], [test]), id="b2", commit=None)
    third = replace(run(2, []), id="c3", commit=Commit("0123456789", dirty=True))
    keep(third, second, first)
    assert main(["history"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "time                  run  commit    branch  load       requests  failed    p50     p95  rps  verdict",
        "2026-09-01 08:00 UTC  a1   9e3779b   main    rush_hour        20      0%  10 ms  250 ms  2/s  -",
        "2026-09-01 08:00 UTC  a1   9e3779b   main    night            20      0%  10 ms  250 ms  2/s  no_baseline",
        "2026-09-01 20:00 UTC  b2   -         -       rush_hour        20     15%  10 ms  250 ms  2/s  broken",
        "2026-09-02 08:00 UTC  c3   0123456+  -       -                 -       -      -       -    -  -",
    ]


def test_history_as_json_is_a_list_of_the_documents_of_runs(capsys: Captured) -> None:
    keep(small(1), small(0))
    assert main(["history", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == [document(small(0)), document(small(1))]
    assert len(out.splitlines()) == 2


def test_history_as_csv_is_a_file_for_each_load(capsys: Captured, tmp_path: Path) -> None:
    keep(small(0), small(1), small(2, "night"))
    assert main(["history", "--csv", "series"]) == 0
    assert capsys.readouterr().out == (
        "series/tests_test_search_perf.py_rush_hour.csv: 2 runs\nseries/tests_test_search_perf.py_night.csv: 1 run\n"
    )
    assert len((tmp_path / "series/tests_test_search_perf.py_rush_hour.csv").read_text().splitlines()) == 3


def test_an_empty_history_says_how_to_fill_it(capsys: Captured, tmp_path: Path) -> None:
    assert main(["history"]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}/.loadperf yet; `pytest --loadperf` adds one\n"
    assert main(["history", "--csv", "series"]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}/.loadperf yet; `pytest --loadperf` adds one\n"
    assert not (tmp_path / "series").exists()
    assert main(["history", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not (tmp_path / ".loadperf").exists()


def test_a_history_elsewhere_is_read_where_it_is(capsys: Captured) -> None:
    keep(small(), place="memory://cli")
    assert main(["history", "--history", "memory://cli"]) == 0
    assert small().id in capsys.readouterr().out


def test_a_file_that_can_not_be_read_is_a_warning_beside_the_rest(capsys: Captured, tmp_path: Path) -> None:
    keep(small())
    (tmp_path / ".loadperf/runs/x.json").write_text("{}")
    assert main(["history"]) == 0
    out, err = capsys.readouterr()
    assert small().id in out
    assert err == (
        f"pytest-loadperf: warning: left out of the history: {tmp_path}/.loadperf/runs/x.json is no record of "
        "pytest-loadperf: it has no format version\n"
    )


def test_a_history_that_can_not_be_read_is_an_error(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / ".loadperf").write_text("in the way")
    assert main(["history"]) == 1
    assert capsys.readouterr() == (
        "",
        f"pytest-loadperf: the history {tmp_path}/.loadperf can't be read (Not a directory), "
        "so there is nothing to compare with\n",
    )


# report


def test_report_writes_the_page_of_the_newest_run(capsys: Captured, tmp_path: Path) -> None:
    keep(small(0), small(1, "night"))
    assert main(["report"]) == 0
    assert capsys.readouterr().out == ".loadperf/report.html\n"
    page = (tmp_path / ".loadperf/report.html").read_text(encoding="utf-8")
    assert "night" in page
    assert page.lstrip().lower().startswith("<!doctype html>")


def test_report_writes_the_page_of_the_run_that_is_named(capsys: Captured, tmp_path: Path) -> None:
    keep(small(0), small(1, "night"))
    assert main(["report", "--run", small(0).id, "--output", "pages/old.html"]) == 0
    assert capsys.readouterr().out == "pages/old.html\n"
    assert "rush_hour" in (tmp_path / "pages/old.html").read_text(encoding="utf-8")


def on(branch: str, run: RunRecord) -> RunRecord:
    return replace(run, commit=Commit("9e3779b97", branch))


def test_report_may_be_of_a_branch_a_test_and_a_time(tmp_path: Path) -> None:
    night = judged("test_night", "passed", verdict(load=key("night")))
    both = replace(small(1, "rush_hour", "night"), tests=(judged("test_rush"), night))
    keep(on("idea", small(0)), on("main", both), on("main", small(2)), on("main", small(3)))
    narrow = ["--branch", "main", "--test", "*::test_night", "--since", "2026-09-01", "--until", "2026-09-02T12:00"]
    assert main(["report", *narrow]) == 0
    page = (tmp_path / ".loadperf/report.html").read_text(encoding="utf-8")
    assert both.id in page
    assert "The load test passed" in page
    assert "First run: trends start with the next one." in page
    assert "rush_hour" not in page


def test_report_of_a_branch_is_compared_with_what_its_verdicts_were(tmp_path: Path) -> None:
    idea = replace(small(5), commit=Commit("9e3779b97", "idea", default_branch="main"))
    keep(*(on("main", small(number)) for number in range(5)), idea)
    assert main(["report", "--branch", "idea"]) == 0
    page = (tmp_path / ".loadperf/report.html").read_text(encoding="utf-8")
    assert "median of 5 runs on main" in page


def test_report_of_a_test_shows_it_also_where_it_did_not_come_to_a_load(tmp_path: Path) -> None:
    error = replace(judged("test_rush", "error", message="E   no service"), loads=())
    keep(small(0), replace(small(1), tests=(error,)))
    assert main(["report", "--test", "*::test_rush"]) == 0
    assert "no service" in (tmp_path / ".loadperf/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--branch", "gone"],
            "no run of 2 is what was asked for; they are of 2026-09-01 to 2026-09-02, on the branches idea, main",
        ),
        (["--since", "2027-01-01"], "no run of 2 is what was asked for; they are of 2026-09-01 to 2026-09-02, on the"),
        (
            ["--test", "test_x"],
            "no load test is called test_x; those of the newest run: tests/test_search_perf.py::test",
        ),
    ],
)
def test_a_report_of_nothing_says_what_there_is(arguments: list[str], why: str, capsys: Captured) -> None:
    keep(on("idea", small(0)), on("main", small(2)))
    assert main(["report", *arguments]) == 1
    assert why in capsys.readouterr().err


def test_report_of_an_unknown_run_names_the_newest(capsys: Captured, tmp_path: Path) -> None:
    keep(small(0), small(1))
    assert main(["report", "--run", "x"]) == 1
    assert capsys.readouterr().err == (
        f"pytest-loadperf: no run 'x' in {tmp_path}/.loadperf; the newest are {run(0).id}, {run(1).id} "
        "(`pytest-loadperf history` lists all)\n"
    )


def test_report_of_an_empty_history_says_how_to_fill_it(capsys: Captured, tmp_path: Path) -> None:
    assert main(["report"]) == 1
    assert capsys.readouterr().err == (
        f"pytest-loadperf: no runs in {tmp_path}/.loadperf yet; `pytest --loadperf` adds one\n"
    )


def test_a_report_that_can_not_be_written_is_an_error(capsys: Captured) -> None:
    keep(small())
    assert main(["report", "--output", ".loadperf/runs"]) == 1
    assert capsys.readouterr().err == (
        "pytest-loadperf: the report could not be written to .loadperf/runs: Is a directory; "
        "make it writable, or give another path\n"
    )


# the command line


def test_the_version_is_the_package_s(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"pytest-loadperf {version('pytest-loadperf')}\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "pytest-loadperf: the following arguments are required: COMMAND"),
        (["worker"], "pytest-loadperf worker: the following arguments are required: --master"),
        (["worker", "--master", "there:x"], "'there:x' is no address; expected HOST:PORT, HOST or :PORT"),
        (["worker", "--master", "there", "--code", "/nowhere"], "'/nowhere' is no directory"),
        (["histry"], "invalid choice: 'histry'"),
        (["history", "--jsn"], "unrecognized arguments: --jsn"),
        (["history", "--json", "--csv", "x"], "argument --csv: not allowed with argument --json"),
        (["report", "--run"], "pytest-loadperf report: argument --run: expected one argument"),
        (
            ["report", "--since", "soon"],
            "pytest-loadperf report: argument --since: 'soon' is no date; expected one such as 2026-11-01",
        ),
    ],
)
def test_a_command_line_that_can_not_be_meant_exits_as_pytest_does(
    capsys: Captured, arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 4
    err = capsys.readouterr().err
    assert err.startswith("usage: pytest-loadperf")
    assert reason in err


def test_a_place_without_its_driver_is_an_error(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert main(["history", "--history", "s3://bucket/x"]) == 1
    assert capsys.readouterr().err.endswith("needs a package that is not installed: Install s3fs to access S3\n")


def test_a_list_of_runs_loads_no_report_and_no_locust(tmp_path: Path) -> None:
    program = (
        "import sys; from pytest_loadperf.cli import main; main(['history']); "
        "assert not {'locust', 'gevent', 'pandas', 'jinja2', 'fsspec', 'docker'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


SCRIPT = [sys.executable, "-c", "from pytest_loadperf.cli import command; command()"]


def test_the_script_tells_all_before_its_process_ends_and_exits_as_main() -> None:
    keep(run(0, [steady(f"load{number}") for number in range(300)]))
    told = subprocess.run([*SCRIPT, "history"], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.count("\n") == 301
    refused = subprocess.run([*SCRIPT, "report", "--history", "none"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("pytest-loadperf: no runs in ")


def test_who_reads_the_first_line_only_gets_no_traceback() -> None:
    keep(run(0, [steady(f"load{number}") for number in range(2_000)]))  # more than a pipe holds
    with subprocess.Popen([*SCRIPT, "history"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as piped:
        assert piped.stdout is not None
        assert piped.stderr is not None
        assert piped.stdout.readline().startswith("time")
        piped.stdout.close()
        assert piped.stderr.read() == ""
    assert piped.returncode == 141
