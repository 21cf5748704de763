from __future__ import annotations

import math
import random
from statistics import median

import pytest

from pytest_loadperf.judge.changepoints import ChangePoint, change_points, drift
from pytest_loadperf.judge.rule import RATIO, SHARE


def runs(chance: random.Random, count: int, centre: float = 100.0, spread: float = 0.08) -> list[float]:
    """Unchanged runs that differ by so much."""
    return [centre * math.exp(chance.gauss(0, spread)) for _ in range(count)]


def takes_after(chance: random.Random, count: int, spread: float = 0.08) -> list[float]:
    """The same with 5 % slow ones, where each run keeps a third of the deviation before it."""
    found, off = [], 0.0
    for _ in range(count + 20):
        off = 0.3 * off + chance.gauss(0, spread)
        found.append(100 * math.exp(off + (chance.expovariate(5) if chance.random() < 0.05 else 0)))
    return found[20:]


# change points


def test_a_change_of_level_is_found_where_it_is_with_the_levels_on_both_sides() -> None:
    chance = random.Random(1)
    series = runs(chance, 20, 100, 0.01) + runs(chance, 10, 130, 0.01)
    (found,) = change_points(series, RATIO)
    assert found == ChangePoint(20, median(series[:20]), median(series[20:]))


def test_several_changes_are_found_oldest_first() -> None:
    chance = random.Random(2)
    series = [value for centre in (100, 150, 90) for value in runs(chance, 15, centre, 0.02)]
    assert [found.place for found in change_points(series, RATIO)] == [15, 30]


def test_a_level_that_came_and_went_is_found() -> None:
    chance = random.Random(11)
    series = [*runs(chance, 20), *runs(chance, 10, 150), *runs(chance, 20)]
    assert [found.place for found in change_points(series, RATIO)] == [20, 30]


def test_the_same_series_always_gives_the_same_changes() -> None:
    series = takes_after(random.Random(3), 200)
    assert change_points(series, RATIO) == change_points([*series], RATIO)


def test_of_a_thousand_unchanged_series_a_handful_show_a_change() -> None:
    chance = random.Random(4)
    assert sum(bool(change_points(runs(chance, 30), RATIO)) for _ in range(1000)) <= 8
    assert sum(bool(change_points(takes_after(chance, 30), RATIO)) for _ in range(1000)) <= 50


def test_a_step_of_twice_the_spread_is_found_after_ten_runs_nearly_always() -> None:
    chance = random.Random(5)
    stepped = [runs(chance, 30) + runs(chance, 10, 100 * math.exp(0.16)) for _ in range(300)]
    found = [change_points(series, RATIO) for series in stepped]
    assert sum(len(changes) == 1 for changes in found) >= 250
    assert sum(any(abs(change.place - 30) <= 1 for change in changes) for changes in found) >= 200


@pytest.mark.parametrize("place", [0, 12, 24])
def test_one_run_however_slow_is_no_change(place: int) -> None:
    series = runs(random.Random(6), 25, 100, 0.02)
    assert change_points(series, RATIO) == []
    series[place] *= 20
    assert change_points(series, RATIO) == []


def test_three_runs_are_no_level_yet() -> None:
    chance = random.Random(7)
    before = runs(chance, 40, 100, 0.01)
    after = runs(chance, 6, 200, 0.01)
    assert change_points([*before, *after[:3]], RATIO) == []
    assert [found.place for found in change_points([*before, *after], RATIO)] == [40]


def test_a_change_too_small_to_count_is_none_however_certain() -> None:
    series = [100.0, 100.1] * 15 + [104.0, 104.1] * 15
    assert change_points(series, RATIO) == []
    assert len(change_points([value + 1.5 * (value > 103) for value in series], RATIO)) == 1


def test_equal_values_are_no_change_and_share_their_rank() -> None:
    assert change_points([0.0] * 50, SHARE) == []
    assert [found.place for found in change_points([0.0] * 10 + [0.01] * 5, SHARE)] == [10]
    assert change_points([100.0, 110.0] * 15, RATIO) == []


def test_a_run_without_a_number_is_left_out_and_the_places_stay_those_of_the_series() -> None:
    chance = random.Random(8)
    series = [math.nan, *runs(chance, 20, 100, 0.01), math.nan, *runs(chance, 10, 130, 0.01)]
    assert [found.place for found in change_points(series, RATIO)] == [22]


@pytest.mark.parametrize("series", [[], [math.nan], [1.0], [1.0, 2.0], [1.0] * 4 + [9.0] * 4])
def test_a_short_series_has_none(series: list[float]) -> None:
    assert change_points(series, RATIO) == []


# drift


def test_three_runs_that_are_each_a_little_slower_are_a_drift() -> None:
    steady = [100.0, 102, 98, 101, 99, 100, 103, 97, 100, 101]
    found = drift([*steady, 109.0, 112, 110], RATIO)
    assert found is not None
    assert (found.before, found.runs, found.number) == (100.0, 10, 3)
    assert found.latest == pytest.approx(110, abs=0.5)
    assert drift([*steady, 100.0, 101, 99], RATIO) is None


def test_one_slow_run_or_two_among_the_three_are_none() -> None:
    steady = [100.0, 102, 98, 101, 99, 100, 103, 97, 100, 101]
    assert drift([*steady, 103.0, 180, 103], RATIO) is None
    assert drift([*steady, 140.0, 180, 99], RATIO) is None


def test_a_drift_is_for_the_worse_only() -> None:
    steady = [100.0, 102, 98, 101, 99, 100, 103, 97, 100, 101]
    assert drift([*steady, 91.0, 90, 92], RATIO) is None
    assert drift([*steady, 91.0, 90, 92], RATIO, worse=-1) is not None
    assert drift([*steady, 109.0, 112, 110], RATIO, worse=-1) is None


def test_the_level_before_begins_where_it_last_changed() -> None:
    chance = random.Random(9)
    series = [*runs(chance, 20, 60, 0.01), *runs(chance, 12, 100, 0.01)]
    found = drift([*series, 110.0, 111, 112], RATIO)
    assert found is not None
    assert found.runs == 12
    assert drift([*series, 100.0, 101, 99], RATIO) is None


def test_fewer_than_five_runs_are_no_level_to_drift_from() -> None:
    assert drift([100.0] * 4 + [130.0] * 3, RATIO) is None
    assert drift([100.0] * 5 + [130.0] * 3, RATIO) is not None
    assert drift([], RATIO) is None


def test_a_run_without_a_number_drifts_nowhere() -> None:
    assert drift([100.0] * 10 + [130.0, 130.0, math.nan], RATIO) is None


def test_of_a_thousand_unchanged_runs_few_look_like_a_drift() -> None:
    chance = random.Random(10)
    assert sum(drift(runs(chance, 23), RATIO) is not None for _ in range(1000)) <= 3
    assert sum(drift(takes_after(chance, 23), RATIO) is not None for _ in range(1000)) <= 12
