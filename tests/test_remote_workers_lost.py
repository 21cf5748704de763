"""Workers from elsewhere that are lost, and those that lose their generator."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from elsewhere import LONG, expecting, worker
from test_generator import Run

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.plan import Plan, Stage


def test_a_worker_of_a_load_that_was_given_up_does_not_disturb_the_next(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away") as away:
        with launched(replace(asked, stages=LONG)) as generator:
            messages = generator.messages()
            while not isinstance(next(messages), Second):
                pass
        run = Run(asked)
        away.expect("waiting for a load", times=3)
    assert run.end.requests == run.end.locust_requests > 20


def test_a_killed_worker_is_named(asked: Plan, port: int, tmp_path: Path) -> None:
    seen = users_now = 0
    with worker(port, tmp_path / "a") as first, worker(port, tmp_path / "b"):
        stages = (Stage("only", users=4, duration="8s"),)
        with launched(replace(asked, stages=stages, crew=expecting(joined=2, port=port, come_s=15.0))) as generator:
            for message in generator.messages():
                if isinstance(message, Second):
                    seen += 1
                    if seen == 2:
                        killed = first.part.pid
                        first.part.kill()
                        users_then = message.users
                    users_now = message.users or users_now
        first.expect("the worker's process was killed by SIGKILL")
    assert isinstance(message, End)
    (lost,) = message.lost_workers
    assert f"(pid {killed} on {socket.gethostname()}) was lost " in lost
    assert lost.endswith("s into the load: it was not heard of any more")
    assert users_then == users_now == 4  # the other one has taken over
    assert message.requests == message.locust_requests > 100
    assert message.unchecked_requests > 0


def test_a_worker_ends_its_part_when_the_generator_is_gone(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away") as away:
        with launched(replace(asked, stages=LONG)) as generator:
            messages = generator.messages()
            while not isinstance(next(messages), Second):
                pass
            psutil.Process(generator.pid).kill()
            gone = time.monotonic()
        away.expect("waiting for a load", 2)
        assert time.monotonic() - gone < 12
        assert Run(asked).end.requests > 50


def test_a_worker_that_users_code_holds_for_good_is_ended_and_another_takes_its_place(
    asked: Plan, port: int, tmp_path: Path
) -> None:
    file = Path(asked.users[0].file)
    users = file.read_text()
    file.write_text(users + "        while True:\n            pass\n")
    with worker(port, tmp_path / "away") as away:
        with pytest.raises(GeneratorError, match=r"no worker is left, .* was not heard of any more"):
            Run(replace(asked, stages=LONG, crew=expecting(joined=1, port=port, come_s=3.0)))
        away.expect(
            "held up for 3 s by users' code that computes, or waits without gevent knowing; it is ended\n"
            "the worker's process exited with status 6\n"
        )
        file.write_text(users)
        assert Run(asked).end.requests > 50


def test_a_worker_that_outlives_the_time_for_coming_is_not_held_up(asked: Plan, port: int, tmp_path: Path) -> None:
    stages = (Stage("only", users=4, duration="5s"),)
    with worker(port, tmp_path / "away"):
        end = Run(replace(asked, stages=stages, crew=expecting(joined=1, port=port, come_s=2.0))).end
    assert end.lost_workers == ()
