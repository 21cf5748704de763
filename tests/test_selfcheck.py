"""The generator's pulses: which seconds are saturated, which stages in doubt, and what the machine did meanwhile."""

from __future__ import annotations

import math

import pytest

from pytest_loadperf.measure.selfcheck import (
    clipped,
    is_bottleneck,
    is_saturated,
    most_users,
    saturated_seconds,
    self_check,
)
from pytest_loadperf.model import Pulse, SelfCheck

NAN = math.nan


@pytest.mark.parametrize(
    ("cpu_percent", "lag_ms", "waited_percent", "saturated"),
    [
        (89.9, 99.9, NAN, False),
        (90.0, 0.0, NAN, True),
        (5.0, 100.0, NAN, True),
        (60.0, 0.0, 29.0, False),
        (60.0, 0.0, 31.0, True),
    ],
)
def test_a_second_is_saturated_by_want_of_cpu_or_by_a_loop_that_is_held(
    cpu_percent: float, lag_ms: float, waited_percent: float, saturated: bool
) -> None:
    assert is_saturated(Pulse(1.0, cpu_percent, lag_ms, waited_percent=waited_percent)) is saturated


@pytest.mark.parametrize(
    ("saturated_s", "seconds", "bottleneck"),
    [(0, 0, False), (1, 1, False), (1, 5, False), (2, 5, True), (2, 20, False), (3, 30, False), (4, 30, True)],
)
def test_a_few_saturated_seconds_are_forgiven(saturated_s: int, seconds: int, bottleneck: bool) -> None:
    assert is_bottleneck(SelfCheck(seconds, saturated_s)) is bottleneck


def test_a_stage_has_the_pulses_of_its_own_seconds() -> None:
    pulses = [Pulse(at + 0.04, 10.0 * at, at) for at in range(1, 8)]
    check = self_check(pulses, 2.0, 5.0, NAN)
    assert check.seconds == pytest.approx(3)
    assert check.lag_ms == 5.0
    assert check.cpu_percent == pytest.approx((0.04 * 20 + 30 + 40 + 0.96 * 50) / 3)


def test_a_loop_that_is_held_over_several_stages_is_so_in_each() -> None:
    pulses = [Pulse(1.0, 5.0, 1.0), Pulse(9.0, 5.0, 7900.0, 8.0), Pulse(10.0, 5.0, 1.0)]
    checks = [self_check(pulses, began, ended, NAN) for began, ended in ((0, 4), (4, 6), (6, 10))]
    assert [(check.seconds, check.saturated_s) for check in checks] == [(4, 3), (2, 2), (4, 3)]
    assert all(map(is_bottleneck, checks))
    assert clipped(pulses[1], 0.0, 6.0) == Pulse(6.0, 5.0, 7900.0, 5.0)


def test_a_held_loop_counts_for_as_long_as_it_took_no_pulse() -> None:
    pulses = [Pulse(4.2, 30.0, 3900.0, 4.2), Pulse(5.0, 5.0, 1.0, 0.8), Pulse(6.0, 5.0, 1.0)]
    check = self_check(pulses, 0.0, 6.0, NAN)
    assert check.seconds == pytest.approx(6.0)
    assert check.saturated_s == 4.2
    assert is_bottleneck(check)
    assert saturated_seconds(pulses) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("at_s", "lasted_s", "marked"),
    [(5.4, 0.4, {5}), (5.0, 0.3, {4}), (5.9, 0.3, {5}), (5.05, 1.0, {4}), (0.2, 0.2, {0})],
)
def test_a_pulse_that_is_saturated_marks_the_second_that_it_is_about(
    at_s: float, lasted_s: float, marked: set[int]
) -> None:
    assert saturated_seconds([Pulse(at_s, 95.0, 1.0, lasted_s)]) == marked


def test_the_effort_of_stopping_is_not_the_stages() -> None:
    pulses = [Pulse(1.0, 4.0, 1.0), Pulse(2.001, 4.0, 1.0, 1.001), Pulse(2.05, 99.0, 40.0, 0.05)]
    check = self_check(pulses, 0.0, 2.0, NAN)
    assert (check.saturated_s, check.lag_ms) == (0, 1.0)


def test_of_several_processes_the_worst_one_tells() -> None:
    pulses = [
        Pulse(at, cpu, 0.0, process=process) for at in (1.0, 2.0) for process, cpu in ((0, 3.0), (1, 95.0), (2, 80.0))
    ]
    check = self_check(pulses, 0.0, 2.0, NAN)
    assert (check.seconds, check.saturated_s, check.cpu_percent) == (2, 2, 95.0)


def test_what_others_use_is_what_generator_and_service_do_not() -> None:
    pulses = [Pulse(at, 40.0, 0.0, busy_percent=150.0, process=process) for at in (1.0, 2.0) for process in (1, 2)]
    assert self_check(pulses, 0.0, 2.0, 30.0).others_percent == 40
    assert self_check(pulses, 0.0, 2.0, 90.0).others_percent == 0
    assert math.isnan(self_check(pulses, 0.0, 2.0, NAN).others_percent)


def test_what_a_system_does_not_say_is_left_open() -> None:
    check = self_check([Pulse(1.0, 5.0, 1.0)], 0.0, 1.0, 10.0)
    assert all(map(math.isnan, (check.others_percent, check.steal_percent, check.stalled_percent)))


def ran(at_s: float, process: int, users: int, lasted_s: float = 1.0) -> Pulse:
    return Pulse(at_s, 5.0, 1.0, lasted_s, process=process, users=users)


@pytest.mark.parametrize("heard_s", [1.9, 2.0, 2.2])
def test_users_are_of_the_stage_in_which_they_ran_whenever_a_worker_hears_of_it(heard_s: float) -> None:
    here = [ran(1.02, 1, 50), ran(2.001, 1, 50), ran(3.0, 1, 5)]
    there = [ran(1.05, 2, 40), ran(heard_s, 2, 50, heard_s - 1.05), ran(3.0, 2, 6, 3.0 - heard_s)]
    assert [most_users([*there, *here], *stage) for stage in ((0.0, 2.0), (2.0, 3.0))] == [100, 11]


def test_a_worker_that_is_held_at_the_end_of_a_ramp_ran_its_users_beside_the_others() -> None:
    pulses = [ran(1.03, 1, 2), ran(2.03, 1, 4), ran(2.4, 1, 5, 0.37), ran(1.03, 2, 2), ran(2.6, 2, 5, 1.57)]
    assert most_users(pulses, 0.0, 2.4) == 10


def test_users_that_a_lost_worker_had_are_not_counted_beside_those_who_took_their_place() -> None:
    pulses = [ran(1.0, 1, 5), ran(1.0, 2, 5), ran(2.0, 1, 5), ran(3.0, 1, 10)]
    assert most_users(pulses, 0.0, 3.0) == 10


def test_a_worker_that_was_held_for_seconds_ran_its_users_in_all_of_them() -> None:
    assert most_users([ran(1.0, 1, 5), ran(2.0, 1, 5), ran(3.0, 1, 7), ran(3.0, 2, 5, 3.0)], 0.0, 3.0) == 12


def test_without_pulses_there_is_nothing_to_check() -> None:
    assert self_check([], 0.0, 5.0, 10.0).seconds == 0
