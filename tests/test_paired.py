"""Two builds side by side: what is called slower, and what is not."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from records import load as made_load
from records import window

from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.paired import Pairs, comparisons, lacks_pairs
from pytest_loadperf.judge.rule import RATIO, SHARE
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import advised, judge
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, SelfCheck, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, Verdict

STEADY = [200.0, 201.0, 199.0, 200.0, 200.0]
REQUESTS = 400


def trial(
    mean_ms: float,
    failures: int = 0,
    endpoint: str = "/",
    check: SelfCheck | None = None,
    requests: int = REQUESTS,
) -> Trial:
    """One stage in which every request took so long."""
    whole = summarise([window(0, 0, "GET", endpoint, 5, [mean_ms] * requests)], 10.0)
    stage = StageRecord(Stage("rush", users=5, duration="10s"), 0.0, replace(whole, failures=failures), users=5)
    stage = stage if check is None else replace(stage, generator=check)
    return Trial("2026-11-19T10:00:00+00:00", (stage,), GeneratorRecord(REQUESTS))


def pairs(ours: list[Trial], theirs: list[Trial]) -> LoadRecord:
    return replace(made_load("rush_hour", *ours), against=tuple(theirs), against_name="git:main (ab12cd3)")


def times(ours: list[float], theirs: list[float]) -> LoadRecord:
    return pairs([*map(trial, ours)], [*map(trial, theirs)])


def failing(ours: list[int], theirs: list[int]) -> LoadRecord:
    return pairs([trial(200, count) for count in ours], [trial(200, count) for count in theirs])


def seen(text: str, load: LoadRecord) -> Verdict:
    return judge(parse(text), load, Baseline(), "test_rush_hour")


def test_a_slower_build_has_regressed_and_the_line_says_by_how_much() -> None:
    verdict = seen("p95 < baseline + 5%", times([224, 223, 225, 222, 224], STEADY))
    assert (verdict.status, verdict.breach) == ("regressed", True)
    assert (verdict.observed, verdict.limit) == ("225 ms", "< 211 ms (201 ms + 5%)")
    assert verdict.reason == "+11.8% (+8.7% to +15.0%), +4.8% would be seen"
    assert verdict.baseline == "side by side with git:main (ab12cd3), 5 pairs"
    assert verdict.change is not None
    assert (verdict.change.series, verdict.change.runs, verdict.change.suspect) == ("p95", 5, False)
    assert verdict.change.low < verdict.change.paired < verdict.change.high


@pytest.mark.parametrize(
    ("text", "ours", "status"),
    [
        ("mean < baseline + 10%", 1.0, "ok"),
        ("mean < baseline + 10%", 1.095, "ok"),
        ("mean < baseline + 10%", 1.105, "regressed"),
        ("mean < baseline + 2%", 1.05, "regressed"),
        ("mean < baseline", 1.015, "inconclusive"),  # below what counts as a change
        ("mean < baseline + 10%", 0.9, "improved"),
        ("rps > baseline - 5%", 1.0, "ok"),
        ("mean > baseline - 5%", 0.9, "regressed"),
        ("mean > baseline - 5%", 1.1, "improved"),
    ],
)
def test_a_steady_change_is_judged_by_its_limit(text: str, ours: float, status: str) -> None:
    assert seen(text, times([each * ours for each in STEADY], STEADY)).status == status


def test_what_is_seen_in_the_sums_but_not_pair_by_pair_is_chance() -> None:
    verdict = seen("mean < baseline + 5%", times([200, 200, 300, 200, 200], STEADY))
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: within what chance explains")


def test_pairs_that_differ_wildly_tell_nothing() -> None:
    verdict = seen("mean < baseline + 10%", times([100, 300, 90, 310, 100], STEADY))
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: pairs differ too much")


def test_fewer_than_two_whole_pairs_are_no_verdict() -> None:
    verdict = seen("mean < baseline + 10%", times([400, 400], [200]))
    assert (verdict.status, verdict.reason) == (
        "inconclusive",
        "only 1 of the pairs can be compared; a verdict needs 2",
    )


def test_an_endpoint_that_the_baseline_lacks_is_no_verdict() -> None:
    load = pairs([trial(200, endpoint="/new")] * 3, [trial(200)] * 3)
    verdict = seen("p95[/new] < baseline + 10%", load)
    assert (verdict.status, verdict.observed) == ("inconclusive", "200 ms")
    assert verdict.reason == "git:main (ab12cd3): no request to '/new'; endpoints: GET /"


def test_an_endpoint_that_was_asked_for_in_some_trials_only_is_compared_where_it_was() -> None:
    ours = [trial(200.0, 4, name) for name in ("/", "/", "/", "/rare")]
    theirs = [trial(200.0, 4, name) for name in ("/", "/", "/rare", "/")]
    told = {each.metric.endpoint: each.change.runs for each in comparisons(pairs(ours, theirs))}
    assert told[None] == 4
    assert told["GET /"] == 2
    assert "GET /rare" not in told


def test_latencies_of_a_baseline_that_fails_more_are_no_measure() -> None:
    load = pairs([trial(300)] * 3, [trial(200, failures=100)] * 3)
    verdict = seen("mean < baseline + 10%", load)
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: git:main (ab12cd3) failed more, 25% to 0%")
    assert seen("failure_rate < baseline + 1%", load).status == "improved"


@pytest.mark.parametrize(
    ("text", "ours", "status", "reason"),
    [
        ("failure_rate < baseline + 0.1%", 0, "ok", "+0 points (+0 points to +"),
        ("failure_rate < baseline + 0.1%", 20, "regressed", "+5 points (+"),
        ("failure_rate < baseline + 10%", 20, "ok", "+5 points (+"),
        ("failures < baseline", 20, "regressed", "+100 (+"),
    ],
)
def test_failures_are_compared_in_points_and_counts(text: str, ours: int, status: str, reason: str) -> None:
    verdict = seen(text, failing([ours] * 5, [0] * 5))
    assert verdict.status == status
    assert verdict.reason.startswith(reason)


def test_two_per_cent_and_a_tenth_of_a_point_are_advised() -> None:
    assert [str(each) for each in advised(times(STEADY, STEADY))] == [
        "p95 < baseline + 2%",
        "failure_rate < baseline + 0.1%",
    ]


def test_a_doubt_about_the_baseline_is_one_about_the_comparison_only() -> None:
    saturated = SelfCheck(15, 9, 81.5, 12.0, 140.0, steal_percent=3.0, stalled_percent=0.0, others_percent=41.0)
    load = pairs([trial(300)] * 3, [trial(200), trial(200, check=saturated), trial(200)])
    (doubt,) = doubts(load)
    assert doubt.text.startswith("git:main (ab12cd3), trial 2: stage 'rush': the generator was the bottleneck")
    assert seen("p95 < baseline + 10%", load).status == "inconclusive"
    assert seen("p95 < 500ms", load).status == "ok"


def test_a_baseline_that_fails_its_requests_is_not_made_better_by_more_pairs() -> None:
    load = pairs([trial(224)] * 5, [trial(200, 300)] * 5)
    verdict = seen("p95 < baseline + 5%", load)
    assert verdict.status == "inconclusive"
    assert verdict.change is not None
    assert not verdict.change.undecided


@pytest.mark.parametrize(("of_candidate", "of_baseline"), [(300.0, 150.0), (150.0, 300.0), (300.0, 290.0)])
def test_odd_trials_in_ten_pairs_do_not_hide_a_slowdown(of_candidate: float, of_baseline: float) -> None:
    ours, theirs = [220.0] * 10, [*STEADY, *STEADY]
    ours[3], theirs[7] = of_candidate, of_baseline
    verdict = seen("p95 < baseline + 5%", times(ours, theirs))
    assert verdict.status == "regressed"
    shown, limit = verdict.observed, verdict.limit.removeprefix("< ").partition(" (")[0]
    assert float(shown.removesuffix(" ms")) > float(limit.removesuffix(" ms"))


def test_an_odd_pair_of_five_leaves_it_open() -> None:
    verdict = seen("p95 < baseline + 5%", times([220, 220, 220, 300, 220], STEADY))
    assert verdict.status == "inconclusive"
    assert verdict.change is not None
    assert verdict.change.undecided


def test_requests_of_a_few_pairs_that_are_beyond_the_limit_leave_it_open() -> None:
    ours = [200.0] * 10
    ours[3] = 300.0  # a tenth of all requests: who knows whether that is the machine's doing
    assert seen("p95 < baseline + 5%", times(ours, [*STEADY, *STEADY])).status == "inconclusive"


def test_failures_in_a_few_pairs_are_no_oddity() -> None:
    ours = [0] * 10
    ours[2] = ours[6] = 120
    load = failing(ours, [0] * 10)
    (found,) = [each for each in comparisons(load) if each.metric.name == "failure_rate"]
    assert found.change.paired > 0.01
    assert seen("failure_rate < baseline + 1%", load).status == "inconclusive"


def test_what_is_lost_when_services_are_started_anew_makes_no_latency_ok() -> None:
    first, later = trial(200), trial(200, 390)
    load = pairs([first, *[later] * 4], [first, *[later] * 4])
    verdict = seen("p95 < baseline + 10%", load)
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith(
        "of both builds, more requests failed once the services had been started anew, without what was in memory"
    )
    assert not any(each.status != "same" for each in comparisons(load) if each.metric.percent)


def test_where_no_change_that_counts_is_left_possible_more_pairs_would_tell_nothing() -> None:
    few = seen("p95 < baseline - 1%", times(STEADY, STEADY)).change
    many = seen("p95 < baseline - 1%", times([*STEADY, *STEADY], [*STEADY, *STEADY])).change
    assert few is not None
    assert many is not None
    assert (few.undecided, many.undecided) == (True, False)
    assert 0.98 < many.low / many.centre < 1 < many.high / many.centre < 1.02


@pytest.mark.parametrize(
    ("ours", "theirs", "why", "lacking"),
    [
        (91, 200, "not identifiable with 182 requests, about 368 needed", False),  # nor with 364
        (92, 200, "not identifiable with 184 requests, about 368 needed", True),
        (200, 92, "git:main (ab12cd3): not identifiable with 184 requests, about 368 needed", True),
        (184, 184, None, False),
    ],
)
def test_requests_of_all_pairs_count_and_more_pairs_are_lacking_only_where_they_would_be_enough(
    ours: int, theirs: int, why: str | None, lacking: bool
) -> None:
    load = pairs([trial(200, requests=ours)] * 2, [trial(200, requests=theirs)] * 2)
    verdict = seen("p99 < baseline + 20%", load)
    assert (verdict.status, verdict.reason if why else None) == ("inconclusive" if why else "ok", why)
    assert lacks_pairs(parse("p99 < baseline + 20%").metric, load) is lacking
    told = ["p50", "p95", *(["p99"] if why is None else [])]
    assert [str(each.metric) for each in comparisons(load) if each.metric.percent] == told


@pytest.mark.parametrize(
    ("text", "theirs"),
    [
        ("p99 < baseline", trial(200, failures=50, requests=100)),
        ("p99[/] < baseline", trial(200, endpoint="/new", requests=100)),
    ],
    ids=["fails more", "lacks the endpoint"],
)
def test_more_pairs_are_not_lacking_where_the_baseline_is_no_measure(text: str, theirs: Trial) -> None:
    load = pairs([trial(200, requests=100)] * 2, [theirs] * 2)
    assert seen(text, load).reason.endswith("not identifiable with 200 requests, about 368 needed")
    assert not lacks_pairs(parse(text).metric, load)


def accused(chance: random.Random, change: float, differ: float, count: int = 5) -> bool:
    """Whether a build that is slower by `change` is called so, where pairs differ by so much."""
    ratios = [(1 + change) * math.exp(chance.gauss(0, differ)) for _ in range(count)]
    found = Pairs([(ratio, 1.0) for ratio in ratios], RATIO)
    return found.is_worse() and found.mean >= math.log(1.02)


@pytest.mark.parametrize(("differ", "most"), [(0.01, 0), (0.03, 1), (0.05, 3), (0.08, 5), (0.3, 5)])
def test_an_unchanged_build_is_hardly_ever_accused(differ: float, most: int) -> None:
    chance = random.Random(4)
    assert sum(accused(chance, 0.0, differ) for _ in range(5000)) / 5 <= most  # of a thousand


def accused_at_last(chance: random.Random, change: float, differ: float) -> bool:
    """The same where as many more are measured, twice at most, if the pairs do not tell."""
    ratios = [(1 + change) * math.exp(chance.gauss(0, differ)) for _ in range(20)]
    for count in (5, 10, 20):
        found = Pairs([(ratio, 1.0) for ratio in ratios[:count]], RATIO)
        if found.mean < math.log(1.02) or found.is_worse():
            break
    return found.is_worse() and found.mean >= math.log(1.02)


@pytest.mark.parametrize(
    ("change", "differ", "least", "most"),
    [(0, 0.05, 0, 7), (0, 0.1, 0, 11), (0, 0.3, 0, 11), (0.05, 0.05, 650, 1000), (0.1, 0.1, 650, 1000)],
)
def test_more_pairs_find_more_and_accuse_hardly_more(change: float, differ: float, least: int, most: int) -> None:
    chance = random.Random(6)
    assert least <= sum(accused_at_last(chance, change, differ) for _ in range(4000)) / 4 <= most  # of a thousand


@pytest.mark.parametrize(
    ("change", "differ", "count", "least"), [(0.1, 0.03, 5, 880), (0.2, 0.08, 5, 560), (0.05, 0.03, 10, 680)]
)
def test_a_slower_build_is_found(change: float, differ: float, count: int, least: int) -> None:
    chance = random.Random(5)
    assert sum(accused(chance, change, differ, count) for _ in range(1000)) >= least
    assert sum(accused_at_last(chance, change, differ) for _ in range(1000)) >= 960


def test_pairs_without_failures_promise_no_more_than_so_many_requests_can() -> None:
    alike = [(0.002, 0.0)] * 5
    assert Pairs(alike, SHARE).is_worse()
    assert not Pairs(alike, SHARE, own_error=0.05).is_worse()
    verdict = seen("failure_rate < baseline + 0.1%", failing([1] * 5, [0] * 5))  # 0.25 % of 400 requests
    assert verdict.status == "inconclusive"


def test_a_baseline_that_seems_better_than_it_is_accuses_nobody() -> None:
    load = times([224, 223, 225, 222, 224], STEADY)
    first, *rest = load.against
    hung = replace(first, generator=replace(first.generator, unseen_users=3))
    verdict = seen("p95 < baseline + 5%", replace(load, against=(hung, *rest)))
    assert verdict.status == "inconclusive"
    assert verdict.reason.startswith("git:main (ab12cd3), trial 1: 3 users were still busy")
    ours, *others = load.trials
    own = replace(ours, generator=replace(ours.generator, unseen_users=3))
    assert seen("p95 < baseline + 5%", replace(load, trials=(own, *others))).status == "regressed"


def test_every_series_is_compared_and_has_its_interval() -> None:
    times_ms, failures = [224, 223, 225, 222, 224], [40, 38, 41, 40, 42]
    slower = [trial(each, count) for each, count in zip(times_ms, failures, strict=True)]
    load = pairs(slower, [*map(trial, STEADY)])
    found = {str(each.metric): each for each in comparisons(load)}
    assert [*found] == ["p50", "p95", "p99", "failure_rate", "rps"]  # one endpoint, and nothing known of the service
    assert (found["p95"].status, found["rps"].status, found["failure_rate"].status) == ("worse", "same", "worse")
    assert (found["p95"].away, found["p95"].interval) == ("+11.8%", "+8.7% to +15.0%")
    assert (found["p95"].observed, found["p95"].centre, found["p95"].visible) == ("225 ms", "201 ms", "+4.8%")
    assert (found["failure_rate"].observed, found["failure_rate"].away) == ("10.1%", "+10 points")
    quicker = {str(each.metric): each.status for each in comparisons(times(STEADY, [*reversed([250.0] * 5)]))}
    assert quicker["p50"] == "better"
    assert comparisons(times([224], STEADY)) == []


def test_pairs_that_would_hide_a_fifth_prove_nothing() -> None:
    apart = times([245, 185, 215, 205, 180], [200, 205, 210, 190, 245])
    verdict = seen("p95 < baseline + 10%", apart)
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: pairs differ too much")
    assert verdict.change is not None
    assert verdict.change.undecided
    assert 1.2 < verdict.change.visible / verdict.change.centre < 1.6
    assert seen("p95 < baseline + 60%", apart).status == "ok"
