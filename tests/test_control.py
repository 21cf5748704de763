"""The control: what slows the machine is no fault of the service."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from projects import BRIEF, Project
from records import run
from test_regression import USUAL, load

from pytest_loadperf import control
from pytest_loadperf.errors import ServiceError
from pytest_loadperf.judge.baseline import Baseline, find
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.records import LoadRecord, Verdict
from pytest_loadperf.service.given import OwnHosts


def over(control_ms: float, made: LoadRecord, again_ms: float = float("nan")) -> LoadRecord:
    return replace(made, control_ms=control_ms, again_control_ms=again_ms)


def before(*control_ms: float) -> Baseline:
    """The baseline of the usual runs, each with its control."""
    loads = [over(of_control, load(mean)) for of_control, mean in zip(control_ms, USUAL, strict=True)]
    return find([run(number, [each], []) for number, each in enumerate(loads)], loads[0], None)


STEADY = before(*[1.0] * len(USUAL))


def seen(now: LoadRecord, baseline: Baseline = STEADY, text: str = "mean < baseline + 10%") -> Verdict:
    return judge(parse(text), now, baseline, "test_rush_hour")


def test_what_the_machine_adds_is_allowed_for_and_told() -> None:
    verdict = seen(over(1.5, load(300.0)))
    assert (verdict.status, verdict.observed, verdict.limit) == ("ok", "300 ms", "< 330 ms (300 ms + 10%)")
    assert verdict.reason.startswith("+0.0%")
    assert verdict.baseline.endswith("; the control +50.0%, allowed for")


def test_what_a_faster_machine_hides_is_seen() -> None:
    verdict = seen(over(0.5, load(200.0, again=200.0), again_ms=0.5))
    assert (verdict.status, verdict.limit) == ("regressed", "< 110 ms (100 ms + 10%)")


def test_each_earlier_run_is_taken_to_the_machine_as_it_is_now() -> None:
    verdict = seen(over(2.0, load(200.0)), before(2.0, 4.0, 2.0, 1.0, 2.0, 2.0))
    assert verdict.change is not None
    assert verdict.change.centre == pytest.approx(200.0, rel=0.01)
    assert verdict.change.high > 220.0 * 1.5, "runs that did not follow their control differ as much as that"


def test_the_second_measurement_has_a_control_of_its_own() -> None:
    moved = seen(over(1.0, load(300.0, again=300.0), again_ms=1.5))
    assert moved.status == "inconclusive"
    assert moved.reason.startswith("+50.0%, measured again +0.0%: not confirmed")


def test_only_latencies_are_compared_over_the_control() -> None:
    verdict = seen(over(1.5, load(200.0)), text="failure_rate < baseline + 1%")
    assert verdict.baseline.startswith("median of 6 runs")
    assert "control" not in verdict.baseline


def test_a_run_loads_the_control_before_and_after_and_keeps_what_it_told(project: Project) -> None:
    project.module("test_it", f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): pass\n")
    for _ in range(2):
        result = project.run("--loadperf-control", "1s")
        result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "rush, control before*: up to 2 users for 1 s",
            "rush · rush: up to 4 users for 0.5 s",
            "rush, control after*: up to 2 users for 1 s",
            "  no_baseline *; the control *%, allowed for*",
        ]
    )
    (load,) = json.loads(max((project.path / ".loadperf/runs").glob("*.json")).read_text())["loads"]
    assert 0.1 < load["control_ms"] < 100
    assert load["fingerprint"]["control"] == f"1 s, Python {sys.version_info.major}.{sys.version_info.minor}"
    assert "The control, a service that never changes, answered" in (project.path / ".loadperf/report.html").read_text()


def test_a_control_that_ends_early_leaves_the_load_and_fails_its_tests(project: Project) -> None:
    once = (
        "import os, runpy, sys; script = sys.argv.pop(1); mark = sys.argv.pop(1); "
        "sys.exit(3) if os.path.exists(mark) else open(mark, 'w'); runpy.run_path(script, run_name='__main__')"
    )
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            "from pytest_loadperf import control\nscript, port = control._COMMAND[-2:]\n"
            f"control._COMMAND = [sys.executable, '-c', {once!r}, script, {str(project.path / 'begun')!r}, port]\n"
        )
    project.module("test_it", f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): pass\n")
    result = project.run("--loadperf-control", "1s")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BROKEN *the load runs as asked*the control, which --loadperf-control asks for: *"])
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    (load,) = json.loads(kept.read_text())["loads"]
    assert len(load["trials"]) == 1


def test_what_another_machine_serves_has_no_control(project: Project) -> None:
    project.module(
        "test_it",
        f"rush = load(Shopper, {BRIEF}, service='there')\n"
        "@pytest.fixture(scope='session')\ndef there(loadperf_service): return loadperf_service.url\n"
        "def test_rush(rush): pass\n",
    )
    result = project.run("--loadperf-control", "1s")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("rush, control*")


def test_a_control_that_does_not_run_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_COMMAND", [sys.executable, "-c", "raise SystemExit(3)", "{port}"])
    from pytest_loadperf.report.progress import Progress

    config = SimpleNamespace(get_verbosity=lambda: -1, pluginmanager=SimpleNamespace(get_plugin=lambda _name: None))
    with pytest.raises(ServiceError) as caught:
        control.Control(1.0, Progress(config)).p95_ms("rush, control before", OwnHosts())  # type: ignore[arg-type]
    assert str(caught.value).startswith("the control, which --loadperf-control asks for: the process ")


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("2", "the time of the control is '2'; expected a duration with its unit, such as '30s', '1m30s' or '500ms'"),
        ("500ms", "'500ms' is too short for a control; expected a second at least, such as 2s"),
    ],
)
def test_a_bad_time_is_a_usage_error(project: Project, time: str, why: str) -> None:
    result = project.run("--loadperf-control", time)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument --loadperf-control: {why.replace('[', '[[]')}"])
