"""The open model, for real: arrivals at their moments, whatever the server does."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from test_generator import Run, plan

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import ArrivalRecord, Summary
from pytest_loadperf.plan import Plan, Stage


class OpenRun(Run):
    """A run whose users stand in a file of their own."""

    def __init__(self, server: str, tmp_path: Path, users: str, *stages: Stage, answer_wait_s: float = 10.0) -> None:
        file = tmp_path / "locustfile.py"
        head = "import time\nfrom locust import FastHttpUser, SequentialTaskSet, TaskSet, constant, task\n"
        file.write_text(head + textwrap.dedent(users))
        base = plan(server)
        asked = Plan(locustfile=str(file), stages=stages, urls=base.urls, sys_path=base.sys_path)
        super().__init__(replace(asked, answer_wait_s=answer_wait_s))
        self._stages = stages

    def arrivals(self, stage: int = 0) -> ArrivalRecord:
        record = self.end.arrivals[stage]
        assert record is not None
        return record

    def summary(self, stage: int = 0) -> Summary:
        windows = (window for window in self.collector.windows() if window.stage == stage)
        return summarise(windows, self._stages[stage].duration_s)


QUICK = """
    class Quick(FastHttpUser):
        wait_time = constant(60)  # which arrivals do not wait for

        @task
        def ask(self):
            self.client.get("/delay/5", name="ask")
"""


def test_every_arrival_begins_at_its_moment(server: str, tmp_path: Path) -> None:
    run = OpenRun(server, tmp_path, QUICK, Stage("open", rate="200/s", duration="2s"))
    arrivals = run.arrivals()
    assert (arrivals.due, arrivals.started, arrivals.waiting) == (400, 400, 0)
    assert arrivals.achieved_rate == pytest.approx(200, rel=0.005)
    assert arrivals.late_ms(50) < 50
    assert run.summary().requests == 400
    by_second = [window.requests for window in run.collector.windows()]
    assert by_second == [pytest.approx(200, abs=10)] * 2


def test_a_ramp_goes_from_one_rate_to_the_other(server: str, tmp_path: Path) -> None:
    run = OpenRun(server, tmp_path, QUICK, Stage("ramp", rate="50/s to 250/s", duration="2s"))
    first, second = (window.requests for window in run.collector.windows())
    assert run.arrivals().due == 300
    assert [first, second] == [pytest.approx(100, abs=10), pytest.approx(200, abs=10)]


def test_latency_counts_from_the_moment_an_arrival_was_due(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("/delay/5", "/delay/100")  # one user can serve ten a second
    run = OpenRun(server, tmp_path, users, Stage("open", rate="20/s", max_users=1, duration="2s"))
    arrivals, summary = run.arrivals(), run.summary()
    assert arrivals.due == 40
    assert arrivals.started == pytest.approx(20, abs=2)
    assert arrivals.started + arrivals.waiting == 40
    assert summary.max_ms == pytest.approx(1000, abs=200)  # the 20th is due after 1 s, and begins after 2
    assert summary.min_ms == pytest.approx(100, abs=50)


def test_the_pool_grows_while_no_user_is_free(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("/delay/5", "/delay/500")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="40/s", duration="2s"))
    assert run.arrivals().waiting == 0
    assert 20 <= max(run.users) <= 40
    assert run.summary().p50_ms == pytest.approx(505, abs=60)


def test_only_the_first_request_of_a_task_bears_its_lateness(server: str, tmp_path: Path) -> None:
    users = """
        class Twice(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/delay/100", name="first")
                self.client.get("/delay/100", name="second")
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="10/s", max_users=1, duration="2s"))
    assert run.summary().endpoints["GET first"].max_ms > 500
    assert run.summary().endpoints["GET second"].max_ms < 300


def test_an_arrival_is_one_task_however_tasks_are_nested(server: str, tmp_path: Path) -> None:
    users = """
        class Nested(FastHttpUser):
            @task
            class Outer(SequentialTaskSet):
                @task
                def one(self):
                    self.client.get("/anything", name="one")

                @task
                class Inner(TaskSet):
                    @task
                    def two(self):
                        self.client.get("/anything", name="two")
                        self.interrupt()
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="100/s", duration="1s"))
    assert run.arrivals().started == 100
    assert run.endpoints() == {"GET one": pytest.approx(50, abs=10), "GET two": pytest.approx(50, abs=10)}
    assert sum(run.endpoints().values()) == 100


def test_a_wait_inside_a_task_is_the_tasks_own(server: str, tmp_path: Path) -> None:
    users = """
        class Thinking(FastHttpUser):
            wait_time = constant(0.2)

            @task
            def ask(self):
                began = time.monotonic()
                self.wait()
                self.client.get("/anything", name="waited" if time.monotonic() - began > 0.15 else "did not")
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="20/s", duration="1s"))
    assert set(run.endpoints()) == {"GET waited"}


