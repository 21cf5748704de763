from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import records
from html_page import failing, page

from pytest_loadperf.model import GeneratorRecord, SelfCheck, ServiceEvent
from pytest_loadperf.records import Acceptance, LogSlice, RunRecord


@pytest.fixture(scope="module")
def earlier() -> list[RunRecord]:
    return records.history(8)


class TestFirstScreen:
    def test_says_what_failed_and_why_then_what_is_open_then_what_passed(self, earlier: list[RunRecord]) -> None:
        shown = page(failing(), earlier)
        text = shown.text
        assert text.lstrip().startswith("✗ 1 of 3 load tests failed")
        order = [
            "✗ test_red",
            "Passed, but to look at",
            "? test_new",
            "✓ test_green[a::b]",
            "Skipped: test_later",
        ]
        assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
        assert "✗ broken p95 < 100ms 113 ms < 100 ms a fixed limit" in text
        assert (
            "✗ regressed rps > baseline - 5% 90/s > 127/s (134/s - 5%) "
            "median of 8 runs on main, newest 2026-09-04 20:00 UTC 1f83ab2" in text
        )
        assert "? no baseline p95 < baseline 124 ms < 250 ms no earlier run of this load on main" in text
        assert "Held: p99 < 1s 163 ms (with 40 requests to spare)" in text

    def test_says_how_far_p95_is_from_the_runs_before(self, earlier: list[RunRecord]) -> None:
        text = page(failing(), earlier).text
        assert re.search(
            r"p95 of rush_hour is 113 ms, \d+% (above|below) the \d+ ms of earlier runs "
            r"\(median of 8 runs on main, newest 2026-09-04 20:00 UTC \w{7}\)\.",
            text,
        )
        assert "p95 over the last 9 comparable runs, this one at the end" in text

    def test_says_what_most_likely_made_it_fail_and_since_when(self, earlier: list[RunRecord]) -> None:
        run = failing()
        failed = [replace(before, tests=run.tests) for before in earlier[6:]]
        limited = replace(run.loads[0], service=replace(run.loads[0].service, limits={"cpus": "0.1"}))
        text = page(replace(run, loads=(limited,)), [*earlier[:6], *failed]).text
        assert re.search(r"Most likely: the service was at its CPU limit in stage rush: [\d.]+% of 10%\.", text)
        assert re.search(r"Failing since 2026-09-04 08:00 UTC \w{7}: in the 3 newest comparable runs\.", text)

    def test_shows_what_the_service_wrote_and_when(self) -> None:
        run = failing()
        logs = (LogSlice("a.py::one", "<late>", "at 08:00:01 UTC"), LogSlice("a.py::two", "closed"))
        text = page(replace(run, tests=(replace(run.tests[2], service_logs=logs),))).text
        assert "What the service of one wrote at 08:00:01 UTC <late> What the service of two wrote last closed" in text
        text = page(replace(run, tests=(replace(run.tests[2], service_logs=logs[1:]),))).text
        assert "What the service wrote last closed" in text

    def test_says_why_there_is_nothing_to_compare_with(self, earlier: list[RunRecord]) -> None:
        run = failing()
        other = replace(run, loads=(replace(run.loads[0], fingerprint={"cores": "8"}),))
        assert (
            "p95 of rush_hour is 113 ms, not compared with earlier runs: no comparable run on main: "
            in page(other, earlier).text
        )

    def test_says_when_and_on_what_commit(self) -> None:
        text = page(failing()).text
        assert "3,348 requests in 1 load, 38 s, 2026-09-05 08:00 UTC, commit" in text
        assert "on main: “Change number 8”" in text

    def test_an_error_without_a_threshold_is_told_in_its_own_words(self) -> None:
        told = records.judged("test_start", "error", message="> start()\nE   ServiceError: it exited with code 3")
        run = records.run(0, [], [told])
        text = page(run).text
        assert "The load test failed" in text
        assert "ServiceError: it exited with code 3" in text
        assert "tests/test_search_perf.py::rush_hour did not come to run." in text
        assert "No load was run, so there is nothing to draw." in text

    def test_all_green_is_one_line_each(self) -> None:
        tests = [records.judged(f"test_{name}", "passed", records.verdict()) for name in "ab"]
        text = page(records.run(0, tests=tests)).text
        assert "✓ All 2 load tests passed" in text
        assert "✓ test_a p95 < 250ms 124 ms" in text

    def test_an_expected_failure_is_none(self) -> None:
        tests = [
            records.judged("test_a", "passed"),
            records.judged("test_b", "xfailed", records.verdict(status="broken")),
        ]
        text = page(records.run(0, tests=tests)).text
        assert "✓ The load test passed" in text
        assert "Failed as expected (xfail): test_b." in text


