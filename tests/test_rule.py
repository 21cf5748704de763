from __future__ import annotations

import math
import random

import pytest

from pytest_loadperf.judge.rule import COUNT, RATIO, SHARE, Scale, Standing, away
from pytest_loadperf.judge.statistics import expected

ALIKE = [100.0, 101.0, 99.0, 100.5, 99.5]
APART = [100.0, 140.0, 80.0, 120.0, 70.0, 110.0, 130.0, 90.0]


def test_the_centre_is_the_median_of_the_last_level() -> None:
    assert Standing([APART], RATIO).centre == pytest.approx(math.sqrt(100 * 110))
    assert Standing([APART, [50.0, 52.0, 90.0]], RATIO).centre == pytest.approx(52)


def test_a_change_of_less_than_a_twentieth_is_none_however_alike_the_runs_are() -> None:
    standing = Standing([ALIKE * 6], RATIO)
    assert not standing.is_worse(104.9)
    assert not standing.is_better(95.2)


def test_a_change_stands_out_where_chance_would_hardly_put_a_run() -> None:
    standing = Standing([ALIKE], RATIO)
    assert standing.is_worse(120)
    assert not standing.is_worse(80)
    assert standing.is_better(80)
    assert not standing.is_better(120)
    assert not Standing([APART], RATIO).is_worse(150)


def test_what_would_be_seen_is_where_the_runs_begin_to_stand_out() -> None:
    for levels in ([ALIKE], [APART], [ALIKE * 6], [APART, ALIKE]):
        for worse in (1.0, -1.0):
            standing = Standing(levels, RATIO, worse=worse)
            assert standing.is_worse(standing.visible * (1 + worse * 0.001))
            assert not standing.is_worse(standing.visible * (1 - worse * 0.001))


def test_less_is_worse_for_a_throughput() -> None:
    standing = Standing([ALIKE], RATIO, worse=-1.0)
    assert standing.is_worse(80)
    assert standing.is_better(120)
    assert standing.visible < 95


def test_fewer_than_five_runs_accuse_nobody() -> None:
    assert not Standing([[100.0] * 4], RATIO).is_worse(1000)
    assert Standing([[100.0] * 5], RATIO).is_worse(1000)


def test_a_new_level_is_judged_with_the_spread_of_the_old_one() -> None:
    accepted = Standing([[value * 2 for value in ALIKE], [100.0]], RATIO)
    assert accepted.runs == 6
    assert accepted.centre == pytest.approx(100)
    assert accepted.is_worse(130)
    noisy = Standing([[value * 2 for value in APART], [100.0]], RATIO)
    assert not noisy.is_worse(130)


def test_a_run_that_is_itself_unsure_needs_a_larger_change() -> None:
    assert Standing([ALIKE], RATIO).is_worse(125)
    assert not Standing([ALIKE], RATIO, own_error=0.2).is_worse(125)


def test_runs_that_happen_to_agree_do_not_promise_to_go_on_so() -> None:
    assert expected([[0.0] * 5], prior=0.05).error > 0.03
    assert expected([[0.0] * 30], prior=0.05).error < 0.02


def test_the_band_holds_95_of_100_runs() -> None:
    chance = random.Random(3)
    held = 0
    for _ in range(400):
        *before, now = (math.exp(chance.gauss(0, 0.08)) for _ in range(11))
        low, high = Standing([before], RATIO).band
        held += low <= now <= high
    assert 0.9 <= held / 400 <= 0.98


def test_a_failure_rate_may_rise_from_none() -> None:
    standing = Standing([[0.0] * 10], SHARE, own_error=0.5 / math.sqrt(5000))
    assert standing.centre == 0
    assert standing.band[0] == 0
    assert not standing.is_worse(0.0005)
    assert standing.is_worse(0.02)
    assert 0.001 <= standing.visible < 0.01


def test_a_count_may_rise_from_none() -> None:
    standing = Standing([[0.0] * 10], COUNT, own_error=0.5)
    assert not standing.is_worse(1)
    assert standing.is_worse(12)


def test_the_smallest_change_of_a_noisy_series_is_large() -> None:
    assert Standing([APART], RATIO).visible > 200
    assert Standing([ALIKE * 3], RATIO).visible < 110


@pytest.mark.parametrize(
    ("value", "centre", "scale", "shown"),
    [
        (112.34, 100, RATIO, "+12.3%"),
        (99.99, 100, RATIO, "+0.0%"),
        (0.1 + 0.2, 0.3, SHARE, "+0 points"),
        (0.012, 0.02, SHARE, "-0.8 points"),
        (7, 4, COUNT, "+3"),
        (3 * 1.1, 3.3, COUNT, "+0"),
    ],
)
def test_a_distance_is_shown_without_what_computing_leaves_of_nothing(
    value: float, centre: float, scale: Scale, shown: str
) -> None:
    assert away(value, centre, scale) == shown
