from __future__ import annotations

import random
import re
from dataclasses import replace

import records

from pytest_loadperf.model import Summary
from pytest_loadperf.records import Change, RunRecord
from pytest_loadperf.report.terminal import Line, summary_lines

STEADY = [random.Random(number).gauss(1, 0.02) for number in range(20)]


def runs(*slow: float) -> list[RunRecord]:
    """Runs that are each slower by its factor."""
    return [
        records.run(number, [records.load("rush_hour", records.trial(seed=number, slow=each, series=False))], [])
        for number, each in enumerate(slow)
    ]


def drifting(*made: RunRecord) -> list[Line]:
    """The lines about it at the end of the last run."""
    *history, run = made
    return [line for line in summary_lines(run, history) if "drifting" in line.text]


def test_three_runs_that_are_together_slower_are_told_of() -> None:
    (line,) = drifting(*runs(*STEADY, 1.12, 1.13, 1.12))
    assert re.fullmatch(r"  drifting: p95 of rush_hour: the last 3 runs are 1\d\.\d% above the 20 before", line.text)
    assert line.color == "yellow"


def test_steady_runs_and_faster_ones_are_not() -> None:
    assert drifting(*runs(*STEADY, 1.0, 1.01, 0.99)) == []
    assert drifting(*runs(*STEADY, 0.8, 0.8, 0.8)) == []
    assert drifting(*runs(1.0)) == []


def test_a_suspect_has_its_own_line_and_a_load_that_was_stopped_or_is_in_doubt_none() -> None:
    *history, run = runs(*STEADY, 1.12, 1.13, 1.12)
    change = Change("p95", 2.0, 1.0, 0.9, 1.1, 1.1, 20, suspect=True)
    suspect = replace(records.verdict(status="regressed"), change=change)
    assert drifting(*history, replace(run, tests=(records.judged("test", "failed", suspect),))) == []
    assert drifting(*history, replace(run, loads=(replace(run.loads[0], aborted="too slow"),))) == []
    (trial,) = run.loads[0].trials
    lost = replace(trial, generator=replace(trial.generator, lost_workers=("worker 1 was lost",)))
    assert drifting(*history, replace(run, loads=(replace(run.loads[0], trials=(lost,)),))) == []


def test_a_run_that_is_not_judged_is_no_part_of_a_drift() -> None:
    *history, run = runs(*STEADY, 1.12, 1.13, 1.12)
    assert any("drifting" in line.text for line in summary_lines(run, history))
    assert not any("drifting" in line.text for line in summary_lines(run, history, judged=False))


def test_a_memory_limit_that_an_engine_told_in_bytes_is_readable() -> None:
    load = records.load()
    given = replace(load, service=replace(load.service, limits={"cpus": "1", "memory": "387973120"}))
    first, *_ = summary_lines(records.run(0, [given]), [])
    assert first.text.endswith("(docker example_service, cpus 1, memory 370 MiB)")


def test_the_most_frequent_reasons_of_failures_are_told() -> None:
    def failing(errors: dict[str, int]) -> Summary:
        return Summary(1.0, requests=100, failures=sum(errors.values()), errors=errors)

    (trial,) = records.load().trials
    endpoints = {
        "GET /": failing({"HTTPError('503\nService Unavailable')": 40, "timed out": 7}),
        "GET /" + 40 * "x": failing({"timed out": 30, "reset": 5, "cut": 2}),
    }
    stage = replace(trial.stages[0], summary=replace(trial.stages[0].summary, endpoints=endpoints))
    lines = summary_lines(records.run(0, [records.load("rush_hour", replace(trial, stages=(stage, stage)))]), [])
    told = [line.text for line in lines if " failed" in line.text and not line.text.startswith("  stage")]
    assert told == [
        "  80 failed: GET /: HTTPError('503 Service Unavailable')",
        "  60 failed: GET /xxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxx: timed out",
        "  14 failed: GET /: timed out",
        "  14 failed for other reasons",
    ]
