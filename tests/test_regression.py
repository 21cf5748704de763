from __future__ import annotations

import math
from dataclasses import replace

import pytest
from records import judged, run, window
from records import load as made_load

from pytest_loadperf.judge.baseline import Baseline, find
from pytest_loadperf.judge.regression import is_suspect
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import advised, judge
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, SelfCheck, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, RunRecord, Verdict

USUAL = [200.0, 202.0, 198.0, 201.0, 199.0, 200.0]


def trial(*times: float, failures: int = 0, endpoint: str = "/", name: str = "rush") -> Trial:
    """One stage of these latencies."""
    whole = summarise([window(0, 0, "GET", endpoint, 5, list(times))], 10.0)
    stage = StageRecord(Stage(name, users=5, duration="10s"), 0.0, replace(whole, failures=failures), users=5)
    return Trial("2026-11-19T10:00:00+00:00", (stage,), GeneratorRecord(len(times)))


def load(*times: float, again: float | None = None, failures: int = 0) -> LoadRecord:
    made = made_load("rush_hour", trial(*times, failures=failures))
    return made if again is None else replace(made, again=(trial(again),))


def after(*means: float) -> Baseline:
    """The baseline of runs with these latencies."""
    return find([run(number, [load(mean)], []) for number, mean in enumerate(means)], load(1.0), None)


def seen(text: str, now: LoadRecord, baseline: Baseline) -> Verdict:
    return judge(parse(text), now, baseline, "test_rush_hour")


@pytest.mark.parametrize(
    ("text", "now", "status", "limit"),
    [
        ("mean < baseline + 10%", 212.0, "ok", "< 220 ms (200 ms + 10%)"),
        ("mean < baseline + max(5%, 15ms)", 212.0, "ok", "< 215 ms (200 ms + max(5%, 15ms))"),
        ("mean > baseline - 10%", 212.0, "ok", "> 180 ms (200 ms - 10%)"),
        ("mean < baseline", 212.0, "inconclusive", "< 200 ms (200 ms)"),
        ("mean < baseline + 5ms", 212.0, "inconclusive", "< 205 ms (200 ms + 5ms)"),
        ("mean < baseline + 10%", 160.0, "improved", "< 220 ms (200 ms + 10%)"),
        ("rps > baseline - 10%", 260.0, "ok", "> 0.09/s (0.1/s - 10%)"),
    ],
)
def test_a_threshold_against_the_baseline_is_held_against_its_median(
    text: str, now: float, status: str, limit: str
) -> None:
    verdict = seen(text, load(now), after(*USUAL))
    assert (verdict.status, verdict.limit) == (status, limit)
    assert verdict.baseline.startswith("median of 6 runs")
    assert not verdict.breach


def test_a_slowdown_is_a_suspicion_until_it_is_measured_again() -> None:
    verdict = seen("mean < baseline + 10%", load(260.0), after(*USUAL))
    assert is_suspect(verdict)
    assert (verdict.status, verdict.reason) == ("inconclusive", "+30.0%, but not measured again")


def test_a_slowdown_that_shows_again_is_a_regression() -> None:
    verdict = seen("mean < baseline + 10%", load(260.0, again=255.0), after(*USUAL))
    assert (verdict.status, verdict.reason) == ("regressed", "+30.0%, measured again +27.5%")
    assert verdict.breach
    assert not is_suspect(verdict)


@pytest.mark.parametrize("again", [201.0, 215.0])
def test_a_slowdown_that_does_not_show_again_accuses_nobody(again: float) -> None:
    verdict = seen("mean < baseline + 10%", load(260.0, again=again), after(*USUAL))
    assert verdict.status == "inconclusive"
    assert verdict.reason == f"+30.0%, measured again {again / 200 - 1:+.1%}: not confirmed"
    assert verdict.change is not None
    assert verdict.change.suspect


def test_a_second_look_in_doubt_confirms_nothing() -> None:
    now = load(260.0, again=255.0)
    held = replace(now.again[0].stages[0], generator=SelfCheck(10, saturated_s=9, cpu_percent=99, lag_ms=5))
    doubtful = replace(now, again=(replace(now.again[0], stages=(held,)),))
    verdict = seen("mean < baseline + 10%", doubtful, after(*USUAL))
    assert verdict.status == "inconclusive"
    assert verdict.reason.startswith("measured again: stage 'rush': the generator was the bottleneck")


def test_a_verdict_says_which_change_would_have_been_seen() -> None:
    verdict = seen("mean < baseline + 10%", load(204.0), after(*USUAL))
    assert verdict.change is not None
    visible = verdict.change.visible / 200 - 1
    assert verdict.reason == f"+2.0%, {visible:+.1%} would be seen"
    assert is_suspect(seen("mean < baseline + 10%", load(verdict.change.visible * 1.001), after(*USUAL)))


