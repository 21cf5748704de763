"""Run records as a real run leaves them, made from seeded random numbers: for tests of what reads them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, Sample, StageRecord, Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import Commit, LoadRecord, RunRecord, ServiceRecord, TestRecord, Verdict

STAGES = (
    Stage("warm-up", users=10, duration="5s", measured=False),
    Stage("rush", users=60, spawn_rate=20, duration="15s"),
    Stage("peak", users=120, spawn_rate=30, duration="10s"),
)
ENDPOINTS = {("GET", "/"): 9.0, ("GET", "/search"): 48.0, ("POST", "/cart"): 30.0}  # median latency in ms
FINGERPRINT = {"cpu": "AMD EPYC 7B13", "cores": "4", "backend": "docker 27", "stages": "5c1f"}
BEGAN = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)


def windows(
    stages: Sequence[Stage] = STAGES, *, seed: int = 1, slow: float = 1.0, failing: float = 0.002, answers: float = 0.6
) -> tuple[Window, ...]:
    """One window a second and endpoint; `answers` is how many requests a second each user makes of each endpoint."""
    chance = random.Random(seed)
    made, second = [], 0
    for number, stage in enumerate(stages):
        for elapsed in range(round(stage.duration_s)):
            users = min(stage.users or 1, round((stage.spawn_rate or 1e9) * (elapsed + 1)))
            busy = slow * (1 + users / 200)
            count = max(1, round(users * answers))
            made += [
                window(
                    second, number, method, endpoint, users, latencies(chance, median * busy, count), chance, failing
                )
                for (method, endpoint), median in ENDPOINTS.items()
            ]
            second += 1
    return tuple(made)


def latencies(chance: random.Random, median_ms: float, count: int) -> list[float]:
    """Latencies with a long tail, as services have them."""
    return [chance.lognormvariate(0, 0.45) * median_ms for _ in range(count)]


def window(
    second: int,
    stage: int,
    method: str,
    endpoint: str,
    users: int,
    times: Sequence[float],
    chance: random.Random | None = None,
    failing: float = 0.0,
) -> Window:
    """The window of these latencies; each request fails with the chance `failing`."""
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    failures = sum(chance.random() < failing for _ in times) if chance else 0
    codes = {"200": len(times) - failures, "503": failures}
    return Window(
        second=second,
        stage=stage,
        method=method,
        endpoint=endpoint,
        users=users,
        requests=len(times),
        failures=failures,
        bytes=512 * len(times),
        sum_ms=sum(times),
        min_ms=min(times),
        max_ms=max(times),
        histogram=histogram,
        status_codes={code: count for code, count in codes.items() if count},
        errors={"503 Service Unavailable": failures} if failures else {},
    )


def samples(duration_s: int, *, seed: int = 1, replicas: int = 1) -> tuple[Sample, ...]:
    """What the service used: CPU that follows the load, memory that grows and levels off."""
    chance = random.Random(seed)
    return tuple(
        Sample(
            at_s=second + 1.0,
            replica=replica,
            cpu_percent=min(99.0, 25 + 70 * second / duration_s + chance.uniform(-6, 6)),
            memory_bytes=int((90 + 60 * (1 - 0.9**second) + chance.uniform(0, 3)) * 2**20),
        )
        for second in range(duration_s)
        for replica in range(replicas)
    )


def trial(
    stages: Sequence[Stage] = STAGES,
    *,
    seed: int = 1,
    slow: float = 1.0,
    failing: float = 0.002,
    answers: float = 0.6,
    replicas: int = 1,
    series: bool = True,
) -> Trial:
    """One run of the stages; without `series` as a record read from the history has it."""
    measured = windows(stages, seed=seed, slow=slow, failing=failing, answers=answers)
    used = samples(round(sum(stage.duration_s for stage in stages)), seed=seed, replicas=replicas)
    records, began = [], 0.0
    for number, stage in enumerate(stages):
        inside = [sample for sample in used if began < sample.at_s <= began + stage.duration_s]
        records.append(
            StageRecord(
                stage=stage,
                began_s=began,
                summary=summarise((part for part in measured if part.stage == number), stage.duration_s),
                cpu_percent=sum(sample.cpu_percent for sample in inside) / stage.duration_s,
                memory_bytes=max(sample.memory_bytes for sample in inside) * replicas,
            )
        )
        began += stage.duration_s
    return Trial(
        started_at=BEGAN.isoformat(),
        stages=tuple(records),
        generator=GeneratorRecord(requests=sum(part.requests for part in measured)),
        windows=measured if series else (),
        samples=used if series else (),
    )


def load(name: str = "rush_hour", *trials: Trial, fingerprint: dict[str, str] | None = None) -> LoadRecord:
    """A load of the example's service in Docker; one trial unless some are given."""
    return LoadRecord(
        key=f"tests/test_search_perf.py::{name}",
        name=name,
        service=ServiceRecord(
            kind="docker",
            name="example_service",
            digest="sha256:9b2c1f0d6a7e4853b1c2d3e4f5061728394a5b6c7d8e9f00112233445566778899",
            limits={"cpus": "1", "memory": "256m"},
            started_in_s=1.34,
            backend="docker 27",
        ),
        trials=trials or (trial(),),
        fingerprint=FINGERPRINT if fingerprint is None else fingerprint,
    )


