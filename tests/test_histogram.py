from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.measure.histogram import Histogram, bucket_of, middle_us

latencies = st.floats(min_value=0, max_value=3_600_000, allow_nan=False)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_bucket_keeps_three_significant_digits(value_us: int) -> None:
    assert abs(middle_us(bucket_of(value_us)) - value_us) <= max(0.5, value_us * 0.0005)


@given(st.integers(min_value=0, max_value=10**12))
def test_buckets_are_in_the_order_of_their_values(value_us: int) -> None:
    assert bucket_of(value_us) <= bucket_of(value_us + 1) <= bucket_of(value_us) + 1


@given(st.lists(latencies, min_size=1, max_size=200), st.floats(min_value=0.1, max_value=100))
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    rank = max(1, math.ceil(len(values) * percent / 100 - 1e-9))
    assert histogram.percentile_ms(percent) == pytest.approx(sorted(values)[rank - 1], rel=0.001, abs=0.001)


@given(st.lists(latencies, max_size=50), st.lists(latencies, max_size=50))
def test_merging_is_exact(one: list[float], other: list[float]) -> None:
    parts, whole = (Histogram(), Histogram()), Histogram()
    for part, values in zip(parts, (one, other), strict=True):
        for value in values:
            part.add(value)
            whole.add(value)
    assert Histogram.merged(parts) == whole
    assert whole.total == len(one) + len(other)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert math.isnan(Histogram().percentile_ms(95))


@given(st.lists(latencies, max_size=50), st.lists(st.floats(min_value=0.1, max_value=100), max_size=9).map(sorted))
def test_many_percentiles_are_the_same_as_one_by_one(values: list[float], percents: list[float]) -> None:
    histogram = Histogram()
    histogram.add(*values)
    one_by_one = [histogram.percentile_ms(percent) for percent in percents]
    assert histogram.percentiles_ms(percents) == pytest.approx(one_by_one, nan_ok=True)


class TestAsText:
    @given(st.lists(latencies, max_size=50))
    def test_comes_back_as_it_was(self, values: list[float]) -> None:
        histogram = Histogram()
        histogram.add(*values)
        again = Histogram.of_text(histogram.to_text())
        assert again.to_text() == histogram.to_text()
        assert again == histogram
        assert again.to_text() == histogram.to_text()

    def test_is_the_distance_of_each_bucket_and_its_count(self) -> None:
        assert Histogram({7: 1, 1203: 2}).to_text() == "7 1196*2"

    def test_of_nothing_is_nothing(self) -> None:
        assert Histogram().to_text() == ""
        assert Histogram.of_text("") == Histogram()

    @pytest.mark.parametrize("text", ["-1 2", "1 2.5", "one 2", "1,2", "\ud800", "1\n2"])
    def test_of_something_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"expected a histogram such as|can't encode"):
            Histogram.of_text(text)

    @pytest.mark.parametrize(
        "text",
        ["9" * 5_000, "1000000", f"1 {10**17}*2", "1 *", "3*4*5", "1*0", "1*" + "9" * 4_000, "1*" + "9" * 5_000],
        ids=range(8),
    )
    def test_whose_numbers_can_not_be_meant_has_no_percentile(self, text: str) -> None:
        assert math.isnan(Histogram.of_text(text).percentile_ms(95))
