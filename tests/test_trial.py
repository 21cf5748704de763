"""One trial against a running server, seen from pytest's side."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from records import window
from test_generator import plan

from pytest_loadperf.errors import GeneratorError, ServiceError
from pytest_loadperf.judge.abort import abort_check
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.loadspec import ABORT, AbortRule
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.model import Sample, Summary, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, ServiceRecord
from pytest_loadperf.service.spec import UrlSpec
from pytest_loadperf.service.url import UrlService
from pytest_loadperf.trial import TrialRun, usage


class Watch:
    def __init__(self) -> None:
        self.stages: list[str | None] = []
        self.seconds: list[tuple[int, int]] = []

    def waiting(self, text: str) -> None:
        """For workers, on a machine that is busy."""

    def stage(self, name: str, asked: Stage | None) -> None:
        self.stages.append(name)

    def second(self, users: int, recent: Summary, made: int) -> None:
        self.seconds.append((users, recent.requests))
        self.made = made

    def scaled(self, text: str) -> None:
        """For services whose replicas come and go."""


def run(server: str, *users: str, abort: str | None = None, **others: object) -> tuple[TrialRun, Trial, Watch]:
    watch = Watch()
    rule = AbortRule.parse(abort) if abort else None
    trial_run = TrialRun(plan(server, *users, **others), UrlService(UrlSpec(server)), watch, abort_check(rule))  # type: ignore[arg-type]
    return trial_run, trial_run.run(), watch


def test_the_numbers_of_a_trial_are_those_of_its_windows(server: str) -> None:
    stages = (Stage("first", users=2, duration="1s", measured=False), Stage("second", users=4, duration="2s"))
    _, trial, watch = run(server, "Fast", stages=stages)
    assert watch.stages == ["first (1/2)", "second (2/2)"]
    assert watch.seconds[1][0] == 4
    first, second = trial.stages
    assert first.began_s == 0
    assert second.began_s == pytest.approx(1.0, abs=0.001)
    assert second.summary.duration_s == pytest.approx(2.0, abs=0.05)
    for index, record in enumerate(trial.stages):
        windows = [window for window in trial.windows if window.stage == index]
        assert sum(window.requests for window in windows) == record.summary.requests > 0
        assert record.summary.status_codes == {"200": record.summary.requests}
        assert record.generator.seconds == pytest.approx(record.summary.duration_s, abs=0.2)
    assert trial.pulses[-1].at_s == pytest.approx(3.0, abs=0.1)  # what comes later is the effort of stopping


def test_a_count_that_locust_does_not_share_is_an_error(server: str) -> None:
    with pytest.raises(GeneratorError, match=r"the counts do not agree: .*This result can't be trusted; the likely"):
        run(server, "BadEvent")


def test_a_load_without_a_single_answer_is_an_error_that_names_the_cause(server: str) -> None:
    with pytest.raises(
        GeneratorError, match=r"no request was answered .* user code raised RuntimeError: no login \(4 ti"
    ):
        run(server, "CannotStart")


def test_users_that_wait_for_what_nobody_counts_put_a_trial_in_doubt(server: str) -> None:
    stages = (Stage("only", users=2, duration="1s"),)
    _, trial, _ = run(server, "Receiving", "Fast", stages=stages, answer_wait_s=0.5)
    (doubt,) = doubts(LoadRecord("rush", "rush", ServiceRecord("url", server), (trial,), {}))
    assert doubt.text == "1 user was still busy when the load ended, with nothing that was counted"


def test_a_load_stops_when_its_abort_rule_holds(server: str) -> None:
    stages = (Stage("only", users=2, duration="30s"),)
    trial_run, trial, _ = run(server, "Failing", abort="failure_rate > 50% for 2s", stages=stages)
    assert trial_run.aborted == "stopped after 2 s by abort='failure_rate > 50% for 2s': 100% was seen"
    assert trial.stages[0].summary.duration_s < 5


def test_a_load_that_only_fails_is_stopped_unless_it_asks_for_something_else(server: str) -> None:
    stages = (Stage("only", users=2, duration="30s"),)
    trial_run, _, _ = run(server, "Failing", abort=ABORT, stages=stages)
    assert trial_run.aborted == "stopped after 10 s by abort='failure_rate >= 100% for 10s': 100% was seen"


@pytest.mark.parametrize(("every_s", "stopped_at"), [(1, 10), (2, None)])
def test_a_few_failures_stop_no_load(every_s: int, stopped_at: int | None) -> None:
    collector, check = Collector(), abort_check(AbortRule.parse(ABORT))
    for second in range(30):
        if second % every_s == 0:
            collector.add([window(second, 0, "GET", "/", 1, [5.0], random.Random(1), failing=1.0)])
        if check(second + 1.0, collector):
            assert second + 1 == stopped_at
            return
    assert stopped_at is None


def test_a_load_goes_on_while_its_abort_rule_does_not_hold(server: str) -> None:
    trial_run, _, _ = run(server, "Fast", abort="failure_rate > 50% for 1s", stages=(Stage(users=1, duration="2s"),))
    assert trial_run.aborted is None


def test_the_last_answers_do_not_abort_a_load_that_is_over(server: str) -> None:
    # The users that are done make no requests any more while the hanging one is waited for.
    stages, rule = (Stage(users=4, duration="3s"),), "rps < 150/s for 2s"
    trial_run, trial, _ = run(server, "Own", "Hanging", abort=rule, stages=stages, answer_wait_s=3.0)
    assert trial.stages[0].summary.rps > 150
    assert trial_run.aborted is None


def test_users_belong_to_the_stage_in_which_they_ran(server: str) -> None:
    stages = (
        Stage("ramp", users=4, spawn_rate=1.4, duration="3s"),  # the last of them starts after 2.1 s
        Stage("short", users=8, duration="1s"),
        Stage("shorter", users=10, duration="0.5s"),
        Stage("last", users=12, duration="0.5s"),
    )
    _, trial, _ = run(server, "Fast", stages=stages)
    assert [record.users for record in trial.stages] == [4, 8, 10, 12]


def test_what_a_service_used_in_a_stage_is_in_its_samples_or_in_the_next_one_which_tells_of_it_too() -> None:
    samples = [Sample(at_s, 0, 10.0 * at_s, int(at_s * 100)) for at_s in (1.0, 2.0, 4.0, 6.0)]
    assert usage(samples, 0.0, 2.0) == (15.0, 200)
    assert usage(samples, 2.1, 3.2) == (40.0, 400)  # the engine was late
    assert usage([*samples, Sample(3.0, 1, 5.0, 50)], 2.1, 3.2) == (45.0, 450)
    cpu_percent, memory_bytes = usage(samples, 6.1, 7.0)
    assert math.isnan(cpu_percent)
    assert memory_bytes == 0


def test_what_replicas_used_that_were_there_for_a_part_of_a_stage_counts_for_that_part() -> None:
    there = [Sample(float(second), 0, 40.0, 400) for second in range(1, 11)]
    came = [Sample(float(second), 1, 20.0, 200) for second in range(6, 9)]
    later = [Sample(10.0, 2, 10.0, 100)]
    stays = {1: (5.0, 8.0), 2: (9.0, math.inf)}
    assert usage([*there, *came, *later], 0.0, 10.0, stays) == (40 + 20 * 0.3 + 10 * 0.1, 600)
    assert usage([*there, *came, *later], 5.0, 8.0, stays) == (60.0, 600)
    assert usage([*there, *came, *later], 9.5, 9.9, stays) == (50.0, 500)
    assert usage([*there, *came, *later], 0.0, 5.0, stays) == (40.0, 400)


class DyingService(UrlService):
    def __init__(self, server: str) -> None:
        super().__init__(UrlSpec(server))
        self._checks = 0

    def check(self) -> None:
        self._checks += 1
        if self._checks > 1:
            raise ServiceError("it is gone")

    @contextmanager
    def sampling(self, began: float) -> Iterator[list[Sample]]:
        yield []


def test_a_service_that_dies_ends_the_load_at_once(server: str) -> None:
    asked = plan(server, "Fast", stages=(Stage("only", users=1, duration="30s"),))
    watch = Watch()
    with pytest.raises(ServiceError, match="it is gone"):
        TrialRun(asked, DyingService(server), watch, abort_check(None)).run()
    assert len(watch.seconds) == 2
