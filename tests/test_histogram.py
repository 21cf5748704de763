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
