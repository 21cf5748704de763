"""What several processes tell of a load, put together."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_loadperf.generator.ends import together
from pytest_loadperf.generator.names import Names
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.generator.seconds import Seconds
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import ArrivalRecord, Pulse, Window


def window(second: int, *latencies_ms: float, endpoint: str = "ask", users: int = 1, error: str = "") -> Window:
    histogram = Histogram()
    histogram.add(*latencies_ms)
    count = len(latencies_ms)
    errors = {error: count} if error else {}
    extremes = (sum(latencies_ms), min(latencies_ms), max(latencies_ms))
    return Window(second, 0, "GET", endpoint, users, count, count * bool(error), 7, *extremes, histogram, {}, errors)


def second(at_s: float, *windows: Window, users: int = 1, busy: float = 50.0) -> Second:
    return Second(at_s, users, windows, (Pulse(at_s, 10.0, 1.0, busy_percent=busy),))


class Told(Seconds):
    """What was told by two workers, the second of them on another machine."""

    def __init__(self, *secrets: str) -> None:
        self.all: list[Second] = []
        super().__init__(Names(secrets), self.all.append)
        self.join(1)
        self.join(2, elsewhere=True)


def test_a_second_is_told_when_all_have_told_of_it_with_the_users_of_all() -> None:
    told = Told()
    told.add(1, second(1.01, window(0, 1.0, 5.0), users=3), {0: 3, 1: 3})
    assert told.all == []
    told.add(2, second(1.2, window(0, 3.0), users=2), {0: 2, 1: 2})
    (whole,) = told.all
    assert (whole.at_s, whole.users) == (1.2, 5)
    assert [made.users for made in whole.windows] == [5, 5]
    collector = Collector()
    collector.add(whole.windows)
    (merged,) = collector.windows()
    both = Histogram()
    both.add(1.0, 5.0, 3.0)
    assert (merged.requests, merged.sum_ms, merged.min_ms, merged.max_ms, merged.bytes) == (3, 9.0, 1.0, 5.0, 14)
    assert merged.histogram == both


def test_pulses_bear_the_number_of_their_process_and_other_machines_are_not_ours() -> None:
    told = Told()
    told.add(1, second(1.0), {})
    told.add(2, second(1.0), {})
    assert [(pulse.process, pulse.busy_percent) for pulse in told.all[0].pulses] == [
        (1, 50.0),
        (2, pytest.approx(math.nan, nan_ok=True)),
    ]


def test_nobody_waits_for_one_that_is_held_up_or_lost() -> None:
    told = Told()
    told.add(1, second(1.0, window(0, 1.0)), {0: 1})
    told.add(1, second(2.0, window(1, 1.0)), {1: 1})
    assert [len(whole.windows) for whole in told.all] == [1]
    told.leave(2)
    assert [len(whole.windows) for whole in told.all] == [1, 1]
    told.add(1, second(3.0, window(2, 1.0)), {2: 1})
    assert len(told.all) == 3
    assert (told.requests[1], told.requests[2]) == (3, 0)


def test_a_late_window_has_the_users_of_its_own_second() -> None:
    told = Told()
    for at, users in ((0, 1), (1, 4)):
        for number in (1, 2):
            told.add(number, second(at + 1.0, users=users), {at: users})
    told.add(1, second(3.0, window(0, 1500.0)), {2: 9})
    told.add(2, second(3.0), {2: 9})
    assert [made.users for made in told.all[-1].windows] == [2]


def test_what_workers_were_not_told_to_hide_is_hidden() -> None:
    told = Told("geheim")
    told.leave(2)
    told.add(1, second(1.0, window(0, 1.0, endpoint="/geheim", error="no geheim")), {})
    (made,) = told.all[0].windows
    assert (made.endpoint, made.errors) == ("/***", {"no ***": 1})


def test_ends_are_added_up() -> None:
    late = Histogram()
    late.add(4.0)
    arrivals = ArrivalRecord(due=10, started=9, waiting=1, lasted_s=2.0, late=late)
    one = End(3.0, 5, 1, 6, 1, unanswered=1, user_errors={"a": 1}, faults=("x",), arrivals=(None, arrivals))
    one = replace(one, unfinished_users=3, unseen_users=2)
    other = replace(one, user_errors={"a": 2, "b": 1}, faults=("x", "y"))
    none = End(3.0, 0, 0, 0, 0)
    whole = together([none, one, other], 3.5)
    assert whole == End(
        3.5,
        10,
        2,
        12,
        2,
        unanswered=2,
        unfinished_users=6,
        unseen_users=4,
        user_errors={"a": 3, "b": 1},
        faults=("x", "y"),
        arrivals=(None, ArrivalRecord(20, 18, 2, 2.0, late=Histogram.merged([late, late]))),
    )