def test_users_do_as_they_are_written_once_a_stage_of_users_follows(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("constant(60)", "constant(0.05)")
    open_stage, closed = Stage("open", rate="100/s", duration="1s"), Stage("closed", users=4, duration="1s")
    run = OpenRun(server, tmp_path, users, open_stage, closed, open_stage)
    assert run.end.arrivals[1] is None
    assert run.summary(1).requests == pytest.approx(4 / 0.056, rel=0.3)
    assert [run.arrivals(stage).started for stage in (0, 2)] == [100, 100]
    assert [run.summary(stage).requests for stage in (0, 2)] == [100, pytest.approx(100, abs=4)]


def test_a_stage_of_few_users_does_not_begin_with_the_whole_pool(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("/delay/5", "/delay/500").replace("constant(60)", "constant(0.5)")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="80/s", duration="1s"), Stage(users=2, duration="2s"))
    assert max(run.users) > 30
    assert run.summary(1).requests <= 6


def test_a_task_without_a_request_leaves_its_lateness_to_nobody(server: str, tmp_path: Path) -> None:
    users = """
        class Late(FastHttpUser):
            wait_time = constant(0.05)
            number = 0

            @task
            def ask(self):
                self.number += 1
                if self.number < 4:
                    time.sleep(0.3)
                else:
                    self.client.get("/anything", name="ask")
    """
    stages = Stage("open", rate="10/s", max_users=1, duration="1s"), Stage("closed", users=1, duration="1s")
    run = OpenRun(server, tmp_path, users, *stages)
    assert run.arrivals().late_ms(100) > 400
    assert run.summary(1).max_ms < 300


def test_lateness_is_borne_by_requests_from_greenlets_of_the_task_as_well(server: str, tmp_path: Path) -> None:
    users = """
        import gevent
        class Spawning(FastHttpUser):
            @task
            def ask(self):
                gevent.spawn(self.client.get, "/delay/100", name="ask").join()
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="20/s", max_users=1, duration="1s"))
    assert run.summary().max_ms > 400


def test_a_user_may_wait_when_it_starts(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("@task", "def on_start(self): self.wait()\n\n        @task").replace("60)", "0.2)")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="20/s", duration="2s"))
    assert run.end.user_errors == {}
    assert run.arrivals().waiting == 0


def test_the_pool_does_not_grow_for_users_that_are_on_their_way(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("@task", "def on_start(self): time.sleep(0.3)\n\n        @task")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="100/s", max_users=400, duration="2s"))
    assert run.arrivals().waiting == 0
    assert max(run.users) <= 60  # 30 arrive while one starts


def test_users_that_end_are_replaced(server: str, tmp_path: Path) -> None:
    users = QUICK.replace('name="ask")', 'name="ask")\n            raise StopUser').replace("TaskSet", "TaskSet", 1)
    users = users.replace("class Quick", "from locust.exception import StopUser\n    class Quick")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="50/s", max_users=10, duration="3s"))
    assert run.arrivals().started > 75  # ten users at a time, each for one arrival


def test_a_task_set_that_takes_no_arrival_waits_as_it_is_written(server: str, tmp_path: Path) -> None:
    users = """
        class Leaving(FastHttpUser):
            wait_time = constant(0.2)

            @task
            class Inner(TaskSet):
                def on_start(self):
                    self.client.get("/anything", name="looked in")
                    self.interrupt(reschedule=False)

                @task
                def never(self):
                    pass
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="5/s", max_users=2, duration="1s"))
    assert run.arrivals().started == 0
    assert sum(run.endpoints().values()) <= 14