class TestLoads:
    def test_say_what_was_loaded(self) -> None:
        assert (
            "Loaded: Docker image example_service (sha256:9b2c1f0d6a7e), limited to cpus 1, memory 256m; "
            "ready after 1.3 s." in page(records.run()).text
        )

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("compose", "Compose service example_service, with no limits"),
            ("process", "local process example_service"),
            ("url", "running service example_service"),
        ],
    )
    def test_name_every_kind_of_service(self, kind: str, words: str) -> None:
        load = records.load()
        service = replace(load.service, kind=kind, digest=None, limits={}, started_in_s=None)  # type: ignore[arg-type]
        text = page(records.run(0, [replace(load, service=service)])).text
        assert f"Loaded: {words}." in text

    def test_say_that_another_backend_was_used_than_asked_for(self) -> None:
        load = records.load()
        service = replace(load.service, fallback_from="no Docker engine answered")
        text = page(records.run(0, [replace(load, service=service)])).text
        assert "Not what was asked for: no Docker engine answered." in text

    def test_list_stages_endpoints_errors_percentiles_and_status_codes(self) -> None:
        text = page(records.run()).text
        assert "rush 60 at 20/s 15s 1,512" in text
        assert "warm-up (not measured) 10 5s 90" in text
        assert "GET /search 1,116" in text
        assert re.search(r"Count Error \d+ 503 Service Unavailable", text)
        assert re.search(r"50% [\d.]+ ms 66% [\d.]+ ms .* 100% \(longest request\) [\d.]+ ms", text)
        assert re.search(r"Code Count 200 3,\d{3} 503 \d", text)

    def test_put_each_number_beside_the_median_of_the_baseline(self, earlier: list[RunRecord]) -> None:
        text = page(records.run(8), earlier).text
        assert re.search(r"p95 113 ms median \d+ ms \([+-]\d+%\)", text)
        assert "Per second 134 median 22.3/s (+500%)" in text

    def test_trials_stand_side_by_side_and_the_slowest_is_open(self) -> None:
        load = records.load("rush_hour", *(records.trial(seed=seed, slow=seed) for seed in (1, 2)))
        shown = page(records.run(0, [load]))
        assert "Trial 2 of 2 over time, the slowest: p95 2" in shown.text
        assert [("open" in details) for details in shown.all("details")][:2] == [False, True]
        assert "Trials, measured stages only" in shown.text

    def test_a_stage_shows_what_the_service_used_in_all_trials(self) -> None:
        trials = []
        for cpu_percent, memory in ((20.0, 300 * 2**20), (60.0, 100 * 2**20)):
            trial = records.trial()
            used = {"cpu_percent": cpu_percent, "memory_bytes": memory}
            trials.append(replace(trial, stages=tuple(replace(stage, **used) for stage in trial.stages)))  # type: ignore[arg-type]
        text = page(records.run(0, [records.load("rush_hour", *trials)])).text
        assert re.search(r"warm-up \(not measured\) 10 5s .*? 40% 300 MiB rush 60 at 20/s 15s .*? 40% 300 MiB", text)

    def test_a_stage_that_ends_with_its_requests_shows_how_many_were_asked_for(self) -> None:
        trial = records.trial()
        rush = replace(records.STAGES[1], requests=1_500, duration=None)
        counted = tuple(replace(made, stage=rush) if made.stage.name == "rush" else made for made in trial.stages)
        text = page(records.run(0, [records.load("rush_hour", replace(trial, stages=counted))])).text
        assert "rush 60 at 20/s 1,500 requests 1,512" in text

    def test_a_second_measurement_stands_below_the_first(self) -> None:
        slow = replace(records.load(), again=(records.trial(slow=2, series=False),))
        text = page(records.run(0, [slow])).text
        assert re.search(r"Measured again, because it looked slower than before .*? rush 60 at 20/s 15s [\d,]+ ", text)
        assert "Measured again" not in page(records.run(0, [records.load()])).text

    def test_a_service_that_could_not_be_sampled_shows_dashes(self) -> None:
        trial = records.trial()
        unseen = tuple(replace(stage, cpu_percent=math.nan, memory_bytes=0) for stage in trial.stages)
        text = page(records.run(0, [records.load("rush_hour", replace(trial, stages=unseen))])).text
        assert re.search(r"rush 60 at 20/s 15s [^–]* ms – – peak", text)

    def test_digest_and_limits_are_told_as_they_can_be_read(self) -> None:
        load = records.load()
        service = replace(
            load.service, limits={"memory": "134217728", "replicas": "2"}, digest="example.org/a@sha256:9b2"
        )
        text = page(records.run(0, [replace(load, service=service)])).text
        assert "(sha256:9b2), limited to memory 128 MiB, replicas 2;" in text

    def test_what_happened_to_the_containers_is_told_by_trial(self) -> None:
        load = records.load()
        (one,) = load.trials
        two = replace(one, events=(ServiceEvent(2.25, "replica 2", "health_status", "unhealthy"),))
        text = page(records.run(0, [replace(load, trials=(two,))])).text
        assert "Container events After Event 2.2 s replica 2 turned unhealthy" in text
        text = page(records.run(0, [replace(load, trials=(one, two))])).text
        assert "Container events When After Event trial 2 2.2 s replica 2 turned unhealthy" in text
        assert "Container events" not in page(records.run(0, [load])).text

    def test_an_accepted_change_is_told_with_its_reason(self) -> None:
        load = records.load()
        accepted = Acceptance(
            "a1", "2026-09-01T09:00:00+00:00", "encryption", (load.key,), "r1", "2026-09-01T08:00:00+00:00"
        )
        told = "A change was accepted as the new normal on 2026-09-01 09:00 UTC, from run r1 on: encryption"
        assert told in page(replace(records.run(0, [load]), accepted=(accepted,))).text
        elsewhere = replace(accepted, loads=("other",))
        assert told not in page(replace(records.run(0, [load]), accepted=(elsewhere,))).text

    def test_builds_side_by_side_stand_in_a_table_series_by_series_and_pair_by_pair(self) -> None:
        ours, theirs = (tuple(records.trial(seed=seed, slow=slow) for seed in (1, 2)) for slow in (1.5, 1.0))
        load = replace(records.load("rush_hour", *ours), against=theirs, against_name="git:main (ab12cd3)")
        text = page(records.run(0, [load])).text
        assert (
            "Side by side with git:main (ab12cd3), 2 pairs Series This build git:main Change of a pair 95 % interval "
            "Would be seen p50@rush "
        ) in text
        assert re.search(
            r" p95@rush [\d.]+ ms [\d.]+ ms \+[45]\d\.\d% \+\d+\.\d% to \+\d+\.\d% \+\d+\.\d% ✗ worse ", text
        )
        assert "Each pair p95 of the measured stages, pair by pair Pair This build git:main Change 1 " in text
        assert re.search(r" Change 1 [\d.]+ ms [\d.]+ ms \+[45]\d\.\d% 2 [\d.]+ ms [\d.]+ ms \+[45]\d\.\d% ", text)

    def test_one_pair_tells_nothing_and_that_is_said(self) -> None:
        ours, theirs = (tuple(records.trial(seed=seed, slow=slow) for seed in (1, 2)) for slow in (1.5, 1.0))
        load = replace(records.load("rush_hour", *ours), against=theirs[:1], against_name="git:main (ab12cd3)")
        text = page(records.run(0, [load])).text
        assert "Side by side with git:main (ab12cd3), 1 pair Series" in text
        assert " too few pairs to tell " in text

    def test_a_load_that_was_stopped_says_why(self) -> None:
        text = page(records.run(0, [replace(records.load(), aborted="failure rate 80% for 5 s")])).text
        assert "✗ Stopped early: failure rate 80% for 5 s" in text

    def test_a_load_without_requests_says_so(self) -> None:
        silent = records.load("rush_hour", replace(records.trial(), stages=(), windows=()))
        assert "No request was measured." in page(records.run(0, [silent])).text

    def test_a_load_without_trials_is_shown(self) -> None:
        assert "No request was measured." in page(records.run(0, [replace(records.load(), trials=())])).text

    def test_a_load_whose_series_is_gone_says_so(self) -> None:
        load = records.load("rush_hour", records.trial(series=False))
        text = page(records.run(0, [load])).text
        assert "No charts over time: the per-second series of this load is not there." in text

    def test_a_generator_that_was_in_trouble_is_told(self) -> None:
        trouble = GeneratorRecord(requests=1, unfinished_users=3, user_errors={"KeyError: 'id'": 7})
        check = SelfCheck(15, saturated_s=9, cpu_percent=99.2, lag_ms=140.0, steal_percent=3.0)
        trial = records.trial()
        stages = tuple(replace(stage, generator=check) for stage in trial.stages)
        text = page(records.run(0, [records.load("rush_hour", replace(trial, stages=stages, generator=trouble))])).text
        assert (
            "In doubt: stage 'rush': the generator was the bottleneck: out of CPU in 9 of 15 s; CPU 99.2%, its loop "
            "late by up to 140 ms; machine: steal 3%; use LeanHttpUser, more workers (--loadperf-workers), or less load"
            in text
        )
        assert "3 users were still busy when the wait for the last answers ended." in text
        assert "7 KeyError: 'id'" in text


