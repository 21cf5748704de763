from __future__ import annotations

from typing import Any

import pytest

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.plan import Stage


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"duration": "5s"}, "Stage: it has neither users nor rate; give users=50, for instance"),
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
            {"rate": "200/s", "duration": "5s"},
            "Stage: open-model stages (rate=) come with the next release; give users= instead",
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
