from __future__ import annotations

import math
from dataclasses import replace

import pytest
from records import window

from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, ServiceRecord, Verdict

KEY = "tests/test_search.py::rush_hour"


def stage(
    times: dict[str, list[float]],
    name: str = "rush",
    *,
    seconds: int = 10,
    measured: bool = True,
    cpu: float = math.nan,
    memory: int = 0,
) -> StageRecord:
    endpoints = [(*endpoint.partition(" "), latencies) for endpoint, latencies in times.items()]
    windows = [window(0, 0, method, path, 5, latencies) for method, _, path, latencies in endpoints]
    asked = Stage(name, users=5, duration=f"{seconds}s", measured=measured)
    return StageRecord(asked, 0.0, summarise(windows, seconds), cpu, memory)


def load(*stages: StageRecord, aborted: str | None = None) -> LoadRecord:
    trial = Trial("2026-11-19T10:00:00+00:00", stages, GeneratorRecord(0))
    return LoadRecord(KEY, "rush_hour", ServiceRecord("process", "app"), (trial,), {}, aborted)


def judged(text: str, on: LoadRecord) -> Verdict:
    return judge(parse(text), on, None, "test_rush_hour")


HUNDRED = {"GET /search": [float(time) for time in range(1, 101)]}  # 1 to 100 ms


@pytest.mark.parametrize(
    ("text", "status", "observed", "limit"),
    [
        ("p95 < 250ms", "ok", "95 ms", "< 250 ms"),
        ("max <= 100ms", "ok", "100 ms", "<= 100 ms"),
        ("max < 100ms", "broken", "100 ms", "< 100 ms"),
        ("p99 > 0.05s", "ok", "99 ms", "> 50 ms"),
        ("mean < 50ms", "broken", "50.5 ms", "< 50 ms"),
        ("min >= 1ms", "ok", "1 ms", ">= 1 ms"),
        ("max < 15s", "ok", "100 ms", "< 15 s"),
        ("rps >= 10/s", "ok", "10/s", ">= 10/s"),
        ("requests >= 1000", "broken", "100", ">= 1000"),
        ("failures <= 0", "ok", "0", "<= 0"),
        ("failure_rate < 5%", "ok", "0%", "< 5%"),
    ],
)
def test_an_absolute_threshold_holds_or_is_broken(text: str, status: str, observed: str, limit: str) -> None:
    verdict = judged(text, load(stage(HUNDRED)))
    assert (verdict.status, verdict.observed, verdict.limit) == (status, observed, limit)
    assert (verdict.test, verdict.load, verdict.threshold) == ("test_rush_hour", KEY, text)
    assert (verdict.baseline, verdict.reason) == ("", "")
    assert verdict.breach == (status == "broken")


def test_an_observed_number_and_its_limit_never_look_equal_when_they_are_not() -> None:
    verdict = judged("mean < 250ms", load(stage({"GET /": [250.04]})))
    assert (verdict.status, verdict.observed, verdict.limit) == ("broken", "250.04 ms", "< 250 ms")


def test_a_failure_rate_that_so_few_requests_can_not_show_holds_narrowly() -> None:
    verdict = judged("failure_rate < 1%", load(stage(HUNDRED)))
    assert verdict.status == "ok"
    assert verdict.reason == "narrowly: 100 requests leave up to 2.95% possible"
    assert judged("failure_rate >= 0%", load(stage(HUNDRED))).reason == ""


def test_a_failure_rate_equal_to_its_limit_is_not_above_it() -> None:
    whole = stage({"GET /": [1.0] * 100})
    record = replace(whole, summary=replace(whole.summary, failures=57))
    assert judged("failure_rate <= 57%", load(record)).status == "ok"
    assert judged("failure_rate < 57%", load(record)).status == "broken"


def test_a_threshold_is_about_the_measured_stages_together_or_the_one_it_names() -> None:
    record = load(
        stage({"GET /": [900.0]}, "warm-up", measured=False),
        stage({"GET /": [10.0]}),
        stage({"GET /": [30.0]}, "peak"),
    )
    assert judged("mean < 1s", record).observed == "20 ms"
    assert judged("mean@peak < 1s", record).observed == "30 ms"
    assert judged("mean@warm-up < 1s", record).observed == "900 ms"


def test_a_threshold_may_be_about_one_endpoint_with_or_without_its_method() -> None:
    record = load(stage({"GET /a": [10.0], "POST /a": [30.0], "GET /b": [500.0]}))
    assert judged("mean[POST /a] < 1s", record).observed == "30 ms"
    assert judged("mean[/a] < 1s", record).observed == "20 ms"