def test_the_generator_is_not_blamed_for_stopping_many_idle_users(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("constant(60)", "constant(60)").replace("/delay/5", "/anything")
    run = OpenRun(server, tmp_path, users, Stage("open", rate="5/s", duration="1s"), Stage(users=400, duration="3s"))
    ended = run.end.lasted_s
    last = [pulse for pulse in run.pulses if pulse.at_s - pulse.lasted_s / 2 < ended][-1]
    assert last.at_s == pytest.approx(ended, abs=0.05)
    assert last.cpu_percent < 90


def test_users_that_can_take_no_arrivals_are_refused(server: str, tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text("def test_ask(session):\n    session.get('/anything')\n")
    base = plan(server)
    asked = Plan(
        locustfile=str(file),
        stages=(Stage("open", rate="10/s", duration="1s"),),
        urls=base.urls,
        sys_path=base.sys_path,
    )
    with pytest.raises(GeneratorError, match="stages with a rate need users with tasks, which take the arrivals"):
        Run(asked)


def test_several_classes_in_a_locustfile_can_not_share_arrivals(server: str, tmp_path: Path) -> None:
    users = QUICK + QUICK.replace("Quick", "Slow").replace("/delay/5", "/delay/500")
    with pytest.raises(
        GeneratorError,
        match=r"stages with a rate take one user class, and .*locustfile\.py holds 2 \(Quick, Slow\): the one that "
        r"answers faster would take the arrivals of the other; name one of them in load\(\), as in "
        r"'locustfile\.py:Quick', or give one class tasks with weights",
    ):
        OpenRun(server, tmp_path, users, Stage("open", rate="10/s", duration="1s"))
    OpenRun(server, tmp_path, users, Stage("closed", users=2, duration="1s"))


LISTENING = """
    from locust import events

    @events.test_start.add_listener
    def prepare(environment, **_):
        time.sleep(2.5)
        environment.events.request.fire(
            request_type="", name="prepare", response_time=1.0, response_length=0, exception=None, context={}
        )
"""


def test_arrivals_begin_when_the_listeners_of_test_start_are_done(server: str, tmp_path: Path) -> None:
    run = OpenRun(server, tmp_path, LISTENING + QUICK, Stage("open", rate="100/s", duration="2s"))
    assert run.endpoints() == {" prepare": 1, "GET ask": 200}
    assert run.arrivals().late_ms(100) < 500
    assert run.end.lasted_s == pytest.approx(2.0, abs=0.1)


def test_a_listener_of_test_start_is_not_called_again_for_the_next_stage(server: str, tmp_path: Path) -> None:
    users = LISTENING + QUICK.replace("constant(60)", "constant(0.01)")
    run = OpenRun(server, tmp_path, users, Stage("a", users=2, duration="1s"), Stage("b", users=4, duration="1s"))
    assert run.endpoints()[" prepare"] == 1
    assert run.summary(0).requests > 50
    assert run.waiting == ["waiting for the listeners of Locust's test_start event"]


def test_a_user_that_thinks_when_arrivals_begin_takes_them_at_once(server: str, tmp_path: Path) -> None:
    closed, opened = Stage("closed", users=20, duration="1s", measured=False), Stage("o", rate="20/s", duration="2s")
    run = OpenRun(server, tmp_path, QUICK, closed, opened)
    assert (run.arrivals(1).due, run.arrivals(1).waiting) == (40, 0)
    assert run.arrivals(1).late_ms(100) < 200
    assert run.summary(1).requests == 40
    assert max(run.users) == 20


def test_a_users_own_wait_inside_a_task_goes_on_when_arrivals_begin(server: str, tmp_path: Path) -> None:
    users = """
        class Thinking(FastHttpUser):
            wait_time = constant(1.5)

            @task
            def ask(self):
                began = time.monotonic()
                self.wait()
                self.client.get("/anything", name="waited" if time.monotonic() - began > 1.4 else "did not")
    """
    run = OpenRun(server, tmp_path, users, Stage("c", users=4, duration="1s"), Stage("o", rate="4/s", duration="2s"))
    assert set(run.endpoints()) == {"GET waited"}


def test_the_pool_grows_while_users_are_busy_with_what_came_before_the_arrivals(server: str, tmp_path: Path) -> None:
    users = """
        class Slow(FastHttpUser):
            users = 0

            def on_start(self):
                Slow.users += 1
                self.path = "/delay/3000" if Slow.users <= 20 else "/delay/5"

            @task
            def ask(self):
                self.client.get(self.path, name="ask")
    """
    opened = Stage("open", rate="20/s", max_users=40, duration="1s")
    run = OpenRun(server, tmp_path, users, Stage("closed", users=20, duration="1s"), opened)
    assert run.arrivals(1).waiting == 0
    assert run.arrivals(1).late_ms(100) < 300


def test_no_request_is_made_without_its_arrival_once_arrivals_come_again(server: str, tmp_path: Path) -> None:
    users = QUICK.replace("constant(60)", "constant(0.8)")
    opened = Stage("open", rate="30/s", max_users=30, duration="1s")
    closed = Stage("closed", users=30, duration="0.5s")
    run = OpenRun(server, tmp_path, users, opened, closed, replace(opened, name="again"))
    assert run.arrivals(2).started == 30
    assert run.summary(2).requests == 30


def test_a_greenlet_that_is_older_than_the_arrival_does_not_bear_its_lateness(server: str, tmp_path: Path) -> None:
    users = """
        import gevent
        class Polling(FastHttpUser):
            def on_start(self):
                self.poller = gevent.spawn(self.poll)

            def on_stop(self):
                self.poller.kill()

            def poll(self):
                while True:
                    self.client.get("/anything", name="poll")
                    time.sleep(0.01)

            @task
            def ask(self):
                time.sleep(0.1)
                self.client.get("/anything", name="ask")
    """
    run = OpenRun(server, tmp_path, users, Stage("open", rate="20/s", max_users=1, duration="1s"))
    assert run.summary().endpoints["GET poll"].max_ms < 300
    assert run.summary().endpoints["GET ask"].max_ms > 400


def test_a_request_without_an_answer_bears_the_lateness_of_its_arrival(server: str, tmp_path: Path) -> None:
    users = """
        class Hanging(FastHttpUser):
            number = 0

            @task
            def ask(self):
                self.number += 1
                if self.number == 1:
                    time.sleep(0.6)
                else:
                    self.client.get("/hang", name="hang")
    """
    stage = Stage("open", rate="5/s", max_users=1, duration="1s")
    run = OpenRun(server, tmp_path, users, stage, answer_wait_s=0.5)
    assert run.summary().max_ms == pytest.approx(1300, abs=250)  # due after 0.2 s, begun after 0.6, given up after 1.5
