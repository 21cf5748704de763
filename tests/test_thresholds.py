from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import window

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.limits import FromBaseline, Quantity, Tolerance
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.thresholds import Threshold, judge, parse
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, RunRecord, ServiceRecord, Verdict

KEY = "tests/test_search.py::rush_hour"
EVERY_METRIC = "one of p50 … p99.99, mean, min, max, rps, requests, failures, failure_rate, service.cpu, service.memory"
MAX = "a percentage and a quantity, as in max(10%, 20ms)"


# Reading


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("p95 < 250ms", Threshold(Metric("p95"), "<", Quantity(Decimal(250), "ms"))),
        ("p99.99<=1.5 s", Threshold(Metric("p99.99"), "<=", Quantity(Decimal("1.5"), "s"))),
        ("rush_hour.p95 < 1s", Threshold(Metric("p95"), "<", Quantity(Decimal(1), "s"), "rush_hour")),
        ("service.cpu < 80%", Threshold(Metric("service.cpu"), "<", Quantity(Decimal(80), "%"))),
        ("rush_hour.service.cpu<80%", Threshold(Metric("service.cpu"), "<", Quantity(Decimal(80), "%"), "rush_hour")),
        ("service.service.cpu < 80%", Threshold(Metric("service.cpu"), "<", Quantity(Decimal(80), "%"), "service")),
        ("service.max < 1s", Threshold(Metric("max"), "<", Quantity(Decimal(1), "s"), "service")),
        ("service.memory@top<1GB", Threshold(Metric("service.memory", stage="top"), "<", Quantity(Decimal(1), "GB"))),
        ("rps > 100/s", Threshold(Metric("rps"), ">", Quantity(Decimal(100), "/s"))),
        ("failures <= 0", Threshold(Metric("failures"), "<=", Quantity(Decimal(0)))),
        ("p95[GET /search] < 1s", Threshold(Metric("p95", "GET /search"), "<", Quantity(Decimal(1), "s"))),
        ("p95 [ a@b < c ]@rush < 1s", Threshold(Metric("p95", "a@b < c", "rush"), "<", Quantity(Decimal(1), "s"))),
        ("p95[/items/[id]/x] < 1s", Threshold(Metric("p95", "/items/[id]/x"), "<", Quantity(Decimal(1), "s"))),
        ("p95 @ stage 1 < 1s", Threshold(Metric("p95", None, "stage 1"), "<", Quantity(Decimal(1), "s"))),
        ("p95@warm-up<1s", Threshold(Metric("p95", None, "warm-up"), "<", Quantity(Decimal(1), "s"))),
        ("p95 < baseline", Threshold(Metric("p95"), "<", FromBaseline())),
        ("p95<baseline+10%", Threshold(Metric("p95"), "<", FromBaseline("+", Tolerance(Decimal(10))))),
        (
            "rps > baseline - 5/s",
            Threshold(Metric("rps"), ">", FromBaseline("-", Tolerance(amount=Quantity(Decimal(5), "/s")))),
        ),
        (
            "mean < baseline + max( 10 % , 5ms )",
            Threshold(Metric("mean"), "<", FromBaseline("+", Tolerance(Decimal(10), Quantity(Decimal(5), "ms")))),
        ),
        (
            "failure_rate < baseline + 0.5%",
            Threshold(Metric("failure_rate"), "<", FromBaseline("+", Tolerance(amount=Quantity(Decimal("0.5"), "%")))),
        ),
        (
            "requests > baseline - 10",
            Threshold(Metric("requests"), ">", FromBaseline("-", Tolerance(amount=Quantity(Decimal(10))))),
        ),
    ],
)  # fmt: skip
def test_a_threshold_means(text: str, meant: Threshold) -> None:
    assert parse(text) == meant
    assert parse(text).text == text
    assert parse(text).relative == isinstance(meant.limit, FromBaseline)


