"""The most likely cause, as far as the data of a load supports one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import records

from pytest_loadperf.judge.causes import likely_cause
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, SelfCheck, ServiceEvent, StageRecord, Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord

CALM = SelfCheck(seconds=10, cpu_percent=20, waited_percent=0, lag_ms=3, steal_percent=0, others_percent=2)
STAGE = Stage("rush", users=5, duration="10s")


def window(endpoint: str, latency_ms: float, errors: dict[str, int] | None = None) -> Window:
    made = records.window(0, 0, "GET", endpoint, 5, [latency_ms] * 100)
    return replace(made, failures=sum((errors or {}).values()), errors=errors or {})


def load(
    *windows: Window, cpu: float = 30.0, memory: int = 50 * 2**20, check: SelfCheck = CALM, **limits: str
) -> LoadRecord:
    summary = summarise(windows or [window("/", 10.0)], 10.0)
    stage = StageRecord(STAGE, 0.0, summary, cpu_percent=cpu, memory_bytes=memory, users=5, generator=check)
    made = records.load("rush", Trial("2026-11-19T10:00:00+00:00", (stage,), GeneratorRecord(summary.requests)))
    return replace(made, service=replace(made.service, limits=limits))


BEFORE = [load(window("/", 10.0), window("/search", 20.0)) for _ in range(3)]


@pytest.mark.parametrize(
    ("now", "cause"),
    [
        (load(), ""),
        (
            load(check=replace(CALM, saturated_s=9, cpu_percent=99)),
            "stage 'rush': the generator was the bottleneck: out of CPU in 9 of 10 s",
        ),
        (load(window("/", 10.0, {"503 Busy": 9, "reset": 1})), "9 of 10 failures are “503 Busy”"),
        (
            load(window("/", 10.0, {"404": 1}), window("/cart", 10.0, {"reset": 5, "late": 5})),
            "10 of 11 failures are of GET /cart",
        ),
        (load(cpu=95.0, cpus="1"), "the service was at its CPU limit in stage rush: 95% of 100%"),
        (load(cpu=95.0, cpus="1", replicas="2"), ""),
        (
            load(check=replace(CALM, steal_percent=12.0)),
            "the machine was not its own: 12% of its time went to other virtual machines",
        ),
        (
            load(check=replace(CALM, others_percent=60.0)),
            "the machine was busy with something else: other processes took 60% of a core",
        ),
    ],
)
def test_a_load_by_itself_may_tell(now: LoadRecord, cause: str) -> None:
    assert likely_cause(now, []) == cause


def test_memory_that_is_full_is_told_of_all_replicas() -> None:
    now = replace(
        load(memory=1000 * 2**20), service=replace(load().service, limits={"memory": "512m", "replicas": "2"})
    )
    assert likely_cause(now, []) == "the service used 1000 MiB of the 1 GiB of memory that it may use"


def test_limits_of_replicas_that_come_and_go_are_those_of_as_many_as_there_may_be() -> None:
    limits = {"memory": "512m", "cpus": "1", "autoscale": "1 to 2 replicas at 75% CPU"}
    now = replace(load(memory=1000 * 2**20), service=replace(load().service, limits=limits))
    assert likely_cause(now, []) == "the service used 1000 MiB of the 1 GiB of memory that it may use"
    busy = load(cpu=95.0, cpus="1")
    assert likely_cause(busy, []).startswith("the service was at its CPU limit")
    assert likely_cause(replace(busy, service=replace(busy.service, limits=limits)), []) == ""


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        (
            [("start", 1.0, ""), ("die", 2.0, "137"), ("oom", 3.4, ""), ("oom", 5.0, "")],
            "db ran out of memory 3 s after the load began, the first of 2 times",
        ),
        ([("health_status", 1.0, "unhealthy"), ("die", 2.0, "137")], "db ended with exit code 137 2 s after the load"),
        ([("kill", 1.0, "1"), ("restart", 2.0, "")], "db was restarted 2 s after the load began"),
        ([("die", 1.0, "0")], "the service was at its CPU limit"),
        ([("die", 99.0, "137")], "the service was at its CPU limit"),  # after the last stage
    ],
)
def test_what_befell_a_container_comes_first(events: Sequence[tuple[str, float, str]], cause: str) -> None:
    now = load(cpu=95.0, cpus="1")
    happened = tuple(ServiceEvent(at_s, "db", action, detail) for action, at_s, detail in events)
    assert likely_cause(replace(now, trials=(replace(now.trials[0], events=happened),)), []).startswith(cause)


@pytest.mark.parametrize(
    ("latencies", "cpu", "before", "cause"),
    [
        ((10.0, 30.0), 30.0, BEFORE, "GET /search alone is slower: its p95 +50%, the others’ +0% at most"),
        ((12.0, 60.0), 30.0, BEFORE, "GET /search is slower than the others: its p95 +200%, the others’ +20% at most"),
        ((15.0, 30.0), 30.0, BEFORE, "the service waits for something: it is slower, with no more CPU a request (+0%)"),
        ((15.0, 30.0), 45.0, BEFORE, "each request takes more of the service’s CPU than before: +50%"),
        ((15.0, 30.0), math.nan, BEFORE, ""),
        ((10.0, 20.0), 45.0, BEFORE, ""),
        ((15.0, 30.0), 45.0, [], ""),
        (
            (15.0, 30.0),
            45.0,
            [replace(load, control_ms=1.0) for load in BEFORE],
            "the machine was slower than before: +50% by the control",
        ),
        (
            (15.0, 30.0),
            45.0,
            [replace(load, control_ms=1.5 / 1.05) for load in BEFORE],
            "each request takes more of the service’s CPU than before: +43%",
        ),
    ],
)
def test_what_it_is_compared_with_may_tell(
    latencies: tuple[float, float], cpu: float, before: Sequence[LoadRecord], cause: str
) -> None:
    now = replace(load(window("/", latencies[0]), window("/search", latencies[1]), cpu=cpu), control_ms=1.5)
    assert likely_cause(now, before) == cause


def test_failures_that_were_always_there_explain_nothing() -> None:
    missing = {"404": 5}
    before = [load(window("/", 10.0, missing)) for _ in range(3)]
    now = load(window("/", 15.0, missing), cpu=45.0)
    assert likely_cause(now, before) == "each request takes more of the service’s CPU than before: +50%"
    assert likely_cause(now, [load(window("/", 10.0))]) == "5 of 5 failures are “404”"