def test_a_change_beyond_the_limit_that_chance_explains_is_inconclusive() -> None:
    verdict = seen("mean < baseline + 10%", load(240.0), after(150.0, 250.0, 180.0, 230.0, 200.0, 210.0))
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: within what chance explains")


def test_runs_that_differ_too_much_show_nothing() -> None:
    verdict = seen("mean < baseline + 10%", load(200.0), after(100.0, 400.0, 150.0, 300.0, 200.0, 220.0))
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: runs differ too much")


def test_with_fewer_than_five_runs_there_is_no_verdict() -> None:
    verdict = seen("mean < baseline + 10%", load(600.0), after(*USUAL[:3]))
    assert (verdict.status, verdict.observed) == ("no_baseline", "600 ms")
    assert verdict.reason == "+200.0%; a verdict needs 5 comparable runs"
    assert verdict.baseline.startswith("median of 3 runs")
    assert not verdict.breach


def test_a_percentage_around_a_failure_rate_means_points() -> None:
    before = find([run(number, [load(*[1.0] * 1000)], []) for number in range(5)], load(1.0), None)
    verdict = seen("failure_rate < baseline + 1%", load(*[1.0] * 1000, failures=40), before)
    assert (verdict.limit, verdict.reason) == ("< 1% (0% + 1%)", "+4 points, but not measured again")
    assert seen("failure_rate < baseline + 5%", load(*[1.0] * 1000, failures=40), before).status == "ok"


def test_without_a_comparable_run_there_is_no_baseline_and_no_breach() -> None:
    verdict = seen("mean < baseline + 10%", load(50.5), Baseline(why_empty="no earlier run of this load"))
    assert (verdict.status, verdict.observed) == ("no_baseline", "50.5 ms")
    assert (verdict.limit, verdict.reason) == ("< baseline + 10%", "no earlier run of this load")
    assert not verdict.breach
    assert judge(parse("mean < baseline"), load(1.0), None, "test").reason == "no history was read"


def test_only_runs_that_saw_the_endpoint_count() -> None:
    old, new = made_load("rush_hour", trial(5.0)), made_load("rush_hour", trial(7.0, endpoint="/new"))
    baseline = find([run(0, [old], []), run(1, [new], [])], new, None)
    assert seen("mean[/new] < baseline + 10%", new, baseline).baseline.startswith("1 run, 2026-09-01 20:00")
    first = seen("mean[/new] < baseline + 10%", new, find([run(0, [old], [])], new, None))
    assert (first.status, first.reason) == ("no_baseline", "it was not measured in any comparable run")


def improving(history: list[RunRecord], *means: float) -> None:
    """Add runs with these latencies, each with its verdict."""
    for mean in means:
        verdict = seen("mean < baseline + 10%", load(mean), find(history, load(mean), None))
        history.append(run(len(history), [load(mean)], [judged("test_rush_hour", "passed", verdict)]))


def test_five_improvements_in_succession_begin_a_new_level() -> None:
    history = [run(number, [load(mean)], []) for number, mean in enumerate(USUAL)]
    improving(history, 150.0, 152.0, 149.0, 151.0, 150.0)
    verdict = seen("mean < baseline + 10%", load(200.0), find(history, load(200.0), None))
    assert verdict.limit == "< 165 ms (150 ms + 10%)"
    assert is_suspect(verdict)
    assert verdict.change is not None
    assert (verdict.change.runs, verdict.baseline[:16]) == (11, "median of 5 runs")


def test_fewer_improvements_change_no_level_and_are_left_out_until_the_next_run_is_none() -> None:
    history = [run(number, [load(mean)], []) for number, mean in enumerate(USUAL)]
    improving(history, 150.0, 152.0, 149.0, 151.0)
    assert find(history, load(200.0), None).of_series("mean", lambda _: 1.0).runs == 6
    improving(history, 201.0)
    found = find(history, load(200.0), None).of_series("mean", lambda _: 1.0)
    assert (len(found.levels), found.runs) == (1, 11)