@pytest.mark.parametrize(
    ("text", "wrong", "caret", "accepted"),
    [
        ("", "the metric is missing", 0, EVERY_METRIC),
        ("latency < 1s", "there is no metric 'latency'", 0, EVERY_METRIC),
        ("rush_hour.p100 < 1s", "there is no metric 'p100'", 10, EVERY_METRIC),
        (" p0 < 1s", "there is no metric 'p0'", 1, EVERY_METRIC),
        ("P95 < 1s", "there is no metric 'P95'", 0, EVERY_METRIC),
        ("p95[GET / < 1s", "the bracket is not closed", 3, "an endpoint and ], as in p95[GET /search]"),
        ("p95[ ] < 1s", "the endpoint is missing", 4, "its name, as in p95[GET /search]"),
        ("service.cpu[/] < 1%", "service.cpu is not counted by endpoint", 11, "@ and a stage, or a comparison"),
        ("p95@ < 1s", "the stage is missing", 5, "its name, as in p95@rush"),
        ("p95", "the comparison is missing", 3, "one of < <= > >="),
        ("p95 == 1s", "the comparison is missing", 4, "one of < <= > >="),
        ("p95 <== 1s", "the comparison is missing", 4, "one of < <= > >="),
        ("p95 < ", "the number is missing", 5, "a quantity such as 250ms, or baseline"),
        ("p95 < -1s", "the number is missing", 6, "a quantity such as 250ms, or baseline"),
        ("p95 < 250", "a latency needs its unit", 9, "ms or s, as in 250ms"),
        ("p95\n< 250 ", "a latency needs its unit", 9, "ms or s, as in 250ms"),
        ("p95 < 2%", "'%' is no unit of a latency", 7, "ms or s, as in 2ms"),
        ("failure_rate < 1", "a failure rate needs its unit", 16, "%, as in 1%"),
        ("rps > 50 req", "'req' is no unit of a throughput", 9, "/s, as in 50/s"),
        ("requests > 5%", "'%' is no unit of a count", 12, "no unit, as in 5"),
        ("service.cpu < 1", "CPU use needs its unit", 15, "%, as in 1%"),
        ("service.memory < 1m", "'m' is no unit of memory", 18, "MB or MiB or GB or GiB, as in 1MB"),
        ("p95 < 1s, p99 < 2s", "', p99 < 2s' is too much", 8, "the end of the threshold"),
        ("p95 < baseline 10%", "'10%' is too much", 15, "the end of the threshold"),
        ("p95 < baseline +", "the number is missing", 16, "a tolerance such as 10%, 20ms or max(10%, 20ms)"),
        ("p95 < baseline + 9", "the tolerance needs its unit", 18, "% or ms or s, as in 9%"),
        ("rps > baseline - 9s", "'s' is no unit of the tolerance", 18, "% or /s, as in 9%"),
        ("p95 < baseline + max 5", "the bracket after max is missing", 21, MAX),
        ("p95 < baseline + max(x", "the percentage is missing", 21, MAX),
        ("p95 < baseline + max(5ms", "the first of max() is no percentage", 22, MAX),
        ("p95 < baseline + max(5% 1s", "the comma is missing", 24, MAX),
        ("p95 < baseline + max(5%, 1", "a latency needs its unit", 26, "ms or s, as in 1ms"),
        ("p95 < baseline + max(5%, 1s", "the bracket is not closed", 27, MAX),
        (
            "failure_rate < baseline + max(5%, 1%)",
            "max() is not for a failure rate, whose % are percentage points",
            26,
            "one tolerance, as in + 0.5%",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_shown_with_a_caret_under_it_and_what_is_accepted_there(
    text: str, wrong: str, caret: int, accepted: str
) -> None:
    with pytest.raises(UsageFault) as fault:
        parse(text)
    shown = text.replace("\n", " ").rstrip()
    assert str(fault.value) == f"bad threshold: {wrong}\n  {shown}\n  {' ' * caret}^\n  expected {accepted}"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UsageFault, match=r"^bad threshold: 250 is no text; expected one such as 'p95 < 250ms'$"):
        parse(250)


SCRAPS = ["p95", "rps", "service.cpu", "load.", "[GET /]", "[", "]", "@", "rush", "<", ">=", "=", "250", "1.5", "ms",
          "s", "%", "/s", "MiB", "baseline", "+", "-", "max", "(", ",", ")", " ", "\t", "é", "٣", "٪"]  # fmt: skip


@given(st.text() | st.lists(st.sampled_from(SCRAPS)).map("".join))
@example("p95 < " + "9" * 400 + "ms")
@example("p95[" * 500)
def test_any_text_is_a_threshold_or_a_fault(text: str) -> None:
    try:
        threshold = parse(text)
    except UsageFault as fault:
        _, line, caret, accepted = str(fault).split("\n")
        assert len(caret) <= len(line) + 1
        assert caret.strip() == "^"
        assert accepted.startswith("  expected ")
    else:
        assert parse(str(threshold)) == threshold


def numbers() -> st.SearchStrategy[Decimal]:
    return st.decimals(0, 10**9, places=3) | st.integers(0, 10**9).map(Decimal)


def words(excluded: str) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_characters=excluded), min_size=1).filter(lambda text: text == text.strip())


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    percentile = st.decimals("0.001", "99.999", places=3).map(lambda number: f"p{number:f}")
    names = ["mean", "min", "max", "rps", "requests", "failures", "failure_rate", "service.cpu", "service.memory"]
    metric = Metric(draw(percentile | st.sampled_from(names)))
    endpoint = None if metric.of_service else draw(st.none() | words("[]"))
    metric = replace(metric, endpoint=endpoint, stage=draw(st.none() | words("<>=")))
    quantities = st.builds(Quantity, numbers(), st.sampled_from(list(metric.kind.units)))
    tolerances = st.builds(Tolerance, amount=quantities)
    if not metric.kind.in_percent:
        tolerances |= st.builds(Tolerance, numbers()) | st.builds(Tolerance, numbers(), quantities)
    relative = st.builds(FromBaseline, st.sampled_from(["+", "-"]), tolerances) | st.just(FromBaseline())
    load = st.none() | st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
    return Threshold(metric, draw(st.sampled_from(["<", "<=", ">", ">="])), draw(quantities | relative), draw(load))


