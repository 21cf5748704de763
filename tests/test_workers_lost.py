"""Workers that end before their load does, and those whose load ends before them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from crews import LONG, TWO, crew, in_file, workers_of
from test_generator import USERS, Run
from test_trial import Watch
from test_trial import run as run_trial

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.model import Summary
from pytest_loadperf.plan import Stage


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


def test_a_killed_worker_is_named_and_the_others_go_on(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    def kill_one(watch: Watch, users: int, recent: Summary, made: int) -> None:
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
        from crews import LONG, crew
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
