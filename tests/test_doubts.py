"""What makes a load doubtful, and what is left of a verdict then."""

from __future__ import annotations

from dataclasses import replace

import pytest
import records

from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.model import UNSENT, ArrivalRecord, SelfCheck, ServiceEvent, Summary
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord

SATURATED = SelfCheck(15, 9, 81.5, 12.0, 140.0, steal_percent=3.0, stalled_percent=0.0, others_percent=41.0)
HELD = SelfCheck(15, 9, 12.0, lag_ms=340.0)
UNREACHED = ArrivalRecord(due=2000, started=1500, waiting=500, overdue=480, lasted_s=10.0)


def load(**found: object) -> LoadRecord:
    """The example's load, with its stage 'rush' changed."""
    trial = records.trial()
    found = {"users": 60, **found}
    stages = (replace(made, **found) if made.stage.name == "rush" else made for made in trial.stages)  # type: ignore[arg-type]
    return records.load("rush_hour", replace(trial, stages=tuple(stages)))


def open_load() -> LoadRecord:
    return load(stage=Stage("rush", rate="200/s", duration="10s", max_users=50), arrivals=UNREACHED)


def said(record: LoadRecord) -> list[str]:
    return [str(doubt) for doubt in doubts(record)]


def test_a_generator_out_of_cpu_is_a_doubt_with_the_machine_beside_it() -> None:
    assert said(load(generator=SATURATED)) == [
        "stage 'rush': the generator was the bottleneck: out of CPU in 9 of 15 s; CPU 81.5% and 12% of the time "
        "without a core, its loop late by up to 140 ms; machine: steal 3%, other processes 41%, waiting for memory 0%; "
        "use LeanHttpUser, more workers (--loadperf-workers), or less load, or a less busy machine"
    ]


def test_a_lost_worker_is_a_doubt_about_all_stages() -> None:
    record = load()
    lost = "worker 2 (pid 123) was lost 7 s into the load: it was killed by SIGKILL"
    (trial,) = record.trials
    record = replace(record, trials=(replace(trial, generator=replace(trial.generator, lost_workers=(lost,))),))
    for found in (doubts(record), doubts(record, "warm-up")):
        assert [str(doubt) for doubt in found] == [
            f"{lost}; what it measured in its last second is missing; the others took over its users, but not its "
            "arrivals; look for what ended it: its machine's memory, a network that broke, user code"
        ]
        assert found[0].blames_generator
    twice = replace(record, trials=record.trials * 2)
    assert said(twice)[1].startswith(f"trial 2: {lost}")


def test_users_that_waited_for_what_nobody_counts_are_a_doubt_about_all_stages() -> None:
    (trial,) = load().trials
    record = replace(load(), trials=(replace(trial, generator=replace(trial.generator, unseen_users=3)),))
    for found in (doubts(record), doubts(record, "warm-up")):
        assert [str(doubt) for doubt in found] == [
            "3 users were still busy when the load ended, with nothing that was counted; what they waited for is "
            "missing: an unanswered request is seen only of an HTTP user that makes it itself; give what they wait "
            "for a timeout, after which they fire a request event with its exception"
        ]
    assert judge(parse("p95 < 10s"), record, None, "test").status == "inconclusive"
    assert judge(parse("p95 < 1ms"), record, None, "test").status == "broken"


def test_a_service_that_somebody_else_paused_is_a_doubt_about_all_stages() -> None:
    events = (ServiceEvent(7.25, "replica 2", "pause"), ServiceEvent(8.5, "replica 2", "unpause"))
    record = records.load("rush_hour", replace(records.trial(), events=events))
    assert said(record) == [
        "replica 2 was paused 7.2 s after the load began; not by this run; requests waited meanwhile; look for what "
        "else uses this engine"
    ]


