"""What a trial keeps of its windows: seconds of the newest part, and longer and longer stretches of a long stage."""

from __future__ import annotations

import random

import pytest
import records

from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.measure.summary import summarise, with_effects
from pytest_loadperf.model import Window

NAMES = ("/", "/search")


def window(second: int, *times: float, stage: int = 0, endpoint: str = "/") -> Window:
    return records.window(second, stage, "GET", endpoint, 1 + second % 7, times or [5.0, second % 50 + 1.0])


def told(seconds: range, *stages: int) -> list[Window]:
    """What a generator tells of these seconds."""
    return [window(second, stage=stage, endpoint=name) for second in seconds for stage in stages for name in NAMES]


def collected(*windows: Window) -> Collector:
    collector = Collector()
    for each in windows:
        collector.add([each])
    return collector


def test_a_second_may_be_told_in_thousands_of_parts() -> None:
    (whole,) = collected(*(window(0, 5.0) for _ in range(2_000))).windows()
    assert whole.requests == whole.histogram.total == 2_000


def test_ten_minutes_are_kept_by_the_second() -> None:
    windows = told(range(600), 0)
    assert collected(*windows).windows() == tuple(windows)


@pytest.mark.parametrize(("lasts", "longest"), [(601, 2), (1_000, 2), (3_600, 8), (60_000, 128)])
def test_of_longer_stages_all_but_the_newest_part_is_put_together(lasts: int, longest: int) -> None:
    windows = told(range(lasts), 0)
    kept = collected(*windows).windows()
    assert len(kept) <= (600 + 120 + longest) * len(NAMES)
    assert kept[0].seconds == longest
    assert [each.seconds for each in kept[-120 * len(NAMES) :]] == [1] * 120 * len(NAMES)
    for name in NAMES:
        spans = [(each.second, each.second + each.seconds) for each in kept if each.endpoint == name]
        assert [begin for begin, _ in spans] == [0, *(end for _, end in spans[:-1])]  # no gap, and nothing twice
        assert spans[-1][1] == lasts
    for count in ("requests", "failures", "bytes", "sum_ms"):
        assert sum(getattr(each, count) for each in kept) == sum(getattr(each, count) for each in windows)
    assert kept[0].users == min(7, longest)
    assert kept[0].status_codes["200"] == kept[0].requests == 2 * longest


def test_the_numbers_of_a_long_stage_are_the_same() -> None:
    windows = told(range(3_600), 0)
    known, whole = collected(*windows).stage(0, 3600.0), with_effects(summarise(windows, 3600.0), windows, 0.0)
    assert known.percentiles_ms((50, 95, 99)) == whole.percentiles_ms((50, 95, 99))
    assert (known.requests, known.status_codes) == (whole.requests, whole.status_codes)
    assert known.effects == pytest.approx(whole.effects, rel=0.05)


def test_a_short_stage_beside_a_long_one_keeps_its_seconds() -> None:
    kept = collected(*told(range(1_203), 0), *told(range(1_203, 1_213), 1), *told(range(1_213, 1_500), 2)).windows()
    assert {each.seconds for each in kept if each.stage} == {1}
    assert kept == tuple(sorted(kept, key=lambda each: (each.second, each.stage, each.endpoint)))
    long = [each for each in kept if each.stage == 0]
    assert max(each.second + each.seconds for each in long) == 1_203


def test_an_answer_that_comes_very_late_is_counted_where_its_request_was_sent() -> None:
    collector = collected(*told(range(1_000), 0), window(101, 900_000.0))
    (stretch,) = (each for each in collector.windows() if each.second == 100 and each.endpoint == "/")
    assert (stretch.seconds, stretch.requests, stretch.max_ms) == (2, 5, 900_000.0)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_told_twice_where_seconds_are_silent_and_answers_late(seed: int) -> None:
    chance = random.Random(seed)
    windows = [window(second) for second in range(4_000) if chance.random() > 0.1]
    for each in chance.sample(windows, 400):
        windows.insert(windows.index(each) + chance.randrange(130), each)  # a part of it comes later
    kept = collected(*windows).windows()
    ends = [each.second + each.seconds for each in kept]
    assert all(end <= following.second for end, following in zip(ends, kept[1:], strict=False))
    assert sum(each.requests for each in kept) == sum(each.requests for each in windows)


def test_what_is_told_before_it_is_due_changes_nothing() -> None:
    first, *others = told(range(5, 1_000), 0)
    assert collected(*others[:3], first, *others[3:]).windows() == collected(first, *others).windows()


@pytest.mark.parametrize("lasts", [10, 300])
def test_the_seconds_that_a_rule_asks_for_are_there_however_long_the_load(lasts: int) -> None:
    collector = Collector()
    for second in range(20_000):
        collector.add([window(second, 5.0)])
        asked = collector.since(second + 1 - lasts) if second >= lasts else []
    assert [each.second for each in asked] == [*range(20_000 - lasts, 20_000)]