def test_service_thresholds_are_judged_on_the_mean_cpu_by_time_and_the_highest_memory() -> None:
    record = load(
        stage(HUNDRED, "warm-up", measured=False, cpu=300.0, memory=2**31),
        stage(HUNDRED, "rush", seconds=30, cpu=40.0, memory=300 * 2**20),
        stage(HUNDRED, "peak", seconds=10, cpu=80.0, memory=200 * 2**20),
        stage(HUNDRED, "unsampled", seconds=99),
    )
    cpu, memory = judged("service.cpu <= 50%", record), judged("service.memory < 256MiB", record)
    assert (cpu.status, cpu.observed, cpu.limit) == ("ok", "50%", "<= 50%")
    assert (memory.status, memory.observed, memory.limit) == ("broken", "300 MiB", "< 256 MiB")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p95[/serch] < 1s", "no request to '/serch'; endpoints: GET /search"),
        ("requests[/serch] < 9", "no request to '/serch'; endpoints: GET /search"),
        ("failures[/serch]@rush < 9", "no request to '/serch' in stage 'rush'; endpoints: GET /search"),
        ("p95@rsh < 1s", "no stage is called 'rsh'; stages: rush, idle"),
        ("requests@idle < 9", "no request was sent in stage 'idle'"),
        ("rps[/search]@idle < 9/s", "no request was sent in stage 'idle'"),
        ("service.cpu < 80%", "the service's cpu was not sampled"),
        ("service.memory < 1GB", "the service's memory was not sampled"),
        ("p95@rsh < baseline + 10%", "no stage is called 'rsh'; stages: rush, idle"),
    ],
)
def test_want_of_data_breaks_a_threshold_and_says_what_there_is(text: str, reason: str) -> None:
    verdict = judged(text, load(stage(HUNDRED), stage({}, "idle")))
    assert (verdict.status, verdict.observed, verdict.reason) == ("broken", "no data", reason)
    assert verdict.limit == text[text.index("<") :]


def test_a_load_without_a_request_breaks_every_threshold() -> None:
    verdict = judged("failures < 1", load(stage({})))
    assert (verdict.status, verdict.reason) == ("broken", "no request was sent")


def test_a_load_without_a_measured_stage_breaks_every_threshold() -> None:
    verdict = judged("p95 < 1s", load(stage(HUNDRED, "warm-up", measured=False)))
    assert (verdict.status, verdict.reason) == ("broken", "no stage is measured; stages: warm-up")


def test_want_of_data_after_an_early_stop_says_so() -> None:
    verdict = judged("p95 < 1s", load(aborted="failure_rate > 50%"))
    assert verdict.reason == "no stage was run; the load was stopped early: failure_rate > 50%"


# How sure a percentile is


def spread(requests: int) -> dict[str, list[float]]:
    """Latencies of 1 ms to 100 ms, evenly."""
    return {"GET /": [1.0 + 99.0 * number / requests for number in range(requests)]}


def test_a_percentile_whose_interval_reaches_over_its_limit_holds_narrowly() -> None:
    verdict = judged("p95 < 96ms", load(stage(spread(1000))))
    assert (verdict.status, verdict.reason) == ("ok", "narrowly: 95% interval 93.5 ms to 96.2 ms")
    assert judged("p95 < 97ms", load(stage(spread(1000)))).reason == ""


def test_a_percentile_whose_interval_reaches_below_its_limit_is_broken_narrowly() -> None:
    verdict = judged("p95 < 94ms", load(stage(spread(1000))))
    assert (verdict.status, verdict.reason) == ("broken", "narrowly: 95% interval 93.5 ms to 96.2 ms")
    assert judged("p95 < 93ms", load(stage(spread(1000)))).reason == ""


def test_a_percentile_that_is_one_requests_own_is_no_verdict() -> None:
    verdict = judged("p99 < 99ms", load(stage(spread(100))))
    assert (verdict.status, verdict.observed) == ("inconclusive", "at least 94 ms")
    assert verdict.reason == "not identifiable with 100 requests, about 368 needed"


def test_enough_requests_that_were_slow_together_break_a_limit_narrowly() -> None:
    slow = {"GET /": [20.0] * 940 + [900.0] * 60}
    whole = stage(slow)
    clumped = replace(whole, summary=replace(whole.summary, effects={"95": 60.0}))
    verdict = judged("p95 < 250ms", load(clumped))
    assert (verdict.status, verdict.observed) == ("broken", "900 ms")
    assert verdict.reason == "narrowly: slow requests came together, 95% interval from 20 ms"


def test_a_limit_that_every_request_kept_needs_enough_of_them() -> None:
    verdict = judged("p99 < 1s", load(stage(spread(298))))
    assert (verdict.status, verdict.observed) == ("inconclusive", "99 ms")
    assert verdict.reason == "not identifiable with 298 requests, about 299 needed"
    assert judged("p99 < 1s", load(stage(spread(299)))).status == "ok"


def test_a_percentile_over_a_limit_from_below_may_be_beyond_what_was_seen() -> None:
    assert judged("p99 > 200ms", load(stage(spread(100)))).status == "inconclusive"


def test_a_percentile_is_broken_without_enough_requests_where_even_its_lower_bound_is_beyond_the_limit() -> None:
    assert judged("p99 < 90ms", load(stage(spread(100)))).status == "broken"
    assert judged("p99 > 90ms", load(stage(spread(100)))).status == "ok"


def test_the_failures_that_are_possible_take_account_of_requests_that_fail_together() -> None:
    whole = stage(spread(1000))
    scattered = replace(whole, summary=replace(whole.summary, failures=5, effects={"failed": 1.0}))
    together = replace(whole, summary=replace(whole.summary, failures=5, effects={"failed": 8.0}))
    assert judged("failure_rate < 2%", load(scattered)).reason == ""
    assert judged("failure_rate < 2%", load(together)).reason == "narrowly: 1000 requests leave up to 3.25% possible"