def test_what_happened_to_containers_is_a_doubt_about_all_stages_told_once() -> None:
    events = (
        ServiceEvent(1.0, "db", "kill", "15"),
        ServiceEvent(1.5, "db", "die", "143"),
        ServiceEvent(2.0, "db", "restart"),
        ServiceEvent(3.0, "migration", "die", "0"),
        ServiceEvent(4.0, "", "oom"),
        ServiceEvent(6.0, "", "oom"),
    )
    record = records.load("rush_hour", replace(records.trial(), events=events))
    assert said(record) == [
        "db ended with exit code 143 1.5 s after the load began; what asks it may have failed, or done without; look "
        "into its log",
        "db was restarted 2.0 s after the load began; not by this run; what asks it may have failed, or done without; "
        "look for what else uses this engine",
        "the service ran out of memory 4.0 s after the load began, the first of 2 times; a process of it was killed, "
        "with all that it was doing; give it more memory, or see what takes so much",
    ]
    assert judge(parse("p95 < 10s"), record, None, "test").status == "inconclusive"
    assert judge(parse("p95 < 1ms"), record, None, "test").status == "broken"


def failing(errors: dict[str, int]) -> LoadRecord:
    """The example's load, where so many of the stage's requests to one endpoint failed besides."""
    (trial,) = load().trials
    (rush,) = (made for made in trial.stages if made.stage.name == "rush")
    name, endpoint = next(iter(rush.summary.endpoints.items()))

    def with_errors(summary: Summary) -> Summary:
        failures, more = summary.failures + sum(errors.values()), {**summary.errors, **errors}
        return replace(summary, failures=failures, errors=more)

    endpoints = {**rush.summary.endpoints, name: with_errors(endpoint)}
    return load(summary=replace(with_errors(rush.summary), endpoints=endpoints))


def test_requests_that_were_never_sent_are_a_doubt_and_no_failures_of_the_service() -> None:
    no_port = {f"{UNSENT}no local port was free: OSError(99, 'x')": 70, f"{UNSENT}no local port was free": 30}
    record = failing(no_port)
    requests = record.trials[0].stages[1].summary.requests
    assert said(record) == [
        f"stage 'rush': the generator was the bottleneck: no local port was free for 100 of {requests} requests; these "
        "are no failures of the service; each connection takes a file, and a port until a minute after its end: let "
        "users keep theirs, allow for more (`ulimit -n`, net.ipv4.ip_local_port_range), or use more machines"
    ]
    (name,) = [name for name, each in record.trials[0].stages[1].summary.endpoints.items() if each.failures >= 100]
    for threshold in ("failure_rate < 1%", "failures < 99", f"failure_rate[{name}]@rush < 1%"):
        assert judge(parse(threshold), record, None, "test").status == "inconclusive"
        assert judge(parse(threshold), failing({"503": 100}), None, "test").status == "broken"
        assert judge(parse(threshold), failing({**no_port, "503": 100}), None, "test").status == "broken"


def test_a_generator_that_is_held_up_is_a_doubt_of_another_kind() -> None:
    assert said(load(generator=HELD)) == [
        "stage 'rush': the generator was the bottleneck: held up in 9 of 15 s; CPU 12%, its loop late by up to 340 ms; "
        "machine: unknown; user code that computes or blocks holds its loop, or the machine has too much else to do"
    ]


def test_a_stage_that_had_too_few_users_is_a_doubt() -> None:
    assert said(load(users=59)) == [
        "stage 'rush': only 59 of 60 users ran; those that end by themselves, or can not be started in time, are "
        "missing in what the service was asked for"
    ]
    assert said(load(users=60)) == []


def test_requests_that_were_made_before_all_users_had_started_are_a_doubt() -> None:
    assert said(load(stage=Stage("rush", users=60, spawn_rate=1, requests=100), users=20)) == [
        "stage 'rush': only 20 of 60 users ran; its requests were made before all had started; ask for more requests, "
        "or for a larger spawn_rate"
    ]


def test_a_rate_that_was_not_reached_is_a_doubt() -> None:
    assert said(open_load()) == [
        "stage 'rush': the rate was not reached: 1500 of 2000 arrivals began; 500 had no user when it ended; "
        "raise max_users (50) unless the service is to blame"
    ]


