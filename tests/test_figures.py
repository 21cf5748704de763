from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import records

from pytest_loadperf.measure.summary import alone, endpoint_of, measured, summary_of
from pytest_loadperf.model import Pulse, Sample, ServiceEvent, Summary, Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord
from pytest_loadperf.report.distribution import Distribution, distribution
from pytest_loadperf.report.figures import Figure, over_time
from pytest_loadperf.report.timeline import seconds_of, stretches, usage_of
from pytest_loadperf.result import LoadResult

DOCKER = records.load().service


def trial_of(*windows: Window, samples: Sequence[Sample] = (), duration: str = "4s") -> Trial:
    whole = records.trial([Stage("rush", users=5, duration=duration)], series=False)
    return replace(whole, windows=windows, samples=tuple(samples))


def at(second: int, *times: float, stage: int = 0, endpoint: str = "/", users: int = 5) -> Window:
    return records.window(second, stage, "GET", endpoint, users, times)


def by_title(trial: Trial) -> dict[str, Figure]:
    return {figure.title: figure for figure in over_time(trial, DOCKER)}


def titles(svg: str) -> list[str]:
    return [title.text or "" for title in ElementTree.fromstring(svg).iter("title")]


class TestSeconds:
    def test_windows_of_one_second_are_merged_whatever_their_endpoint_or_order(self) -> None:
        one, two, three = at(0, 10, 20), at(0, 30, 40, endpoint="/cart"), at(0, 50, users=7)
        (second,) = seconds_of(trial_of(three, one, two))
        assert (second.rps, second.users) == (5, 7)
        assert round(second.p50_ms) == 30
        assert round(second.p99_ms) == 50

    def test_what_was_sent_after_the_last_stage_is_left_out(self) -> None:
        assert len(seconds_of(trial_of(at(0, 10), at(9, 10, stage=-1)))) == 1

    def test_a_second_without_requests_is_a_gap_in_latency_and_zero_in_throughput(self) -> None:
        _, silent, _ = seconds_of(trial_of(at(0, 10), at(2, 10)))
        assert math.isnan(silent.p95_ms)
        assert math.isnan(silent.users)
        assert silent.rps == 0

    def test_the_rate_of_a_last_second_that_was_cut_short_is_that_of_its_part(self) -> None:
        *_, last = seconds_of(trial_of(at(0, 1), at(1, 1, 1, 1), duration="1.5s"))
        assert last.rps == 6

    def test_a_last_second_that_hardly_was_has_no_rate(self) -> None:
        *_, last = seconds_of(trial_of(at(0, 1), at(1, 1), duration="1.1s"))
        assert math.isnan(last.rps)

    def test_a_window_of_several_seconds_tells_of_each_of_them(self) -> None:
        long = replace(at(0, *[10.0] * 12), seconds=3)
        *stretch, newest = seconds_of(trial_of(long, at(3, 20, 20)))
        assert [(second.at, second.rps, round(second.p50_ms)) for second in stretch] == [
            (0, 4, 10),
            (1, 4, 10),
            (2, 4, 10),
        ]
        assert (newest.at, newest.rps) == (3, 2)

    def test_stages_end_where_the_next_one_begins(self) -> None:
        found = [(stretch.stage.name, stretch.start, stretch.end) for stretch in stretches(records.trial())]
        assert found == [("warm-up", 0, 5), ("rush", 5, 20), ("peak", 20, 30)]


class TestUsage:
    def test_is_the_least_the_mean_and_the_most_of_the_replicas(self) -> None:
        (usage,) = usage_of(trial_of(samples=[Sample(1.0, 0, 20.0, 100), Sample(1.1, 1, 60.0, 300)]))
        assert usage.cpu_percent == (20, 40, 60)
        assert usage.memory_bytes == (100, 200, 300)

    def test_is_that_of_the_second_which_the_sample_ended(self) -> None:
        samples = [Sample(1.001, 0, 1.0, 1), Sample(1.99, 0, 2.0, 1), Sample(3.3, 0, 3.0, 1)]
        found = [(usage.at, usage.cpu_percent[1]) for usage in usage_of(trial_of(samples=samples))]
        assert found == [(0, 1), (1, 2), (2, 3)]

    def test_two_samples_of_one_replica_in_one_second_are_one(self) -> None:
        (usage,) = usage_of(trial_of(samples=[Sample(0.6, 0, 20.0, 100), Sample(1.4, 0, 40.0, 300)]))
        assert usage.cpu_percent == (30, 30, 30)

    def test_samples_outside_the_load_are_left_out(self) -> None:
        assert usage_of(trial_of(samples=[Sample(0.1, 0, 1.0, 1), Sample(4.6, 0, 1.0, 1)])) == []


