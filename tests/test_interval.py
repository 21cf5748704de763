from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator

import pytest

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.interval import FAILED, effects, joined, needed, shares


def queue(chance: random.Random, utilisation: float, requests: int) -> Iterator[tuple[float, float]]:
    """When each request of an M/M/1 queue with a mean service time of 1 came, and how long it took."""
    now, free = 0.0, 0.0
    for number in range(requests + 200):
        now += chance.expovariate(utilisation)
        free = max(free, now) + chance.expovariate(1.0)
        if number >= 200:  # a queue that starts empty is shorter than it will be
            yield now, free - now


def parts(timed: list[tuple[float, float]], seconds: int) -> list[tuple[int, Histogram, int]]:
    """The windows of requests that came evenly over so many seconds."""
    first, last = timed[0][0], timed[-1][0]
    found: defaultdict[int, Histogram] = defaultdict(Histogram)
    for at, took in timed:
        found[min(int((at - first) / (last - first) * seconds), seconds - 1)].add(took)
    return [(second, latencies, 0) for second, latencies in found.items()]


@pytest.mark.parametrize("utilisation", [0.3, 0.6])
def test_the_interval_of_p95_holds_the_true_one_about_95_times_of_100(utilisation: float) -> None:
    chance = random.Random(1)
    true_ms = math.log(20) / (1 - utilisation)  # sojourn times of M/M/1 are exponential
    held = 0
    for _ in range(150):
        windows = parts(list(queue(chance, utilisation, 1000)), 20)
        whole = Histogram.merged(latencies for _, latencies, _ in windows)
        low, high = shares(95, whole.total, effects(windows, 20))
        held += whole.percentile_ms(low * 100) <= true_ms <= whole.percentile_ms(min(high, 1.0) * 100)
    assert 0.85 <= held / 150 <= 0.99


def test_independent_requests_tell_nearly_what_their_number_says() -> None:
    chance = random.Random(2)
    timed = [(float(number), chance.expovariate(1.0)) for number in range(20_000)]
    assert effects(parts(timed, 30), 30)["95"] < 4


def test_requests_that_are_slow_together_tell_less() -> None:
    slow_once = [(float(number), 100.0 if 4_000 <= number < 5_000 else 1.0) for number in range(20_000)]
    scattered = [(float(number), 100.0 if number % 20 == 0 else 1.0) for number in range(20_000)]
    together, apart = effects(parts(slow_once, 20), 20)["90"], effects(parts(scattered, 20), 20)["90"]
    assert together > 300
    assert apart < 2


def test_failures_have_an_effect_of_their_own() -> None:
    latencies = Histogram()
    latencies.add(*[5.0] * 100)
    burst = [(second, latencies, 50 if second == 3 else 0) for second in range(10)]
    even = [(second, latencies, 5) for second in range(10)]
    assert effects(burst, 10)[FAILED] > 20
    assert effects(even, 10)[FAILED] == pytest.approx(1.5)


@pytest.mark.parametrize(("seconds", "at_least"), [(1, 1.5), (2, 1.5), (3, 2.27), (5, 2.27), (10, 1.5)])
def test_fewer_blocks_are_trusted_less(seconds: int, at_least: float) -> None:
    timed = [(float(number), float(number % 7)) for number in range(1000)]
    assert effects(parts(timed, seconds), seconds)["50"] == pytest.approx(at_least, abs=0.1)


def test_a_stage_without_a_request_has_no_effects_to_speak_of() -> None:
    assert set(effects([], 5).values()) == {1.0}
    assert effects([], 0) == {}


def test_the_effect_of_several_stages_is_their_mean_by_requests() -> None:
    assert joined([(300, {"95": 2.0}), (100, {"95": 6.0}), (0, {}), (50, {})]) == {"95": 3.0}
    assert joined([]) == {}


def test_a_percentile_beyond_the_slowest_request_is_not_identifiable() -> None:
    assert shares(95, 71, {})[1] == math.inf
    assert shares(95, 72, {})[1] < 1
    assert needed(95, {}) == 72
    assert shares(95, 72, {"95": 2.0})[1] == math.inf
    assert needed(95, {"95": 2.0}) == 144
    assert shares(95, 0, {}) == (0.0, math.inf)


def test_a_percentile_between_takes_the_effect_of_the_one_below() -> None:
    assert needed(99.5, {"99": 4.0, "99.9": 9.0}) == pytest.approx(4 * needed(99.5, {}), abs=4)
    assert needed(40, {"50": 2.0}) == pytest.approx(2 * needed(40, {}), abs=2)