@given(thresholds())
def test_a_threshold_written_out_is_the_same_threshold(threshold: Threshold) -> None:
    assert parse(str(threshold)) == threshold


# Judging


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


def judged(text: str, on: LoadRecord, baseline: Baseline | None = None) -> Verdict:
    return judge(parse(text), on, baseline, "test_rush_hour")


def earlier(*loads: LoadRecord) -> Baseline:
    runs = [
        RunRecord(f"run{day}", f"2026-11-{day:02}T10:12:00+00:00", 1.0, (made,), ())
        for day, made in enumerate(loads, start=1)
    ]
    return Baseline(tuple((run, run.loads[0]) for run in runs), "on main")


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


@pytest.mark.parametrize(
    ("text", "status", "limit"),
    [
        ("mean < baseline", "regressed", "< 200 ms (200 ms)"),
        ("mean < baseline + 10%", "ok", "< 220 ms (200 ms + 10%)"),
        ("mean < baseline + 5%", "regressed", "< 210 ms (200 ms + 5%)"),
        ("mean < baseline + 5ms", "regressed", "< 205 ms (200 ms + 5ms)"),
        ("mean < baseline + max(5%, 15ms)", "ok", "< 215 ms (200 ms + max(5%, 15ms))"),
        ("mean < baseline + max(10%, 5ms)", "ok", "< 220 ms (200 ms + max(10%, 5ms))"),
        ("mean > baseline - 10%", "ok", "> 180 ms (200 ms - 10%)"),
    ],
)
def test_a_threshold_against_the_baseline_is_held_against_its_median(text: str, status: str, limit: str) -> None:
    before = earlier(*(load(stage({"GET /": [time]})) for time in (900.0, 190.0, 200.0)))
    verdict = judged(text, load(stage({"GET /": [212.0]})), before)
    assert (verdict.status, verdict.observed, verdict.limit) == (status, "212 ms", limit)
    assert verdict.baseline == "median of 3 runs on main, newest 2026-11-03 10:12 UTC run3"
    assert verdict.breach == (status == "regressed")


def test_a_percentage_around_a_failure_rate_means_points() -> None:
    before = earlier(load(stage({"GET /": [1.0] * 100})))
    whole = stage({"GET /": [1.0] * 100})
    now = load(replace(whole, summary=replace(whole.summary, failures=2)))
    near, far = judged("failure_rate < baseline + 1%", now, before), judged("failure_rate < baseline + 3%", now, before)
    assert (near.status, near.limit) == ("regressed", "< 1% (0% + 1%)")
    assert (far.status, far.limit) == ("ok", "< 3% (0% + 3%)")


def test_without_a_comparable_run_there_is_no_baseline_and_no_breach() -> None:
    verdict = judged("mean < baseline + 10%", load(stage(HUNDRED)), Baseline(why_empty="no earlier run of this load"))
    assert (verdict.status, verdict.observed) == ("no_baseline", "50.5 ms")
    assert (verdict.limit, verdict.reason) == ("< baseline + 10%", "no earlier run of this load")
    assert not verdict.breach
    assert judged("mean < baseline", load(stage(HUNDRED))).reason == "no history was read"


def test_only_runs_that_saw_the_endpoint_count() -> None:
    old, new = load(stage({"GET /": [5.0]})), load(stage({"GET /": [5.0], "GET /new": [7.0]}))
    verdict = judged("mean[/new] < baseline + 10%", new, earlier(old, new))
    assert (verdict.limit, verdict.baseline) == ("< 7.7 ms (7 ms + 10%)", "1 run on main, 2026-11-02 10:12 UTC run2")
    first = judged("mean[/new] < baseline + 10%", new, earlier(old))
    assert (first.status, first.reason) == ("no_baseline", "it was not measured in any comparable run on main")
