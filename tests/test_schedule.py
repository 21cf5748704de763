"""When arrivals are due."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.schedule import Schedule

RATES = st.floats(0, 500).map(lambda rate: f"{rate:.3f}/s")


def test_a_steady_rate_has_even_gaps() -> None:
    schedule = Schedule.parse("4/s", 2)
    assert list(schedule.due()) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]


def test_rates_may_count_by_minute_and_hour() -> None:
    assert Schedule.parse("90/min", 10).start_rate == 1.5
    assert Schedule.parse("7200/h", 10).start_rate == 2


@pytest.mark.parametrize(
    "rate", ["200", "200/d", "-1/s", "1/s to", "1/s to 2/s to 3/s", "", 200, None, "0/s", "0.01/s"]
)
def test_what_is_no_rate_is_refused(rate: object) -> None:
    with pytest.raises(UsageFault, match=r"^rate is .*expected a rate such as '200/s' or '90/min', or a ramp such as"):
        Schedule.parse(rate, 5)


@given(RATES, RATES, st.floats(1, 60))
def test_a_ramp_has_as_many_arrivals_before_any_moment_as_the_area_below_its_rate(
    start: str, end: str, lasts_s: float
) -> None:
    try:
        schedule = Schedule.parse(f"{start} to {end}", lasts_s)
    except UsageFault:
        return
    due = list(schedule.due())
    assert len(due) == schedule.count
    assert all(one <= other for one, other in pairwise(due))
    for number, moment in enumerate(due):
        area = schedule.start_rate * moment + (schedule.end_rate - schedule.start_rate) / lasts_s * moment**2 / 2
        assert area == pytest.approx(number, abs=1e-3)
        assert 0 <= moment <= lasts_s
