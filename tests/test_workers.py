"""Loads whose users run in workers, for real: what they count together, and what becomes of a load that loses one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil
import pytest
from conftest import ANSWERING
from test_generator import USERS, Run, plan
from test_trial import Watch
from test_trial import run as run_trial

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.launch import Generator, launched
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.measure.selfcheck import is_saturated
from pytest_loadperf.model import Pulse, Summary
from pytest_loadperf.plan import Crew, Plan, Reference, Stage

TWO = Crew(local=2)
LONG = (Stage("only", users=4, duration="30s"),)


def crew(server: str, *users: str, **others: object) -> Plan:
    return replace(plan(server, *users, **others), crew=TWO)  # type: ignore[arg-type]


def in_file(server: str, file: Path, users: str, *stages: Stage) -> Plan:
    """A plan whose users stand in a file of their own."""
    head = "import os, time\nfrom locust import FastHttpUser, constant, events, task\n"
    file.write_text(head + textwrap.dedent(users))
    return replace(crew(server), locustfile=str(file), users=(), stages=stages)


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
    assert {window.second for window in measured} == {0, 1}
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


def test_the_arrivals_of_a_lost_worker_are_missed(server: str, tmp_path: Path) -> None:
    users = """
        class Quick(FastHttpUser):
            @task
            def ask(self):
                self.client.get("/anything", name="ask")
    """
    plan_of_two = in_file(server, tmp_path / "locustfile.py", users, Stage("open", rate="50/s", duration="4s"))
    seen = 0
    with launched(plan_of_two) as generator:
        for message in generator.messages():
            if isinstance(message, Second):
                seen += 1
                if seen == 1:
                    workers_of(generator)[0].kill()
    assert isinstance(message, End)
    (record,) = message.arrivals
    assert record is not None
    assert record.due == 200
    assert record.overdue > 60
    assert record.achieved_rate < 40


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
    stages = (Stage("first", users=4, duration="1s"), Stage("second", users=8, duration="1s"))
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
    assert end.user_errors == {"KeyError: 'user code is wrong'": pytest.approx(80, abs=20)}
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
        @events.init.add_listener
        def on_init(environment, **_):
            if isinstance(environment.runner, MasterRunner):
                gevent.spawn_later(1.5, environment.runner.quit)
    """
    end = Run(in_file(server, tmp_path / "locustfile.py", users, *LONG)).end
    assert end.lasted_s < 4
    assert end.faults == ("the users' code stopped the load before its stages were over",)
    assert end.lost_workers == ()


def test_a_load_stops_early_when_asked(server: str) -> None:
    with launched(crew(server, "Fast", stages=LONG)) as generator:
        for message in generator.messages():
            if isinstance(message, Second) and message.at_s < 2:
                generator.stop()
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


def workers_of(generator: Generator) -> list[psutil.Process]:
    return [child for child in psutil.Process(generator.pid).children() if child.is_running()]


def test_a_killed_worker_is_named_and_the_others_go_on(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    def kill_one(watch: Watch, users: int, recent: Summary) -> None:
        watch.seconds.append((users, recent.requests))
        if len(watch.seconds) == 2:
            (generator,) = [child for child in psutil.Process().children() if child.children()]
            victim = generator.children()[1]
            killed.append(victim.pid)
            victim.kill()

    monkeypatch.setattr(Watch, "second", kill_one)
    _, trial, watch = run_trial(server, "Fast", crew=TWO, stages=(Stage("only", users=6, duration="5s"),))
    (lost,) = trial.generator.lost_workers
    assert re.fullmatch(rf"worker 2 \(pid {killed[0]}\) was lost [23] s into the load: it was killed by SIGKILL", lost)
    assert trial.generator.requests < trial.stages[0].summary.requests  # what the lost one told is not lost
    assert 6 in [users for users, _ in watch.seconds[-3:]]  # the others have taken over; then they are stopped


def test_a_load_that_has_lost_every_worker_is_an_error_at_once(server: str) -> None:
    with launched(crew(server, "Fast", stages=LONG)) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        for worker in workers_of(generator):
            worker.kill()
        killed = time.monotonic()
        with pytest.raises(
            GeneratorError, match=r"no worker is left.*worker 1 .*lost [123] s .*SIGKILL; worker 2 .*SIGKILL"
        ):
            list(messages)
        assert time.monotonic() - killed < 3


@pytest.mark.parametrize(("who", "user"), [("the generator", "Fast"), ("pytest", "Blocking")])
def test_no_worker_outlives_what_started_it(server: str, who: str, user: str) -> None:
    script = f"""
        import sys
        sys.path.insert(0, {str(USERS.parent)!r})
        from test_workers import LONG, crew
        from pytest_loadperf.generator.launch import launched
        from pytest_loadperf.generator.protocol import Second
        with launched(crew({server!r}, {user!r}, stages=LONG)) as generator:
            for message in generator.messages():
                if isinstance(message, Second):
                    print(generator.pid, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        family = [child, *child.children()]
        assert len(family) == 3
        os.kill(parent.pid if who == "pytest" else child.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=3)
        parent.kill()
    assert alive == []


def test_a_worker_that_ends_before_the_load_is_told_with_its_last_words(server: str, tmp_path: Path) -> None:
    users = """
        if os.environ.get("LOADPERF_TEST") != str(os.getppid()):  # in the generator, whose parent is this test
            print("I do not want to be a worker", flush=True)
            os._exit(5)
        class Nobody(FastHttpUser):
            @task
            def ask(self): pass
    """
    os.environ["LOADPERF_TEST"] = str(os.getpid())
    try:
        with pytest.raises(
            GeneratorError, match=r"worker \d \(pid \d+\) exited with status 5 before the load"
        ) as caught:
            Run(in_file(server, tmp_path / "locustfile.py", users, *LONG))
    finally:
        del os.environ["LOADPERF_TEST"]
    assert "I do not want to be a worker" in caught.value.__notes__[0]


def test_a_host_that_is_not_allowed_gets_no_connection_from_a_worker(server: str, tmp_path: Path) -> None:
    users = """
        class Leaving(FastHttpUser):
            @task
            def leave(self):
                self.client.get("http://192.0.2.77:81/")  # an address for documentation: nothing is there
    """
    with pytest.raises(HostRefused, match=r"192\.0\.2\.77 is not loaded"):
        Run(in_file(server, tmp_path / "locustfile.py", users, *LONG))
