"""Readings made into samples."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_loadperf.model import Sample
from pytest_loadperf.service.sampler import Reading, sampled
from pytest_loadperf.service.stats import StatsMeter, reading_of


class Steady:
    """A replica that uses as much of a core all the time."""

    def __init__(self, cores: float, memory_bytes: int = 1000) -> None:
        self._cores = cores
        self._memory_bytes = memory_bytes

    def begin(self) -> Reading | None:
        now = time.monotonic()
        return Reading(now, now * self._cores, self._memory_bytes)

    latest = begin


class Scripted:
    """Gives readings one after the other, and the last one for ever."""

    def __init__(self, *readings: Reading | None) -> None:
        self._readings = list(readings)

    def begin(self) -> Reading | None:
        return self._readings.pop(0)

    def latest(self) -> Reading | None:
        return self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]


def samples_of(*readings: Reading | None) -> list[Sample]:
    """The samples that a replica's readings give, on a clock that began at 100."""
    with sampled({0: Scripted(*readings)}, 100.0, every_s=0.005) as samples:
        time.sleep(0.005 * len(readings) + 0.1)
    return samples


def test_every_replica_has_a_sample_for_every_second_and_for_the_rest() -> None:
    with sampled({0: Steady(0.5), 1: Steady(2.0, 5000)}, time.monotonic()) as samples:
        time.sleep(1.4)

    assert [(sample.replica, round(sample.at_s, 1)) for sample in samples] == [(0, 1.0), (1, 1.0), (0, 1.4), (1, 1.4)]
    assert [round(sample.cpu_percent) for sample in samples] == [50, 200, 50, 200]
    assert [sample.memory_bytes for sample in samples] == [1000, 5000, 1000, 5000]


def test_samples_stand_at_whole_seconds_of_the_load_also_when_sampling_began_later() -> None:
    with sampled({0: Steady(1.0)}, time.monotonic() - 0.6) as samples:
        time.sleep(0.6)

    assert samples[0].at_s == pytest.approx(1.0, abs=0.05)


def test_replicas_come_and_go() -> None:
    meters = {0: Steady(0.5)}
    with sampled(meters, time.monotonic(), every_s=0.25, patience_s=5) as samples:
        time.sleep(0.4)
        meters[1] = Steady(2.0)
        time.sleep(0.5)
        del meters[0]
        time.sleep(0.3)
        ended = time.monotonic()

    assert time.monotonic() - ended < 1  # nobody waits for the one that went
    seen = [(sample.replica, round(sample.at_s * 4)) for sample in samples]
    assert seen[:5] == [(0, 1), (0, 2), (0, 3), (1, 3), (1, 4)]
    assert seen[5:] in ([], [(1, 5)])  # of the rest, unless the last sample came so late that there is none
    assert {(sample.replica, round(sample.cpu_percent)) for sample in samples} == {(0, 50), (1, 200)}


def test_a_reading_that_came_early_counts_into_the_next() -> None:
    samples = samples_of(Reading(100, 0.0, 1), Reading(100.1, 0.1, 2), Reading(101, 0.5, 3))

    assert samples == [Sample(1.0, 0, 50.0, 3)]


def test_a_reading_seen_twice_is_one_sample() -> None:
    same = Reading(101, 0.5, 3)

    assert samples_of(Reading(100, 0.0, 1), same, same, same) == [Sample(1.0, 0, 50.0, 3)]


def test_without_a_first_reading_the_second_one_begins() -> None:
    samples = samples_of(None, None, Reading(101, 4.0, 1), Reading(102, 4.25, 2))

    assert samples == [Sample(2.0, 0, 25.0, 2)]


def test_cpu_time_that_went_away_with_a_process_counts_as_none() -> None:
    samples = samples_of(Reading(100, 5.0, 1), Reading(101, 4.0, 1), Reading(102, 4.5, 1))

    assert [sample.cpu_percent for sample in samples] == [0.0, 50.0]


def test_a_meter_that_hangs_does_not_hold_the_end_of_the_load() -> None:
    released = threading.Event()

    class Hanging(Steady):
        def latest(self) -> Reading | None:
            released.wait(5)
            return None

    with sampled({0: Hanging(1.0)}, time.monotonic()):
        ended = time.monotonic()
    assert time.monotonic() - ended < 0.2
    released.set()


def test_the_end_of_a_load_waits_for_a_meter_with_a_beat_of_its_own_and_no_longer() -> None:
    began = time.monotonic() - 1.0

    class Beating(Steady):
        def begin(self) -> Reading | None:
            return Reading(began, 10.0, 1)

        def latest(self) -> Reading | None:
            now = time.monotonic()
            return Reading(began, 10.0, 1) if now < began + 1.2 else Reading(now, 10.5, 2)

    with sampled({0: Beating(0.0)}, began, every_s=0.25, patience_s=5) as samples:
        pass
    ended = time.monotonic()

    assert ended - began < 1.4
    (sample,) = samples
    assert (round(sample.at_s, 1), round(sample.cpu_percent), sample.memory_bytes) == (1.0, 50, 2)


def answer(usage: int, **memory: int) -> dict[str, object]:
    return {
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "memory_stats": {"usage": usage, "stats": memory},
    }


@pytest.mark.parametrize(
    ("memory", "expected"),
    [({"inactive_file": 300}, 700), ({"total_inactive_file": 200, "inactive_file": 50}, 800), ({}, 1000)],
    ids=["cgroup v2", "cgroup v1", "neither"],
)
def test_files_that_were_read_once_are_not_the_containers_memory(memory: dict[str, int], expected: int) -> None:
    reading = reading_of(answer(1000, **memory))

    assert reading is not None
    assert (reading.cpu_s, reading.memory_bytes) == (2.5, expected)


def test_the_statistics_of_a_container_that_ended_are_no_reading() -> None:
    assert reading_of({"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}) is None


def test_between_two_answers_of_the_engine_a_container_is_taken_to_go_on_as_before() -> None:
    meter = StatsMeter.__new__(StatsMeter)  # without its thread: what was heard is given here
    now = time.monotonic()
    meter._heard = (Reading(now - 1.5, 10.0, 1), Reading(now - 0.5, 10.4, 2))
    begun = meter.begin()

    assert begun is not None
    assert begun.cpu_s == pytest.approx(10.6, abs=0.01)
    assert begun.at == pytest.approx(now, abs=0.02)
    assert meter.latest() == Reading(now - 0.5, 10.4, 2)
