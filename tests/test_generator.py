"""The generator's process, for real: it loads a running server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import Began, End, LocustPage, Second, StageBegan, Waiting
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.model import Pulse
from pytest_loadperf.plan import Plan, Reference, Stage

USERS = Path(__file__).with_name("users.py")


def plan(server: str, *users: str, stages: tuple[Stage, ...] | None = None, **others: object) -> Plan:
    return Plan(
        users=tuple(Reference(str(USERS), "users", user) for user in users),
        stages=stages if stages is not None else (Stage("only", users=4, duration="500ms"),),
        urls=(server,),
        sys_path=(str(USERS.parent), *sys.path),
        **others,  # type: ignore[arg-type]
    )


class Run:
    """Everything that a generator told."""

    def __init__(self, asked: Plan) -> None:
        self.collector = Collector()
        self.waiting: list[str] = []
        self.stages: list[StageBegan] = []
        self.users: list[int] = []
        self.pulses: list[Pulse] = []
        with launched(asked) as generator:
            for message in generator.messages():
                if isinstance(message, Waiting):
                    self.waiting.append(message.text)
                elif isinstance(message, Began):
                    self.began = message
                elif isinstance(message, StageBegan):
                    self.stages.append(message)
                elif isinstance(message, Second):
                    self.collector.add(message.windows)
                    self.users.append(message.users)
                    self.pulses += message.pulses
                elif isinstance(message, LocustPage):
                    self.page = message
                elif isinstance(message, End):
                    self.end = message

    def endpoints(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for window in self.collector.windows():
            counted[f"{window.method} {window.endpoint}"] += window.requests
        return counted


def test_every_request_of_locust_is_in_a_window(server: str) -> None:
    run = Run(plan(server, "Fast"))
    assert run.end.requests == run.end.locust_requests == run.endpoints()["GET ask"] > 50
    assert run.end.failures == run.end.locust_failures == 0


def test_stages_run_in_their_time_without_restarting_users(server: str) -> None:
    stages = (Stage("a", users=2, duration="1s"), Stage("b", users=5, spawn_rate=10, duration="1s"))
    run = Run(plan(server, "Fast", stages=stages))
    assert [stage.name for stage in run.stages] == ["a", "b"]
    assert run.stages[1].at_s == pytest.approx(1.0, abs=0.001)
    assert run.end.lasted_s == pytest.approx(2.0, abs=0.1)
    assert max(run.users) == 5
    by_stage: Counter[int] = Counter()
    for window in run.collector.windows():
        by_stage[window.stage] += window.requests
    assert by_stage[1] > by_stage[0] > 0


def test_users_of_several_classes_come_by_their_weight(server: str) -> None:
    run = Run(plan(server, "Fast", "Plain", stages=(Stage("only", users=8, duration="2s"),)))
    counted = run.endpoints()
    assert set(counted) == {"GET ask", "GET /anything?token=***"}
    assert counted["GET /anything?token=***"] > counted["GET ask"]


def test_a_protocol_of_the_users_own_is_measured(server: str) -> None:
    run = Run(plan(server, "Own"))
    assert run.collector.stage(0, 1.0).endpoints["own"].p95_ms == pytest.approx(3.0, rel=0.001)


def test_failures_are_counted_with_their_status_and_text(server: str) -> None:
    summary = Run(plan(server, "Failing")).collector.stage(0, 1.0)
    assert summary.failure_rate == 1
    assert set(summary.status_codes) == {"503"}
    assert "503" in next(iter(summary.errors))


def test_users_are_spread_over_the_replicas(server: str) -> None:
    port = server.rpartition(":")[2]
    replicas = (server, f"http://localhost:{port}")
    asked = plan(server, "Plain", stages=(Stage("only", users=6, duration="1s"),))
    code = """
        from users import Plain
        class Telling(Plain):
            weight = 1
            def on_start(self):
                self.environment.events.request.fire(
                    request_type="", name=self.host, response_time=1.0, response_length=0, exception=None)
    """
    file = USERS.with_name("telling_host.py")
    file.write_text(textwrap.dedent(code))
    try:
        run = Run(
            Plan(
                users=(Reference(str(file), "telling_host", "Telling"),),
                stages=asked.stages,
                urls=replicas,
                sys_path=asked.sys_path,
            )
        )
    finally:
        file.unlink()
    assert [run.endpoints()[f" {url}"] for url in replicas] == [3, 3]


def test_a_shape_is_run_to_its_end(server: str) -> None:
    run = Run(plan(server, "Fast", stages=(), shape=Reference(str(USERS), "users", "Wave")))
    assert [stage.name for stage in run.stages] == ["Wave"]
    assert run.end.lasted_s == pytest.approx(2.0, abs=0.3)
    assert max(run.users) == 5


def test_an_unanswered_request_is_a_failure_with_the_time_it_waited(server: str) -> None:
    run = Run(plan(server, "Hanging", "Fast", stages=(Stage("only", users=2, duration="1s"),), answer_wait_s=0.5))
    hang = run.collector.stage(0, 1.0).endpoints["GET hang"]
    assert (hang.requests, hang.failures) == (1, 1)
    assert hang.errors == {"no answer 0.5 s after its user was to stop": 1}
    assert hang.max_ms == pytest.approx(1500, abs=150)
    assert run.end.unfinished_users == 1
    assert run.end.requests == run.end.locust_requests


def test_users_that_wait_for_what_nobody_counts_are_told_and_those_that_sleep_are_none(server: str) -> None:
    users = ("Receiving", "Spawning", "Sleeping", "Hanging")
    run = Run(plan(server, *users, stages=(Stage("only", users=4, duration="1s"),), answer_wait_s=0.5))
    assert (run.end.unfinished_users, run.end.unanswered, run.end.unseen_users) == (4, 1, 2)


def test_exceptions_in_user_code_are_told(server: str) -> None:
    assert Run(plan(server, "Crashing")).end.user_errors == {
        "KeyError: 'user code is wrong'": pytest.approx(40, abs=12)
    }


def test_what_users_print_does_not_disturb(server: str) -> None:
    assert Run(plan(server, "Printing")).end.requests > 10


def test_a_reset_of_locusts_statistics_does_not_look_like_a_lost_request(server: str) -> None:
    end = Run(plan(server, "Resetting")).end
    assert end.requests == end.locust_requests > 10


def test_a_dead_generator_is_told_at_once_with_its_last_words(server: str) -> None:
    began = time.monotonic()
    with pytest.raises(GeneratorError, match="exited with status 9 before the load ended") as caught:
        Run(plan(server, "Dying", stages=(Stage("only", users=1, duration="30s"),)))
    assert time.monotonic() - began < 5
    assert "these are my last words" in caught.value.__notes__[0]


def test_neither_an_error_nor_the_last_words_show_a_secret(server: str, tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text('print("x" + "gar-geheim" * 1000)\nraise ValueError("gar-geheim is wrong")\n')
    asked = plan(server, secrets=("gar-geheim",))
    with pytest.raises(GeneratorError) as caught:
        Run(replace(asked, users=(), locustfile=str(file)))
    (note,) = caught.value.__notes__
    assert "ValueError: *** is wrong" in str(caught.value)
    assert note.startswith("the generator's last words:\n***")
    assert "geheim" not in str(caught.value) + note


def test_a_killed_generator_is_told_within_two_seconds(server: str) -> None:
    with launched(plan(server, "Fast", stages=(Stage("only", users=1, duration="30s"),))) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        os.kill(generator.pid, signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises(GeneratorError, match="was killed by SIGKILL"):
            list(messages)
        assert time.monotonic() - killed < 2


def test_the_generator_is_gone_when_its_parent_is_killed(server: str, tmp_path: Path) -> None:
    for user in ("Fast", "Blocking"):
        script = f"""
            import sys
            sys.path.insert(0, {str(USERS.parent)!r})
            from test_generator import plan
            from pytest_loadperf.generator.launch import launched
            from pytest_loadperf.generator.protocol import Second
            from pytest_loadperf.plan import Stage
            with launched(plan({server!r}, {user!r}, stages=(Stage("only", users=4, duration="30s"),))) as generator:
                for message in generator.messages():
                    if isinstance(message, Second):
                        print(generator.pid, flush=True)
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
            parent.kill()
            child.wait(timeout=3)