class TestFiguresOverTime:
    def test_show_how_busy_the_generator_was_and_mark_saturated_seconds(self) -> None:
        calm, busy = Pulse(1.0, 12.0, 1.0), Pulse(2.02, 97.5, 1.0, process=1)
        (figure,) = (
            figure
            for figure in over_time(replace(records.trial(), pulses=(calm, replace(calm, process=1), busy)), DOCKER)
            if figure.title == "Load generator CPU"
        )
        assert [label for _, label in figure.legend] == ["busiest process", "saturated"]
        assert "1 s\nbusiest process 97.5%\nsaturated 100%" in titles(figure.svg)

    def test_show_latency_throughput_users_cpu_and_memory_on_one_time_axis(self) -> None:
        figures = over_time(records.trial(), DOCKER)
        assert [figure.title for figure in figures] == [
            "Latency",
            "Requests and failures a second",
            "Users",
            "Service CPU",
            "Service memory",
        ]
        axes = [re.findall(r">(\d+ s)<", figure.svg) for figure in figures]
        assert axes == [["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]] * 5

    def test_name_the_stages_and_shade_the_one_that_is_not_measured(self) -> None:
        latency = by_title(records.trial())["Latency"].svg
        assert [text for text in ("warm-up (not measured)", "rush", "peak") if f">{text}<" in latency] == [
            "warm-up (not measured)",
            "rush",
            "peak",
        ]
        assert latency.count('fill="#808080"') == 1

    def test_tell_the_numbers_of_a_second_to_whoever_points_at_it(self) -> None:
        figures = by_title(trial_of(at(0, 10), at(1, 10, 30, 40)))
        assert "1 s\np99 40 ms\np95 40 ms\np50 30 ms" in titles(figures["Latency"].svg)
        assert "1 s\nrequests 3/s\nfailures 0/s" in titles(figures["Requests and failures a second"].svg)

    def test_mark_what_happened_to_the_containers(self) -> None:
        events = (ServiceEvent(1.5, "replica 2", "oom"),)
        latency, throughput, *_ = over_time(replace(trial_of(at(0, 10), at(1, 10)), events=events), DOCKER)
        assert [label for _, label in latency.legend][-1] == "a container event"
        assert [label for _, label in throughput.legend] == ["requests", "failures"]
        for figure in (latency, throughput):
            assert 'd="M375 0V' in figure.svg
            assert [title for title in titles(figure.svg) if title.startswith("1 s\nreplica 2 ran out of memory\n")]

    def test_tell_the_range_where_seconds_are_many(self) -> None:
        windows = [at(second, 10.0 + second) for second in range(180)]
        found = titles(by_title(trial_of(*windows, duration="3m"))["Users"].svg)
        assert "0:00 – 0:02\nusers 5" in found
        assert len(found) == 90

    def test_say_what_they_show(self) -> None:
        label = ElementTree.fromstring(by_title(trial_of(at(0, 10), at(1, 30)))["Users"].svg).get("aria-label")
        assert label == "Users. users 5; over 4 s, in stages rush."

    def test_one_second_and_one_request_are_enough(self) -> None:
        figures = by_title(trial_of(at(0, 10), duration="1s"))
        assert list(figures) == ["Latency", "Requests and failures a second", "Users"]
        assert "h0" in figures["Latency"].svg

    def test_there_are_none_where_the_series_file_is_gone(self) -> None:
        assert over_time(records.trial(series=False), DOCKER) == []

    def test_a_load_that_never_got_to_a_stage_has_none(self) -> None:
        assert over_time(replace(records.trial(), stages=(), windows=(), samples=()), DOCKER) == []

    def test_samples_alone_are_drawn(self) -> None:
        assert list(by_title(replace(records.trial(), windows=()))) == ["Service CPU", "Service memory"]

    def test_latencies_far_apart_get_a_logarithmic_axis(self) -> None:
        far = by_title(trial_of(at(0, 1), at(1, 900)))["Latency"]
        assert far.note == "logarithmic axis"
        assert ">100 ms<" in far.svg
        assert by_title(trial_of(at(0, 100), at(1, 900)))["Latency"].note == ""

    def test_limits_of_the_service_are_drawn(self) -> None:
        figures = by_title(records.trial())
        assert ">limit 100%<" in figures["Service CPU"].svg
        assert ">limit 256 MiB<" in figures["Service memory"].svg

    def test_a_limit_far_above_what_was_used_is_named_instead(self) -> None:
        roomy = replace(DOCKER, limits={"cpus": "64", "memory": "64g"})
        cpu, memory = over_time(replace(records.trial(), windows=()), roomy)
        assert (cpu.note, memory.note) == ("limit 6400%, beyond the chart", "limit 64 GiB, beyond the chart")

    def test_limits_that_are_not_there_or_not_readable_are_left_out(self) -> None:
        for limits in ({}, {"cpus": "many", "memory": "much"}):
            figures = over_time(records.trial(), replace(DOCKER, limits=limits))
            assert not [figure for figure in figures if "limit" in figure.svg + figure.note]

    def test_several_replicas_are_a_mean_and_a_band(self) -> None:
        one, two = by_title(records.trial()), by_title(records.trial(replicas=2))
        assert one["Service CPU"].legend == ()
        assert [label for _, label in two["Service CPU"].legend] == [
            "mean of the replicas",
            "from the least to the most busy replica",
        ]


class TestNumbers:
    def test_are_those_of_the_summaries(self) -> None:
        load = records.load("x", records.trial(seed=1), records.trial(seed=2))
        for endpoint in (None, "GET /search", "/cart"):
            whole, quick = summary_of(load), measured(load, endpoint=endpoint)
            assert whole is not None
            whole = whole if endpoint is None else endpoint_of(whole, endpoint)
            assert whole is not None
            assert alone(quick) == alone(whole)

    def test_of_an_endpoint_that_was_not_seen_are_empty(self) -> None:
        assert measured(records.load(), endpoint="GET /nothing").requests == 0


class TestDistribution:
    def of(self, before: Sequence[LoadRecord] = (), other_build: str = "") -> Distribution:
        return distribution(LoadResult.of(records.load()), before, other_build)

    def test_lists_the_percentiles_that_apache_bench_prints(self) -> None:
        result = LoadResult.of(records.load())
        table = self.of().table
        assert [row.percent for row in table] == [50, 66, 75, 80, 90, 95, 98, 99, 100]
        assert [row.now_ms for row in table] == [result.percentile_ms(row.percent) for row in table]

    def test_stands_beside_the_median_of_the_baseline(self) -> None:
        earlier = [load for run in records.history(3) for load in run.loads]
        found = self.of(earlier)
        p95 = next(row for row in found.table if row.percent == 95)
        assert p95.before_ms == sorted(load.p95_ms for load in map(measured, earlier))[1]
        assert found.curve is not None
        assert [label for _, label in found.curve.legend] == ["this run", "median of the 3 runs compared with"]

    def test_stands_beside_the_other_build_by_its_name(self) -> None:
        curve = self.of([records.load()], "git:main").curve
        assert curve is not None
        assert [label for _, label in curve.legend] == ["this run", "git:main"]

    def test_without_a_baseline_there_is_one_curve(self) -> None:
        curve = self.of().curve
        assert curve is not None
        assert [label for _, label in curve.legend] == ["this run"]
        assert [tick for tick in ("50%", "90%", "99%", "99.9%") if f">{tick}<" in curve.svg] == [
            "50%",
            "90%",
            "99%",
            "99.9%",
        ]

    def test_a_few_requests_have_no_curve(self) -> None:
        summary = Summary(duration_s=1, requests=2, min_ms=1, max_ms=2, histogram=at(0, 1, 2).histogram)
        assert distribution(summary, ()).curve is None
        assert distribution(Summary(duration_s=1), ()).curve is None
