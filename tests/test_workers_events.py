"""Locust's events in a load with workers: each comes where and when Locust's own workers have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from crews import LONG, in_file
from test_generator import Run

from pytest_loadperf.plan import Stage


def test_a_stage_ends_for_the_workers_whatever_the_masters_listeners_do(server: str, tmp_path: Path) -> None:
    users = """
        from locust.runners import MasterRunner

        class Quick(FastHttpUser):
            wait_time = constant(0.01)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")

        @events.test_stop.add_listener
        def rest(environment, **_):
            if isinstance(environment.runner, MasterRunner):
                time.sleep(2)
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=4, duration="2s")))
    measured = [window for window in run.collector.windows() if window.stage == 0]
    late = sum(window.requests for window in measured if window.second >= 2)
    assert late < 100  # of the moment in which the word travels; two seconds more would make hundreds
    assert sum(window.requests for window in measured) > 300
    assert run.end.requests == run.end.locust_requests
    assert run.end.faults == ()


def test_workers_are_numbered_for_the_users_code_as_locust_does_it(server: str, tmp_path: Path) -> None:
    users = """
        class Telling(FastHttpUser):
            wait_time = constant(0.1)
            @task
            def ask(self):
                self.client.get("/anything", name=str(self.environment.runner.worker_index))
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=4, duration="1s")))
    assert set(run.endpoints()) == {"GET 0", "GET 1"}


def test_requests_that_workers_make_when_all_is_over_are_counted(server: str, tmp_path: Path) -> None:
    users = """
        class Quick(FastHttpUser):
            wait_time = constant(0.1)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")

        @events.quitting.add_listener
        def last(environment, **_):
            environment.events.request.fire(
                request_type="", name="last", response_time=1.0, response_length=0, exception=None, context={}
            )
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=2, duration="1s")))
    assert run.endpoints()[" last"] == 3  # the master's and the workers'
    assert run.end.requests == run.end.locust_requests


def test_locusts_events_happen_as_they_do_between_its_own_workers(server: str, tmp_path: Path) -> None:
    users = f"""
        from locust.runners import MasterRunner, WorkerRunner

        def note(environment, what):
            role = "master" if isinstance(environment.runner, MasterRunner) else "worker"
            with open({str(tmp_path / "notes")!r}, "a") as file:
                file.write(f"{{role}} {{what}}\\n")

        @events.init.add_listener
        def on_init(environment, **_):
            note(environment, "init")
            if isinstance(environment.runner, WorkerRunner):
                environment.runner.register_message("data", lambda environment, msg: note(environment, msg.data))
            else:
                environment.runner.register_message("thanks", lambda environment, msg: note(environment, "thanks"))

        @events.test_start.add_listener
        def on_start(environment, **_):
            note(environment, "test_start")
            if isinstance(environment.runner, MasterRunner):
                environment.runner.send_message("data", "for you")

        @events.test_stop.add_listener
        def on_stop(environment, **_):
            note(environment, "test_stop")
            if isinstance(environment.runner, WorkerRunner):
                environment.runner.send_message("thanks")

        @events.quitting.add_listener
        def on_quitting(environment, **_):
            note(environment, "quitting")

        class Quick(FastHttpUser):
            wait_time = constant(0.05)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    end = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=4, duration="1s"))).end
    assert end.faults == ()
    notes = (tmp_path / "notes").read_text().splitlines()
    once, twice = (
        ["init", "test_start", "test_stop", "quitting"],
        ["init", "test_start", "for you", "test_stop", "quitting"],
    )
    assert [
        note.removeprefix("master ") for note in notes if note.startswith("master") and "thanks" not in note
    ] == once
    assert notes.count("master thanks") == 2
    assert sorted(note for note in notes if note.startswith("worker")) == sorted(f"worker {note}" for note in twice * 2)


def test_requests_of_a_listener_in_the_master_are_counted_as_well(server: str, tmp_path: Path) -> None:
    users = """
        from locust.runners import MasterRunner

        @events.test_start.add_listener
        def on_start(environment, **_):
            if isinstance(environment.runner, MasterRunner):
                environment.events.request.fire(request_type="", name="prepare", response_time=1.0, response_length=0,
                                                exception=None)

        class Quick(FastHttpUser):
            wait_time = constant(0.05)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=4, duration="1s")))
    assert run.endpoints()[" prepare"] == 1
    assert run.end.requests == run.end.locust_requests == sum(run.endpoints().values())


@pytest.mark.parametrize("where", ["a user", "a listener of the master"])
def test_a_load_that_its_users_stop_ends_for_all_workers(server: str, tmp_path: Path, where: str) -> None:
    users = """
        from locust.runners import MasterRunner
        import gevent

        class Quick(FastHttpUser):
            wait_time = constant(0.05)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    if where == "a user":
        users += """
        class Quitting(FastHttpUser):
            fixed_count = 1
            @task
            def end(self):
                self.environment.runner.quit()
    """
    else:
        users += """
        @events.test_start.add_listener
        def on_start(environment, **_):
            if isinstance(environment.runner, MasterRunner):
                gevent.spawn_later(1.5, environment.runner.quit)
    """
    end = Run(in_file(server, tmp_path / "locustfile.py", users, *LONG)).end
    assert end.lasted_s < 4
    assert end.faults == ("the users' code stopped the load before its stages were over",)
    assert end.lost_workers == ()
