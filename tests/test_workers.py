"""Loads whose users run in workers, for real: what they do together, and what they count."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from conftest import ANSWERING
from crews import LONG, TWO, crew, in_file
from test_generator import USERS, Run
from test_trial import run as run_trial

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.measure.selfcheck import is_saturated
from pytest_loadperf.model import Pulse
from pytest_loadperf.plan import Reference, Stage


@contextmanager
def logging_server(log: Path) -> Iterator[str]:
    """A server that logs each request that it answers."""
    command = [sys.executable, str(ANSWERING), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def test_workers_count_together_what_the_server_answered(tmp_path: Path) -> None:
    stages = (Stage("a", users=3, duration="1s"), Stage("b", users=9, spawn_rate=20, duration="2s"))
    with logging_server(tmp_path / "log") as server:
        run = Run(crew(server, "Fast", stages=stages))
    answered = len((tmp_path / "log").read_text().splitlines())
    assert run.end.requests == run.end.locust_requests == run.endpoints()["GET ask"] == answered > 300
    users = {(window.second, window.stage): window.users for window in run.collector.windows()}
    assert [users[key] for key in ((0, 0), (1, 1), (2, 1))] == [3, 9, 9]  # in all workers
    assert max(run.users) == 9
    assert run.stages[1].at_s == pytest.approx(1.0, abs=0.001)
    assert run.end.lasted_s == pytest.approx(3.0, abs=0.1)


def test_users_of_several_classes_and_replicas_are_spread_over_the_workers(server: str, tmp_path: Path) -> None:
    users = """
        class Telling(FastHttpUser):
            wait_time = constant(0.1)
            def on_start(self):
                name = f"{type(self).__name__} {self.host}"
                index = str(self.environment.runner.worker_index)
                self.environment.events.request.fire(request_type=index, name=name, response_time=1.0,
                                                     response_length=0, exception=None)
            @task
            def ask(self): pass

        class Once(Telling):
            fixed_count = 1

        class Often(Telling):
            weight = 3
    """
    replicas = (server, server.replace("127.0.0.1", "localhost"))
    asked = in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=8, duration="1s"))
    counted = Run(replace(asked, urls=replicas, locustfile_user=None)).endpoints()
    by_process = {name.partition(" ")[0] for name in counted}
    assert by_process == {"0", "1"}
    classes = [name.split(" ")[1] for name, count in counted.items() for _ in range(count)]
    assert (classes.count("Once"), len(classes)) == (1, 8)
    assert classes.count("Often") > classes.count("Telling") > 0
    hosts = [name.split(" ")[2] for name, count in counted.items() for _ in range(count)]
    assert [hosts.count(url) for url in replicas] == [4, 4]


def test_arrivals_are_shared_among_the_workers(server: str, tmp_path: Path) -> None:
    users = """
        class Quick(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/delay/200", name=str(os.getpid()))
    """
    open_stage = Stage("open", rate="99/s", duration="2s", max_users=60)
    closed = Stage("closed", users=4, duration="1s")
    run = Run(
        in_file(server, tmp_path / "locustfile.py", users, open_stage, closed, replace(open_stage, duration="1s"))
    )
    first, second, third = run.end.arrivals
    assert first is not None
    assert third is not None
    assert second is None
    assert (first.due, first.started, first.waiting) == (198, 198, 0)
    assert (third.due, third.started, third.waiting) == (99, 99, 0)
    assert first.achieved_rate == pytest.approx(99, rel=0.01)
    assert first.late.total == 198
    assert first.late_ms(50) < 50
    of_open = [window for window in run.collector.windows() if window.stage in (0, 2)]
    by_process = [
        sum(window.requests for window in of_open if window.endpoint == name) for name in {w.endpoint for w in of_open}
    ]
    assert sorted(by_process) == [pytest.approx(148, abs=2), pytest.approx(149, abs=2)]
    assert max(run.users) <= 60
    closed_requests = sum(window.requests for window in run.collector.windows() if window.stage == 1)
    assert closed_requests == pytest.approx(4 / 0.2, abs=10)


def test_a_pool_may_not_be_smaller_than_the_workers_are_many(server: str, tmp_path: Path) -> None:
    users = """
        class Quick(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("o", rate="20/s", duration="1s", max_users=1)))
    (record,) = run.end.arrivals
    assert record is not None
    assert (record.due, record.waiting) == (20, 0)  # one user for each worker


def test_the_load_begins_when_the_listeners_of_test_start_are_done_in_all_workers(server: str, tmp_path: Path) -> None:
    users = """
        from locust.runners import MasterRunner

        @events.test_start.add_listener
        def prepare(environment, **_):
            time.sleep(0.5 if isinstance(environment.runner, MasterRunner) else 1.5)
            environment.events.request.fire(
                request_type="", name="prepare", response_time=1.0, response_length=0, exception=None, context={}
            )

        class Quick(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/delay/5", name="ask")
    """
    run = Run(in_file(server, tmp_path / "locustfile.py", users, Stage("open", rate="50/s", duration="2s")))
    (arrivals,) = run.end.arrivals
    assert arrivals is not None
    assert run.endpoints() == {" prepare": 3, "GET ask": 100}
    assert arrivals.late_ms(100) < 500
    assert run.end.lasted_s == pytest.approx(2.0, abs=0.1)


