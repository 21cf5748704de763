from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.plan import Stage


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"duration": "5s"}, "Stage: it has neither users nor rate; give users=50 or rate='200/s', for instance"),
        ({"users": 5}, "Stage: it has no duration; give duration='30s', for instance"),
        ({"users": 0, "duration": "5s"}, "Stage: users is 0; expected a whole number from 1"),
        ({"users": 1.5, "duration": "5s"}, "Stage: users is 1.5; expected a whole number from 1"),
        ({"users": 1, "duration": "0s"}, "Stage: duration is '0s'; expected more than zero"),
        (
            {"users": 1, "duration": "-5s"},
            "Stage: duration is '-5s'; expected a duration with its unit, such as '30s', '1m30s' or '500ms'",
        ),
        (
            {"users": 1, "duration": 30},
            "Stage: duration is 30; expected a duration with its unit, such as '30s', '1m30s' or '500ms'",
        ),
        (
            {"users": 1, "duration": "5s", "spawn_rate": 0},
            "Stage: spawn_rate is 0; expected users a second, more than zero",
        ),
        (
            {"rate": "200/s", "users": 5, "duration": "5s"},
            "Stage: users and spawn_rate do not go with rate, which takes as many users as it needs, up to max_users",
        ),
        ({"users": 5, "max_users": 9, "duration": "5s"}, "Stage: max_users goes with rate only"),
        (
            {"rate": "200/s", "max_users": 0, "duration": "5s"},
            "Stage: max_users is 0; expected a whole number from 1",
        ),
        (
            {"rate": "200", "duration": "5s"},
            "Stage: rate is '200'; expected a rate such as '200/s' or '90/min', or a ramp such as '50/s to 200/s'",
        ),
        (
            {"rate": "1/min", "duration": "5s"},
            "Stage: rate is '1/min', at which nobody arrives in 5 s; expected a rate such as '200/s' or '90/min', or a "
            "ramp such as '50/s to 200/s'",
        ),
        ({"users": 1, "requests": 0}, "Stage: requests is 0; expected a whole number from 1"),
        ({"users": 1, "requests": -5}, "Stage: requests is -5; expected a whole number from 1"),
        ({"users": 1, "requests": 1e4}, "Stage: requests is 10000.0; expected a whole number from 1"),
        (
            {"users": 200, "requests": 100},
            "Stage: requests is 100, which 200 users can't share; expected one for each at least",
        ),
        (
            {"rate": "200/s", "requests": 100, "duration": "5s"},
            "Stage: requests does not go with rate, which says with duration how many arrive",
        ),
        (
            {"users": 1, "requests": 9, "duration": ""},
            "Stage: duration is ''; expected a duration with its unit, such as '30s', '1m30s' or '500ms'",
        ),
        (
            {"name": "rush", "users": 0},
            "Stage('rush'): users is 0; expected a whole number from 1; it has no duration; "
            "give duration='30s', for instance",
        ),
    ],
)
def test_a_stage_that_can_not_be_run_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        Stage(**given)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("1.5min", 90)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert Stage(users=1, duration=text).duration_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"users": 1}, "1 user"),
        ({"users": 60}, "60 users"),
        ({"rate": "200/s"}, "200/s by up to 200 users"),
        ({"rate": "3/s to 5.5/s"}, "3/s to 5.5/s by up to 10 users"),
        ({"rate": "90/min", "max_users": 50}, "90/min by up to 50 users"),
    ],
)
def test_a_stage_says_its_size(given: dict[str, Any], size: str) -> None:
    assert Stage(**given, duration="10s").size == size


@pytest.mark.parametrize(
    ("given", "extent"),
    [
        ({"duration": "1m30s"}, "90 s"),
        ({"requests": 10_000}, "10000 requests, 600 s at most"),
        ({"requests": 1, "duration": "30s"}, "1 request, 30 s at most"),
    ],
)
def test_a_stage_says_how_long_it_goes_on(given: dict[str, Any], extent: str) -> None:
    assert Stage(users=1, **given).extent == extent


def test_requests_are_shared_to_the_last_one() -> None:
    assert [Stage(users=4, requests=11).share(index, 4) for index in range(4)] == [3, 3, 3, 2]


def test_a_smoke_run_shrinks_users_rate_requests_and_time() -> None:
    assert Stage(users=60, duration="30s").scaled(0.1) == Stage(users=6, duration="3.000s")
    assert Stage(users=60, requests=500).scaled(0.1) == Stage(users=6, requests=50, duration="60.000s")
    assert Stage(users=9, requests=9).scaled(0.001) == Stage(users=1, requests=1, duration="1.000s")
    scaled = Stage(rate="50/s to 200/s", max_users=40, duration="30s").scaled(0.1)
    assert scaled == Stage(rate="5/s to 20/s", max_users=4, duration="3.000s")


@given(st.floats(1e-4, 1e4), st.floats(0, 1e4), st.integers(1, 3600), st.floats(1e-4, 1))
def test_a_smoke_run_has_an_arrival_at_least(start: float, end: float, seconds: int, factor: float) -> None:
    try:
        stage = Stage(rate=f"{start:.6f}/s to {end:.6f}/s", duration=f"{seconds}s")
    except UsageFault:
        return
    schedule = stage.scaled(factor).schedule
    assert schedule is not None
    assert schedule.count >= 1