def test_requests_that_were_not_made_are_a_doubt() -> None:
    made = records.trial().stages[1].summary.requests
    record = load(stage=Stage("rush", users=60, requests=made + 1, duration="1min"))
    assert said(record) == [
        f"stage 'rush': only {made} of {made + 1} requests were made; the others did not come within 60 s, or their "
        "users ended by themselves, or they were the share of a worker that was lost; give the stage a longer duration "
        "unless the service is to blame"
    ]
    assert judge(parse("p95 < 10s"), record, None, "test").status == "inconclusive"
    assert judge(parse("p95 < 1ms"), record, None, "test").status == "broken"
    assert said(replace(record, aborted="stopped by its abort rule")) == []
    assert said(load(stage=Stage("rush", users=60, requests=made))) == []


def test_the_last_arrivals_of_a_stage_may_just_have_been_due() -> None:
    assert said(load(arrivals=replace(UNREACHED, started=1980, waiting=20, overdue=2))) == []
    assert len(said(load(arrivals=replace(UNREACHED, started=1980, waiting=20, overdue=3)))) == 1


def test_unmeasured_stages_raise_no_doubts_about_the_load() -> None:
    assert said(load(generator=SATURATED, stage=replace(records.STAGES[1], measured=False))) == []


def test_a_doubt_says_which_trial_it_is_about() -> None:
    sound, doubtful = load(), load(generator=SATURATED)
    both = replace(sound, trials=(*sound.trials, *doubtful.trials))
    assert [doubt.text for doubt in doubts(both)] == [f"trial 2: {doubts(doubtful)[0].text}"]


@pytest.mark.parametrize(
    ("record", "threshold", "status"),
    [
        (load(generator=SATURATED), "p95 < 10s", "inconclusive"),
        (load(generator=SATURATED), "p95 < 1ms", "inconclusive"),
        (load(generator=SATURATED), "p95@peak < 10s", "ok"),
        (load(generator=SATURATED), "rps > 100000/s", "inconclusive"),
        (load(generator=SATURATED), "rps < 1/s", "broken"),
        (load(generator=SATURATED), "p95 > 10s", "broken"),
        (load(generator=SATURATED), "service.memory < 1MB", "broken"),
        (load(generator=SATURATED), "service.memory < 1GB", "inconclusive"),
        (load(generator=SATURATED), "failures < 1", "broken"),
        (load(generator=SATURATED), "failure_rate < 50%", "inconclusive"),
        (load(generator=SATURATED), "p95[/nowhere] < 1s", "broken"),
        (load(generator=SATURATED), "p95 < baseline", "no_baseline"),
        (open_load(), "p95 < 10s", "inconclusive"),
        (open_load(), "p95 < 1ms", "broken"),
        (load(), "p95 < 10s", "ok"),
        (load(), "p95 < 1ms", "broken"),
    ],
)
def test_a_verdict_says_no_more_than_can_be_believed(record: LoadRecord, threshold: str, status: str) -> None:
    assert judge(parse(threshold), record, None, "test").status == status


def test_a_verdict_in_doubt_names_its_reason() -> None:
    held = judge(parse("p95 < 10s"), load(generator=SATURATED), None, "test")
    assert held.reason == "stage 'rush': the generator was the bottleneck: out of CPU in 9 of 15 s"
    broken = judge(parse("p95 < 1ms"), open_load(), None, "test")
    assert broken.reason == "stage 'rush': the rate was not reached: 1500 of 2000 arrivals began"


@pytest.mark.parametrize(
    ("threshold", "status"),
    [("p95 < 1ms", "inconclusive"), ("p50 < 1ms", "broken"), ("max < 1ms", "inconclusive"), ("max > 10s", "broken")],
)
def test_a_moment_of_saturation_excuses_no_more_than_it_can_have_made(threshold: str, status: str) -> None:
    held = load(generator=SelfCheck(15, saturated_s=1.2, cpu_percent=20, lag_ms=1200))
    verdict = judge(parse(threshold), held, None, "test")
    assert verdict.status == status
    assert (verdict.reason == "the generator was saturated for 1.2 of 15 s") == (status == "inconclusive")
    assert judge(parse("p95 < 10s"), held, None, "test").status == "ok"
