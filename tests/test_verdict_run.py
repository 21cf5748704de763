"""What a user sees when a service has got slower, seems to have, or is meant to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from projects import Project

from pytest_loadperf.cli import main
from pytest_loadperf.history.store import Store, open_store
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import RunRecord

TESTS = """
from pathlib import Path
import pytest
from locust import FastHttpUser, constant, events, task
from pytest_loadperf import Stage, load

HERE = Path(__file__).parent
DELAY_MS = 150 if (HERE / "slow").exists() else 20

class Caller(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self):
        self.client.get(f"/delay/{DELAY_MS}", name="ask")

@events.test_stop.add_listener
def only_once(**_):
    if (HERE / "once").exists():
        (HERE / "slow").unlink(missing_ok=True)

warm = Stage("warm-up", users=16, duration="200ms", measured=False)
rush = load(Caller, warm, Stage("rush", users=16, duration="1s"))
"""
MARKED = TESTS + '@pytest.mark.loadperf("p95 < baseline + 25%")\ndef test_rush(rush): pass\n'
PLAIN = TESTS + "def test_rush(rush): assert rush.p50_ms < 500\n"


@pytest.fixture(scope="module")
def real() -> list[RunRecord]:
    """The run that all histories are copies of, once there is one."""
    return []


def known(project: Project, real: list[RunRecord], runs: int = 6) -> Store:
    """A history of so many runs, copies of one that was really run, a day apart."""
    store = open_store(".loadperf", project.path)
    if not real:
        project.run("--loadperf-history", "really").assert_outcomes(passed=1)
        real += open_store("really", project.path).records(pytest.fail)
    for day in range(runs):
        store.append(_earlier(real[0], day))
    return store


def _earlier(run: RunRecord, days: int) -> RunRecord:
    at = moment(run.started_at) - timedelta(days=days)
    return replace(run, id=f"copy{days:04}", started_at=at.isoformat())


def newest(store: Store) -> RunRecord:
    return store.records(pytest.fail)[-1]


@pytest.fixture
def marked(project: Project) -> Project:
    (project.path / "test_it.py").write_text(MARKED)
    return project


def test_a_slower_service_is_measured_again_and_fails_the_test_until_that_is_accepted(
    marked: Project, capsys: pytest.CaptureFixture[str], real: list[RunRecord]
) -> None:
    store = known(marked, real)
    (marked.path / "slow").touch()
    result = marked.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"loadperf: rush: p95 < baseline \+ 25%: .* ms seen, < .* ms \(.* ms \+ 25%\) expected; measuring again "
            "before accusing",
            r"  REGRESSED +rush  p95 < baseline \+ 25% +.* ms +\(\+\d+\.\d%, measured again \+\d+\.\d%; limit < .*, "
            r"median of 6 runs.*, newest ",
        ]
    )
    (load,) = newest(store).loads
    assert len(load.trials) == 1
    assert [stage.stage.name for stage in load.again[0].stages] == ["warm-up", "rush"]
    assert load.again[0].stages[1].summary.p50_ms > 140
    capsys.readouterr()
    assert main(["accept", "--reason", "encryption at rest", "--history", str(marked.path / ".loadperf")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"test_it.py::rush: run {newest(store).id} begins a new level"
    after = marked.run()
    after.assert_outcomes(passed=1)
    after.stdout.re_match_lines([r"  ok  .*; limit < .*, 1 run.* since a change was accepted \(encryption at rest\), "])
    assert "encryption at rest" in (marked.path / ".loadperf/report.html").read_text()


def test_what_was_slow_only_once_is_not_accused_and_no_measure_for_later_runs(
    marked: Project, real: list[RunRecord]
) -> None:
    known(marked, real)
    (marked.path / "slow").touch()
    (marked.path / "once").touch()
    result = marked.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"  inconclusive +rush  p95 < baseline \+ 25%.*measured again .*: not confirmed"])
    after = marked.run()
    after.assert_outcomes(passed=1)
    after.stdout.re_match_lines([r"  ok  .*median of 6 runs.*; 1 left out as unconfirmed suspects"])


def test_a_slowdown_that_nobody_asked_about_is_told_and_fails_only_where_that_is_wanted(
    project: Project, real: list[RunRecord]
) -> None:
    (project.path / "test_it.py").write_text(PLAIN)
    known(project, real)
    (project.path / "slow").touch()
    told = project.run("--loadperf-no-save")
    told.assert_outcomes(passed=1)
    told.stdout.re_match_lines([r"  regressed +rush  p95 < baseline \+ 5%.*\(advice; \+\d+\.\d%, measured again"])
    project.run("--loadperf-fail-on", "regression").assert_outcomes(failed=1)


def test_a_plain_load_without_a_history_is_told_nothing_about_changes(project: Project) -> None:
    (project.path / "test_it.py").write_text(PLAIN)
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*baseline +*")


def test_a_plain_load_fails_where_a_baseline_is_required_and_missing(project: Project) -> None:
    (project.path / "test_it.py").write_text(PLAIN)
    result = project.run("--loadperf-require-baseline")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BROKEN*p95 < baseline + 5%*no earlier run*--loadperf-require-baseline*"])


def test_a_second_look_that_does_not_run_as_asked_fails_the_test(marked: Project, real: list[RunRecord]) -> None:
    text = (marked.path / "test_it.py").read_text()
    text = text.replace(
        'f"/delay/{DELAY_MS}"', 'f"/status/503" if (HERE / "failing").exists() else f"/delay/{DELAY_MS}"'
    )
    text = text.replace('(HERE / "slow").unlink(missing_ok=True)', '(HERE / "failing").touch()')
    text = text.replace('duration="1s"))', 'duration="1s"), abort="failure_rate > 50% for 1s")')
    (marked.path / "test_it.py").write_text(text)
    known(marked, real)
    (marked.path / "slow").touch()
    (marked.path / "once").touch()
    result = marked.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [r"  BROKEN .*the load runs as asked +measured again: stopped after \d s by abort='failure_rate > 50% for 1s'"]
    )


def test_a_threshold_on_another_load_of_the_same_name_does_not_stand_in_the_way(project: Project) -> None:
    (project.path / "test_it.py").write_text(PLAIN)
    (project.path / "test_other.py").write_text(MARKED)
    result = project.run("--loadperf-require-baseline", "--loadperf-no-save")
    result.assert_outcomes(failed=2)
    lines = [line for line in result.stdout.lines if line.startswith("  BROKEN  rush  p95 < baseline + ")]
    assert {line.split()[6] for line in lines} == {"5%", "25%"}
