from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.report.scale import Axis, Point, linear, logarithmic, seconds, thin

NAN = math.nan


class TestLinearAxis:
    @pytest.mark.parametrize(
        ("values", "ticks"),
        [
            ([0, 97], (0, 50, 100)),
            ([312.4], (0, 100, 200, 300, 400)),
            ([0.3], (0, 0.1, 0.2, 0.3)),
            ([-5, 15], (-5, 0, 5, 10, 15)),
            ([1e-9], (0, 5e-10, 1e-9)),
            ([3e12], (0, 1e12, 2e12, 3e12)),
            ([], (0, 0.5, 1)),
            ([0, 0], (0, 0.5, 1)),
            ([NAN], (0, 0.5, 1)),
        ],
    )
    def test_has_round_ticks_from_zero_past_the_largest_value(
        self, values: list[float], ticks: tuple[float, ...]
    ) -> None:
        assert linear(values).ticks == ticks

    def test_shows_at_least_what_is_asked_for(self) -> None:
        assert linear([0.001], least=0.01).high == 0.01

    @given(st.lists(st.floats(allow_nan=True, allow_infinity=True)), st.integers(1, 10))
    def test_every_usable_value_has_a_place_on_it(self, values: list[float], count: int) -> None:
        axis = linear(values, count=count)
        assert axis.low < axis.high
        assert list(axis.ticks) == sorted(set(axis.ticks))
        assert 2 <= len(axis.ticks) <= count + 3
        dust = (axis.high - axis.low) * 1e-8
        assert all(axis.low - dust <= value <= axis.high + dust for value in values if abs(value) < 1e300)


class TestLogarithmicAxis:
    @pytest.mark.parametrize(
        ("values", "ticks"),
        [
            ([3, 800], (10, 100, 1000)),
            ([3, 80], (2, 5, 10, 20, 50, 100)),
            ([7], (5, 10)),
            ([10], (10, 20)),
            ([1e-3, 1e9], (1e-3, 1e-1, 1e1, 1e3, 1e5, 1e7, 1e9)),
            ([], (1, 2, 5, 10)),
            ([0, -4, NAN, math.inf], (1, 2, 5, 10)),
        ],
    )
    def test_has_few_round_ticks_around_the_positive_values(
        self, values: list[float], ticks: tuple[float, ...]
    ) -> None:
        assert logarithmic(values).ticks == ticks

    def test_gives_each_factor_of_ten_the_same_room(self) -> None:
        axis = Axis(1, 1000, log=True)
        assert [axis.at(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 1 / 3, 2 / 3, 1])

    def test_has_no_place_for_zero(self) -> None:
        assert math.isnan(Axis(1, 1000, log=True).at(0))

    @given(st.lists(st.floats(1e-290, 1e290), min_size=1))
    def test_every_value_has_a_place_on_it(self, values: list[float]) -> None:
        axis = logarithmic(values)
        assert 0 < axis.low < axis.high
        assert len(axis.ticks) <= 10
        assert axis.low <= min(values) * (1 + 1e-6)
        assert max(values) <= axis.high * (1 + 1e-6)


class TestTimeAxis:
    @pytest.mark.parametrize(
        ("duration_s", "ticks"),
        [
            (1, (0, 1)),
            (30, (0, 5, 10, 15, 20, 25, 30)),
            (50, (0, 10, 20, 30, 40, 50)),
            (3600, (0, 600, 1200, 1800, 2400, 3000, 3600)),
            (0, (0, 1)),
            (30 * 86400, (0, 345600, 691200, 1036800, 1382400, 1728000, 2073600, 2419200)),
        ],
    )
    def test_counts_as_people_count_time(self, duration_s: float, ticks: tuple[float, ...]) -> None:
        assert seconds(duration_s).ticks == ticks

    def test_ends_where_the_time_ends(self) -> None:
        assert seconds(12.5).high == 12.5


class TestThinning:
    def test_a_short_series_stays_as_it_is(self) -> None:
        points = [(float(x), NAN) for x in range(30)]
        assert thin(points, 10) == points

    def test_a_single_peak_and_a_single_gap_survive(self) -> None:
        points = [(float(x), 1.0) for x in range(10_000)]
        points[1234], points[7777] = (1234.0, 99.0), (7777.0, NAN)
        kept = thin(points, 100)
        assert len(kept) < 310
        assert (1234.0, 99.0) in kept
        assert any(math.isnan(y) for _, y in kept)

    @given(st.lists(st.floats(-1e9, 1e9) | st.just(NAN), min_size=1, max_size=400), st.integers(1, 20))
    def test_keeps_order_and_extremes_at_three_points_a_column(self, values: list[float], columns: int) -> None:
        points: list[Point] = [(float(x), y) for x, y in enumerate(values)]
        kept = thin(points, columns)
        assert len(kept) <= max(3 * columns, 3)
        assert [x for x, _ in kept] == sorted({x for x, _ in kept})
        numbers = [y for y in values if not math.isnan(y)]
        if numbers:
            shown = [y for _, y in kept if not math.isnan(y)]
            assert (min(shown), max(shown)) == (min(numbers), max(numbers))
