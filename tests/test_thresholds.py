from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.limits import FromBaseline, Quantity, Tolerance
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.thresholds import Threshold, parse

EVERY_METRIC = (
    "one of p50 … p99.99, mean, min, max, rps, requests, failures, failure_rate, service.cpu, service.memory, "
    "capacity.users, capacity.rate, capacity.rps"
)
MAX = "a percentage and a quantity, as in max(10%, 20ms)"


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