def test_nothing_is_left_of_a_load_that_is_given_up(server: str) -> None:
    with launched(plan(server, "Fast", stages=(Stage("only", users=1, duration="30s"),))) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
    assert not psutil.pid_exists(generator.pid)


def test_a_load_stops_early_when_asked(server: str) -> None:
    with launched(plan(server, "Fast", stages=(Stage("only", users=2, duration="30s"),))) as generator:
        for message in generator.messages():
            if isinstance(message, Second) and message.at_s < 2:
                generator.stop()
    assert isinstance(message, End)
    assert message.lasted_s < 3


def test_a_load_that_has_ended_may_be_asked_to_stop(server: str) -> None:
    with launched(plan(server, "Fast")) as generator:
        list(generator.messages())
        while psutil.Process(generator.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        time.sleep(0.2)  # its last thread may still hold the pipe
        generator.stop()


def test_a_user_class_that_is_missing_is_told_with_the_traceback(server: str) -> None:
    with pytest.raises(GeneratorError, match="has no attribute 'Nobody'"):
        Run(plan(server, "Nobody"))


@pytest.mark.parametrize("how", ["redirect", "absolute"])
def test_a_host_that_is_not_allowed_gets_no_connection(server: str, how: str, tmp_path: Path) -> None:
    # 192.0.2.0/24 is reserved for documentation: nothing is there
    target = "/redirect?to=http://192.0.2.77:81/" if how == "redirect" else "http://192.0.2.77:81/"
    file = tmp_path / "leaving.py"
    file.write_text(
        textwrap.dedent(f"""
            from locust import FastHttpUser, task
            class Leaving(FastHttpUser):
                @task
                def leave(self):
                    self.client.get({target!r})
        """)
    )
    asked = plan(server)
    began = time.monotonic()
    with pytest.raises(HostRefused, match=r"192\.0\.2\.77 is not loaded: .*--loadperf-allow-host 192\.0\.2\.77"):
        Run(
            Plan(
                locustfile=str(file),
                stages=(Stage("only", users=1, duration="30s"),),
                urls=asked.urls,
                sys_path=asked.sys_path,
            )
        )
    assert time.monotonic() - began < 5


def test_a_locustfile_without_users_or_shape_says_so(server: str, tmp_path: Path) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text("from locust import HttpUser, task\nclass Some(HttpUser):\n    @task\n    def t(self): pass\n")
    base = plan(server)
    with pytest.raises(GeneratorError, match=r"holds no LoadTestShape; give load\(\) at least one Stage"):
        Run(Plan(locustfile=str(file), urls=base.urls, sys_path=base.sys_path))
    with pytest.raises(GeneratorError, match="holds no user class called Other; it holds Some"):
        Run(Plan(locustfile=str(file), locustfile_user="Other", stages=base.stages, sys_path=base.sys_path))