def test_users_belong_to_the_stage_in_which_they_ran(server: str) -> None:
    stages = (Stage("first", users=4, duration="2s"), Stage("second", users=8, duration="2s"))
    _, trial, _ = run_trial(server, "Fast", crew=TWO, stages=stages)
    assert [record.users for record in trial.stages] == [4, 8]


def test_a_shape_leads_the_workers(server: str) -> None:
    run = Run(crew(server, "Fast", stages=(), shape=Reference(str(USERS), "users", "Wave")))
    assert [stage.name for stage in run.stages] == ["Wave"]
    assert run.end.lasted_s == pytest.approx(2.0, abs=0.3)
    assert max(run.users) == 5
    assert run.end.requests == run.end.locust_requests > 50


def test_what_is_not_answered_is_counted_in_the_workers(server: str) -> None:
    run = Run(crew(server, "Hanging", "Fast", stages=(Stage("only", users=4, duration="1s"),), answer_wait_s=0.5))
    hang = run.collector.stage(0, 1.0).endpoints["GET hang"]
    assert (hang.requests, hang.failures) == (2, 2)
    assert hang.max_ms == pytest.approx(1500, abs=200)
    assert run.end.unfinished_users == 2
    assert run.end.requests == run.end.locust_requests


def test_exceptions_in_user_code_are_added_up(server: str) -> None:
    end = Run(crew(server, "Crashing")).end
    assert end.user_errors == {"KeyError: 'user code is wrong'": pytest.approx(40, abs=12)}
    (fault,) = end.faults
    assert fault.startswith("user code raised KeyError: 'user code is wrong' (")


def test_users_that_can_not_start_are_told(server: str) -> None:
    with pytest.raises(GeneratorError, match="cannot be made"):
        Run(crew(server, "Unmade"))


def test_a_reset_of_locusts_statistics_does_not_look_like_a_lost_request(server: str) -> None:
    end = Run(crew(server, "Resetting")).end
    assert end.requests == end.locust_requests > 10


def test_a_count_that_locust_does_not_share_is_an_error(server: str) -> None:
    with pytest.raises(GeneratorError, match="the counts do not agree"):
        run_trial(server, "BadEvent", crew=TWO)


def test_no_worker_tells_a_secret(server: str) -> None:
    run = Run(crew(server, "Secretive", secrets=("gar-geheim",)))
    assert set(run.endpoints()) == {"GET /status/500/***"}
    assert "gar-geheim" not in str(run.collector.windows()) + str(run.end)
    assert list(run.end.user_errors) == ["ValueError: ***"]


def test_a_secret_is_hidden_where_a_worker_has_cut_its_error_off(server: str, tmp_path: Path) -> None:
    users = """
        class Talkative(FastHttpUser):
            wait_time = constant(0.05)
            @task
            def ask(self):
                with self.client.get("/anything", catch_response=True) as answer:
                    answer.failure("x" * 272 + "gar-geheim")
                raise ValueError("x" * 280 + "gar-geheim")
    """
    asked = in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=2, duration="1s"))
    run = Run(replace(asked, secrets=("other", "gar-geheim")))
    (error,) = {text for window in run.collector.windows() for text in window.errors}
    (raised,) = run.end.user_errors
    assert error == "CatchResponseError('" + "x" * 272
    assert raised == "ValueError: " + "x" * 280


def test_a_load_stops_early_when_asked(server: str) -> None:
    with launched(crew(server, "Fast", stages=LONG)) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        generator.stop()
        *_, message = messages
    assert isinstance(message, End)
    assert message.lasted_s < 3
    assert message.requests == message.locust_requests


def test_a_saturated_worker_is_seen_in_its_own_pulses(server: str, tmp_path: Path) -> None:
    users = """
        class Burning(FastHttpUser):
            fixed_count = 1
            @task
            def burn(self):
                self.client.get("/anything", name="ask")
                until = time.perf_counter() + 0.05
                while time.perf_counter() < until:
                    pass

        class Idle(FastHttpUser):
            wait_time = constant(0.5)
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    pulses: list[Pulse] = []
    with launched(
        in_file(server, tmp_path / "locustfile.py", users, Stage("only", users=2, duration="3s"))
    ) as generator:
        for message in generator.messages():
            if isinstance(message, Second):
                pulses += message.pulses
    by_process = {process: [p for p in pulses if p.process == process] for process in (0, 1, 2)}
    used = {process: median(pulse.cpu_percent for pulse in of) for process, of in by_process.items()}
    burning = max(used, key=lambda process: used[process])
    assert burning in (1, 2)
    assert used[burning] > 2 * max(percent for process, percent in used.items() if process != burning)
    assert any(is_saturated(pulse) for pulse in by_process[burning])


def test_a_host_that_is_not_allowed_gets_no_connection_from_a_worker(server: str, tmp_path: Path) -> None:
    users = """
        class Leaving(FastHttpUser):
            @task
            def leave(self):
                self.client.get("http://192.0.2.77:81/")  # an address for documentation: nothing is there
    """
    with pytest.raises(HostRefused, match=r"192\.0\.2\.77 is not loaded"):
        Run(in_file(server, tmp_path / "locustfile.py", users, *LONG))