def bursting(mean: float, slow: float, count: int = 1000, percent: int = 6) -> LoadRecord:
    """A load whose slowest requests, so many, came all together."""
    latencies = [mean * (0.9 + 0.2 * number / count) for number in range(count)]
    latencies[-count * percent // 100 :] = [slow] * (count * percent // 100)
    made = load(*latencies)
    effects = {f"{percent:g}": 60.0 for percent in (50, 75, 90, 95, 99, 99.9)}
    (stage,) = made.trials[0].stages
    clumped = replace(stage, summary=replace(stage.summary, effects=effects))
    return replace(made, trials=(replace(made.trials[0], stages=(clumped,)),))


def quiet(*means: float) -> Baseline:
    runs = [run(number, [bursting(mean, mean * 1.1)], []) for number, mean in enumerate(means)]
    return find(runs, load(1.0), None)


def test_a_stall_makes_a_number_unsure_and_is_looked_at_again_all_the_same() -> None:
    baseline = quiet(33.0, 32.5, 33.5, 33.2, 32.8, 33.0)
    stalled = bursting(33.0, 300.0)
    verdict = seen("p95 < baseline + 10%", stalled, baseline)
    assert is_suspect(verdict)
    calm = replace(stalled, again=bursting(33.0, 36.0).trials)
    assert seen("p95 < baseline + 10%", calm, baseline).reason.endswith(": not confirmed")
    unsure = seen("p95 < baseline + 10%", bursting(33.0, 300.0, percent=4), baseline)
    assert unsure.status == "inconclusive"
    assert unsure.reason.endswith("would be seen: slow requests came together in this run; a longer stage would tell")


def test_fast_errors_are_no_improvement() -> None:
    failing = load(*[3.0] * 200, failures=200)
    verdict = seen("p95 < baseline + 10%", failing, after(*[200.0] * 6))
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("would be seen: more requests failed, 100% to 0% before")
    assert seen("rps > baseline - 10%", failing, after(*[200.0] * 6)).status == "inconclusive"


def test_a_percentile_that_is_one_requests_own_is_not_compared() -> None:
    verdict = seen("p99.9 < baseline + 60%", load(*[200.0] * 200), after(*USUAL))
    assert (verdict.status, verdict.observed) == ("inconclusive", "200 ms")
    assert verdict.reason == "not identifiable with 200 requests, about 3688 needed"


def test_a_limit_that_is_further_away_than_what_would_be_seen_is_judged_however_runs_differ() -> None:
    scattered = after(100.0, 400.0, 150.0, 300.0, 200.0, 220.0)
    assert seen("mean < baseline + 900%", load(200.0), scattered).status == "ok"
    few = find([run(number, [load(*[1.0] * 10)], []) for number in range(6)], load(1.0), None)
    verdict = seen("failure_rate < baseline + 1%", load(*[1.0] * 10), few)
    assert verdict.status == "inconclusive"
    assert verdict.reason.endswith("points would be seen: too little to tell")


def test_a_slowdown_that_nobody_accepted_does_not_become_normal() -> None:
    history = [run(number, [load(mean)], []) for number, mean in enumerate(USUAL)]
    verdict = seen("mean < baseline + 10%", load(260.0, again=255.0), find(history, load(1.0), None))
    history.append(run(6, [load(260.0)], [judged("test_rush_hour", "failed", verdict)]))
    improving(history, *[219.0] * 10)
    assert find(history, load(1.0), None).runs == 6
    improving(history, 200.0, 218.0, 199.0, 201.0)
    baseline = find(history, load(1.0), None)
    assert [found.loads[0].trials[0].stages[0].summary.mean_ms for found, _ in baseline.loads[6:]] == [199.0, 201.0]


def test_every_measured_stage_is_judged_unasked_by_p95_and_failures() -> None:
    one = load(*[5.0] * 100)
    assert [str(threshold) for threshold in advised(one)] == [
        "p95 < baseline + 5%",
        "failure_rate < baseline + 0.1%",
    ]
    first, second = trial(*[5.0] * 100), trial(*[5.0] * 100, name="peak")
    warm = replace(first.stages[0], stage=Stage("warm-up", users=1, duration="1s", measured=False))
    both = replace(one, trials=(replace(first, stages=(warm, first.stages[0], second.stages[0])),))
    assert [str(threshold.metric) for threshold in advised(both)] == [
        "p95@rush",
        "failure_rate@rush",
        "p95@peak",
        "failure_rate@peak",
    ]


def test_a_number_that_is_zero_is_no_ratio() -> None:
    now = load(5.0)
    idle = replace(now, trials=(replace(now.trials[0], stages=(replace(now.trials[0].stages[0], cpu_percent=0.0),)),))
    baseline = find([run(number, [idle], []) for number in range(6)], idle, None)
    verdict = seen("service.cpu < baseline + 5%", idle, baseline)
    assert verdict.status == "no_baseline"
    assert verdict.change is None
    assert not math.isnan(idle.trials[0].stages[0].cpu_percent)