class TestTrends:
    def test_are_three_charts_and_a_table_for_each_load(self, earlier: list[RunRecord]) -> None:
        shown = page(records.run(8), earlier)
        labels = [svg["aria-label"] for svg in shown.all("svg") if " over 9 runs" in svg.get("aria-label", "")]
        assert [label.partition(" over ")[0] for label in labels] == ["p95", "Failure rate", "Requests a second"]
        assert "The newest 9 of 9 runs, newest first" in shown.text
        assert "Compared with: median of 8 runs on main, newest 2026-09-04 20:00 UTC" in shown.text

    def test_start_with_the_second_run(self) -> None:
        assert "First run: trends start with the next one." in page(records.run()).text

    def test_endpoints_that_thresholds_name_have_their_own(self, earlier: list[RunRecord]) -> None:
        told = records.judged("test", "passed", records.verdict("p95[GET /search] < 1s"))
        assert "rush_hour: GET /search" in page(records.run(8, tests=[told]), earlier).text

    def test_a_long_history_is_drawn_whole_and_listed_in_part(self, earlier: list[RunRecord]) -> None:
        many = [replace(earlier[number % 8], id=str(number)) for number in range(120)]
        text = page(records.run(8), many).text
        assert "The newest 50 of 121 runs, newest first" in text


