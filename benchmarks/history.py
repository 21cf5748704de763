"""Histories as long as one likes, of runs that differ by chance alone: for benchmarks of what reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from pytest_loadperf.history.record import decode, encode
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import summarise, with_effects
from pytest_loadperf.model import GeneratorRecord, StageRecord, Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import Commit, LoadRecord, RunRecord, ServiceRecord, TestRecord, Verdict

_SECONDS, _ENDPOINTS, _REQUESTS = 10, ("/", "/search", "/cart"), 200  # of each endpoint in each second
_KINDS = 31  # trials that differ; runs share them, for a thousand of their own would take minutes to make
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run(number: int, loads: int) -> RunRecord:
    """One run an hour, on the default branch, with so many loads."""
    made = tuple(_load(f"load{place}", (number + place) % _KINDS) for place in range(loads))
    return RunRecord(
        id=f"{number:08x}",
        started_at=(_BEGAN + timedelta(hours=number)).isoformat(),
        duration_s=300.0,
        loads=made,
        tests=tuple(_test(load) for load in made),
        commit=Commit(f"{number:040x}", branch="main", default_branch="main"),
    )


def _test(load: LoadRecord) -> TestRecord:
    texts = ("p95 < baseline + 5%", "failure_rate < baseline + 0.1%")
    verdicts = tuple(Verdict("test", load.key, text, "ok", "10 ms", "< 11 ms") for text in texts)
    return TestRecord(f"test_{load.name}", "passed", (load.key,), verdicts)


def _load(name: str, kind: int) -> LoadRecord:
    machine = {"cpu": "some CPU", "cores": "4", "memory": "16 GiB", "stages": "5c1f"}
    service = ServiceRecord("docker", "service", backend="docker 27")
    return LoadRecord(f"tests/test_it.py::{name}", name, service, (_trial(kind),), machine)


@cache
def _trial(kind: int) -> Trial:
    chance = np.random.default_rng(kind)
    windows = [_window(chance, second, endpoint) for second in range(_SECONDS) for endpoint in _ENDPOINTS]
    summary = with_effects(summarise(windows, float(_SECONDS)), windows, 0.0)
    stage = Stage("rush", users=20, duration=f"{_SECONDS}s")
    made = Trial(_BEGAN.isoformat(), (StageRecord(stage, 0.0, summary, users=20),), GeneratorRecord(summary.requests))
    load = LoadRecord("load", "load", ServiceRecord("process", "service"), (made,), {})
    kept = RunRecord("run", _BEGAN.isoformat(), 0.0, (load,), ())
    return decode(encode(kept), "run").loads[0].trials[0]  # as the history gives it back


def _window(chance: np.random.Generator, second: int, endpoint: str) -> Window:
    latencies = chance.lognormal(2.5, 0.45, _REQUESTS).tolist()
    histogram = Histogram()
    histogram.add(*latencies)
    return Window(
        second=second,
        stage=0,
        method="GET",
        endpoint=endpoint,
        users=20,
        requests=_REQUESTS,
        failures=0,
        bytes=512 * _REQUESTS,
        sum_ms=sum(latencies),
        min_ms=min(latencies),
        max_ms=max(latencies),
        histogram=histogram,
        status_codes={"200": _REQUESTS},
    )
