"""Stages that end with a number of requests, for real: no request too many is sent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from crews import in_file
from test_arrivals import OpenRun
from test_generator import Run, plan
from test_trial import run as run_trial
from test_workers import logging_server

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.plan import Plan, Stage


def by_stage(run: Run) -> Counter[int]:
    counted: Counter[int] = Counter()
    for window in run.collector.windows():
        counted[window.stage] += window.requests
    return counted


EVERY_KIND = """
    from locust import HttpUser, User
    from pytest_loadperf import LeanHttpUser

    class Fast(FastHttpUser):
        @task
        def ask(self):
            self.client.get("/delay/10", name="fast")

    class Plain(HttpUser):
        @task
        def ask(self):
            self.client.get("/delay/10", name="plain")

    class Lean(LeanHttpUser):
        @task(3)
        def ask(self):
            self.client.get("/delay/10", name="lean")

        @task
        class Deeper(TaskSet):
            @task
            def ask_nothing(self):
                time.sleep(0.01)
                self.interrupt()

    class Own(User):
        wait_time = constant(0.01)

        @task
        def work(self):
            time.sleep(0.003)
            self.environment.events.request.fire(request_type="", name="own", response_time=3, response_length=5)
"""


def test_no_request_too_many_is_sent_whatever_the_users_are(tmp_path: Path) -> None:
    first, timed, last = (
        Stage("first", users=20, requests=205),
        Stage("timed", users=20, duration="300ms"),
        Stage("last", users=8, requests=101),
    )
    with logging_server(tmp_path / "log") as server:
        run = OpenRun(server, tmp_path, EVERY_KIND, first, timed, last)
    counted = by_stage(run)
    assert (counted[0], counted[2], counted[-1]) == (205, 101, 0)
    own = run.endpoints()[" own"]
    assert len((tmp_path / "log").read_text().splitlines()) == counted.total() - own > 300
    assert set(run.endpoints()) == {"GET fast", "GET plain", "GET lean", " own"}
    assert run.stages[2].at_s - run.stages[1].at_s == pytest.approx(0.3, abs=0.001)
    assert run.end.lasted_s < 3
    assert (run.end.unfinished_users, run.end.faults) == (0, ())


def test_tasks_of_several_requests_are_finished(server: str, tmp_path: Path) -> None:
    users = """
        class Thrice(FastHttpUser):
            @task
            def ask(self):
                for turn in range(3):
                    self.client.get("/delay/10", name=str(turn))
    """
    run = OpenRun(server, tmp_path, users, Stage("only", users=10, requests=100))
    counted = by_stage(run)
    assert 100 <= counted[0] < 120  # those under way when the 100th was answered had sent theirs
    assert run.endpoints()["GET 0"] == run.endpoints()["GET 1"] == run.endpoints()["GET 2"] <= 40


def test_arrivals_may_come_before_and_after(server: str, tmp_path: Path) -> None:
    users = """
        class Quick(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/delay/5", name="ask")
    """
    opened = Stage("open", rate="100/s", duration="300ms")
    run = OpenRun(server, tmp_path, users, opened, Stage("counted", users=10, requests=59), opened)
    assert by_stage(run) == {0: 30, 1: 59, 2: 30}
    for arrivals in (run.arrivals(0), run.arrivals(2)):
        assert (arrivals.due, arrivals.started, arrivals.waiting) == (30, 30, 0)


def test_workers_share_the_requests_and_go_on_without_a_lost_one(server: str, tmp_path: Path) -> None:
    users = """
        class Dying(FastHttpUser):
            asked = 0

            @task
            def ask(self):
                self.client.get("/delay/10", name=str(self.environment.runner.worker_index))
                Dying.asked += 1
                if Dying.asked > 90 and self.environment.runner.worker_index == 1:
                    os._exit(9)
    """
    whole, half = Stage("whole", users=5, requests=101), Stage("half", users=5, requests=101, duration="30s")
    run = Run(in_file(server, tmp_path / "locustfile.py", users, whole, half))
    shares = {window.endpoint: 0 for window in run.collector.windows()}
    for window in run.collector.windows():
        shares[window.endpoint] += window.requests if window.stage == 0 else 0
    assert shares == {"0": 51, "1": 50}
    assert 51 <= by_stage(run)[1] < 101
    assert len(run.end.lost_workers) == 1
    assert run.end.lasted_s < 10


def test_a_stage_whose_users_have_all_ended_waits_for_nobody(server: str, tmp_path: Path) -> None:
    users = """
        from locust.exception import StopUser

        class Leaving(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/delay/10", name="ask")
                raise StopUser
    """
    run = OpenRun(server, tmp_path, users, Stage("counted", users=3, requests=100))
    assert by_stage(run) == {0: 3}
    assert run.end.lasted_s < 5


def test_a_record_has_the_time_that_the_requests_took(server: str) -> None:
    stages = (Stage("all", users=4, requests=40), Stage("some", users=4, requests=10_000, duration="300ms"))
    _, trial, watch = run_trial(server, "Fast", stages=stages)  # who think for 10 ms
    every, some = trial.stages
    assert (every.summary.requests, every.stage.requests) == (40, 40)
    assert 0.08 < every.summary.duration_s == some.began_s < 2
    assert every.summary.rps == pytest.approx(40 / every.summary.duration_s)
    assert some.summary.duration_s == pytest.approx(0.3, abs=0.05)
    assert 0 < watch.made <= some.summary.requests < 10_000


def test_users_without_tasks_are_refused(server: str, tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text("def test_ask(session):\n    session.get('/anything')\n")
    base = plan(server)
    stages = (Stage("counted", users=2, requests=10),)
    asked = Plan(locustfile=str(file), stages=stages, urls=base.urls, sys_path=base.sys_path)
    with pytest.raises(GeneratorError, match="stages with requests need users with tasks, which do not begin once"):
        Run(asked)