class TestProvenance:
    def test_names_run_commit_machine_versions_and_fingerprint(self) -> None:
        text = page(records.run(8)).text
        for words in (
            "Run 20260905T080000Z-000008",
            "Branch main",
            "Image: example_service sha256:9b2c1f0d6a7e4853b1c2d3e4f5061728394a5b6c7d8e9f00112233445566778899",
            "Machine: runner ci-large",
            "Version: locust 2.47.0",
            "Fingerprint of rush_hour",
            "cpu AMD EPYC 7B13",
        ):
            assert words in text

    @pytest.mark.parametrize(
        ("url", "linked"), [("https://ci.example/1", True), ("javascript:alert(1)", False), ("http://[x", False)]
    )
    def test_only_web_addresses_become_links(self, url: str, linked: bool) -> None:
        shown = page(replace(records.run(), ci_url=url))
        assert (url in [link.get("href") for link in shown.all("a")]) == linked
        assert url in shown.text

    def test_a_run_outside_a_repository_and_ci_is_shown(self) -> None:
        assert "Commit" not in page(replace(records.run(), commit=None, ci_url=None)).text

    def test_a_time_that_is_none_is_shown_as_it_is(self) -> None:
        run = records.run(0, [], [])
        assert "yesterday" in page(replace(run, started_at="yesterday")).text