def verdict(threshold: str = "p95 < 250ms", status: str = "ok", **changes: str) -> Verdict:
    """A verdict on `rush_hour`; `changes` are its other fields."""
    made = Verdict(
        test="tests/test_search_perf.py::test_rush_hour",
        load="tests/test_search_perf.py::rush_hour",
        threshold=threshold,
        status="ok",
        observed="124 ms",
        limit="< 250 ms",
    )
    return replace(made, **{"status": status, **changes})  # type: ignore[arg-type]


def judged(name: str = "test_rush_hour", outcome: str = "passed", *verdicts: Verdict, message: str = "") -> TestRecord:
    """A test that used `rush_hour`, or the loads that its verdicts are about."""
    return TestRecord(
        nodeid=f"tests/test_search_perf.py::{name}",
        outcome=outcome,  # type: ignore[arg-type]
        loads=tuple(dict.fromkeys(part.load for part in verdicts)) or ("tests/test_search_perf.py::rush_hour",),
        verdicts=verdicts,
        message=message,
    )


def run(
    number: int = 0, loads: Sequence[LoadRecord] | None = None, tests: Sequence[TestRecord] | None = None
) -> RunRecord:
    """The record of one pytest run, `number` half days after the first."""
    at = BEGAN + timedelta(hours=12 * number)
    return RunRecord(
        id=f"{at:%Y%m%dT%H%M%SZ}-{number:06x}",
        started_at=at.isoformat(),
        duration_s=38.2,
        loads=tuple(loads) if loads is not None else (load(),),
        tests=tuple(tests) if tests is not None else (judged("test_rush_hour", "passed", verdict()),),
        commit=Commit(
            sha=f"{(number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}" + "0" * 24,
            branch="main",
            default_branch="main",
            subject=f"Change number {number}",
        ),
        versions={"pytest-loadperf": "0.1.0", "locust": "2.47.0", "python": "3.12.4"},
        machine={"cpu": "AMD EPYC 7B13", "cores": "4", "memory": "15.6 GiB", "runner": "ci-large"},
        ci_url=f"https://ci.example/runs/{number}",
    )


def history(count: int, names: Sequence[str] = ("rush_hour",), *, answers: float = 0.1) -> list[RunRecord]:
    """Earlier runs of the same loads, each a little different, as read from the history (no windows)."""
    made = []
    for number in range(count):
        chance = random.Random(number)
        loads = [
            load(name, trial(seed=number * 31 + place, slow=chance.gauss(1, 0.05), answers=answers, series=False))
            for place, name in enumerate(names)
        ]
        made.append(run(number, loads))
    return made
