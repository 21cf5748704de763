from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from projects import Project
from records import load, trial

from pytest_loadperf.judge.calibration import calibrations
from pytest_loadperf.judge.rule import RATIO, Standing
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import Trial
from pytest_loadperf.result import LoadResult

RUNS = load("rush_hour", *(trial(seed=seed, slow=1 + seed / 100) for seed in range(6)))


def test_every_series_of_every_measured_stage_has_its_spread() -> None:
    found = {str(each.metric): each for each in calibrations(RUNS)}
    assert [name for name in found if "[" not in name] == [
        f"{metric}@{stage}"
        for stage in ("rush", "peak")
        for metric in ("p50", "p95", "p99", "failure_rate", "rps", "service.cpu", "service.memory")
    ]
    assert {name for name in found if "@rush" in name and "[" in name} == {
        f"{metric}[{endpoint}]@rush"
        for metric in ("p50", "p95", "failure_rate")
        for endpoint in ("GET /", "GET /search", "POST /cart")
    }
    assert all(each.runs == 6 for each in found.values())
    assert 0.005 < found["p50@rush"].spread < 0.05


def test_the_smallest_change_is_the_rules_own() -> None:
    values = [result.stages["rush"].p95_ms for result in LoadResult.of(RUNS).trials]
    (found,) = [each for each in calibrations(RUNS) if str(each.metric) == "p95@rush"]
    assert found.visible == Standing([values], RATIO).visible
    assert found.change == pytest.approx(found.visible / found.centre - 1)


def test_pairs_show_what_runs_that_differ_from_one_another_hide() -> None:
    drifting = load("rush_hour", *(trial(seed=number, slow=1 + number // 2 / 10) for number in range(10)))
    (found,) = [each for each in calibrations(drifting) if str(each.metric) == "p50@rush"]
    assert 0.02 <= found.change_beside < found.change / 2


def test_a_limit_that_would_hold_is_a_threshold_that_holds() -> None:
    for each in calibrations(RUNS):
        assert judge(parse(each.threshold), RUNS, None, "test").status == "ok"
        assert parse(each.threshold).metric == each.metric


def test_one_run_tells_nothing() -> None:
    assert calibrations(load("rush_hour", trial())) == []


def test_a_run_with_calibrate_runs_every_load_so_often_and_judges_nothing(project: Project) -> None:
    project.module(
        "test_it",
        'rush_hour = load(Shopper, Stage("rush", users=4, duration="700ms"))\n'
        '@pytest.mark.loadperf("p95 < 1ms")\ndef test_rush(rush_hour): assert len(rush_hour.trials) == 4\n',
    )
    result = project.run("--loadperf-calibrate", "4")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"  inconclusive  rush_hour  p95 < 1ms +.*\(shown, not judged: --loadperf-calibrate 4\)",
            r"test_it\.py::rush_hour: 4 runs in one session; other sessions differ more",
            r"  pairs: 2 of them, as with --loadperf-against",
            r"  series +median +spread +one run shows +pairs show +a limit that would hold",
            r"  p50 +[\d.]+ ms +[\d.]+% +\+[\d.]+% +\+[\d.]+% +p50 < [\d.]+ms",
            r"  failure_rate +0% +0 points +\+[\d.]+ points +\+[\d.]+ points +failure_rate < [\d.]+%",
            r"  rps +[\d.]+/s +[\d.]+% +-[\d.]+% +-[\d.]+% +rps > [\d.]+/s",
            r"  p95\[GET search\] +",
            r"not saved: --loadperf-calibrate 4 judges nothing",
        ]
    )
    assert list((project.path / ".loadperf/runs").iterdir()) == []


def test_so_few_runs_that_nothing_can_be_said_are_refused(project: Project) -> None:
    result = project.run("--loadperf-calibrate", "3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'3' is no number of runs; expected a whole number from 4, such as 10"])


def test_the_spread_is_that_of_the_logarithms() -> None:
    chance = random.Random(1)
    slow = [math.exp(chance.gauss(0, 0.1)) for _ in range(40)]
    made = load("rush_hour", *(trial(seed=1, slow=each) for each in slow))
    (found,) = [each for each in calibrations(made) if str(each.metric) == "p50@rush"]
    assert found.spread == pytest.approx(0.1, rel=0.25)


def test_a_latency_of_nothing_is_no_ratio_and_breaks_nothing() -> None:
    instant = replace(RUNS, trials=tuple(_instant(trial) for trial in RUNS.trials))
    assert "p50@rush" not in [str(each.metric) for each in calibrations(instant)]


def _instant(trial: Trial) -> Trial:
    stages = (
        replace(
            made, summary=replace(made.summary, endpoints={}, histogram=Histogram({0: 100}), min_ms=0.0, max_ms=0.0)
        )
        for made in trial.stages
    )
    return replace(trial, stages=tuple(stages))
