"""How workers from elsewhere come together before a load: who is let in, and who is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import zmq
from elsewhere import TOKEN, USER, expecting, secret_key, worker
from test_generator import Run, plan

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Message, Second, Waiting
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.plan import Plan


def test_workers_that_do_not_come_are_told_with_what_to_run(asked: Plan, port: int, tmp_path: Path) -> None:
    told: list[Message] = []
    crew = expecting(local=1, joined=2, port=port, come_s=6.0)
    with (
        worker(port, tmp_path / "away"),
        pytest.raises(
            GeneratorError,
            match=rf"after 6 s there are 2 of 3 workers; the generator listens on 127\.0\.0\.1:{port} for 1 from "
            rf"elsewhere: run `pytest-loadperf worker --master HOST:{port}` there, with this machine's name as HOST, "
            "and this run's LOADPERF_TOKEN",
        ),
        launched(replace(asked, crew=crew)) as generator,
    ):
        told.extend(generator.messages())
    (waiting,) = told
    assert isinstance(waiting, Waiting)
    assert waiting.text.startswith("waiting for workers: there are 2 of 3 workers; the generator listens on")


def test_a_worker_of_another_version_is_refused(asked: Plan, port: int, tmp_path: Path) -> None:
    other = tmp_path / "other" / "locust-1.2.3.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: locust\nVersion: 1.2.3\n")
    path = os.pathsep.join([str(other.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with worker(port, tmp_path / "away", PYTHONPATH=path) as away:
        with pytest.raises(GeneratorError) as caught:
            Run(asked)
        text = str(caught.value)
        assert "has pytest-loadperf " in text
        assert " and locust 1.2.3, this run has pytest-loadperf " in text
        assert "; install the same versions in both places" in text
        away.expect("refused: the worker on")
        assert away.process.wait(timeout=5) == 1
        assert "pytest-loadperf: the generator does not want this worker" in away.said


def test_a_worker_that_has_waited_long_asks_no_more_often_than_another(port: int, tmp_path: Path) -> None:
    impatient = f"""
        import locust, gevent
        from pytest_loadperf.generator import worker
        from pytest_loadperf.generator.protocol import Join
        worker._ASK_EVERY_MS = 1
        def wait():
            print("has asked", flush=True)
            worker._ASK_EVERY_MS = 60_000
        gevent.spawn_later(3, wait)
        worker.Worker(Join("127.0.0.1", {port}, token="{TOKEN}"), print).run()
    """
    command = [sys.executable, "-c", textwrap.dedent(impatient)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, zmq.Context() as context:
        assert process.stdout is not None
        assert process.stdout.readline() == "has asked\n"
        asked = 0
        with context.socket(zmq.ROUTER) as generator:
            generator.curve_server, generator.curve_secretkey = True, secret_key()
            generator.bind(f"tcp://127.0.0.1:{port}")
            while generator.poll(2000):
                generator.recv_multipart()
                asked += 1
        process.kill()
    assert 1 <= asked <= 2


def test_workers_of_one_host_and_parent_are_told_apart(asked: Plan, port: int, tmp_path: Path) -> None:
    """As two containers in the network of their host, where each is the child of process 1."""
    pair = f"""
        from threading import Thread
        from pytest_loadperf.generator.remote import serve
        for _ in range(2):
            Thread(target=serve, args=("127.0.0.1", {port}, "{TOKEN}", None, print)).start()
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(pair)], stdout=subprocess.PIPE) as parent:
        try:
            run = Run(replace(asked, crew=expecting(joined=2, port=port, come_s=15.0)))
        finally:
            parts = psutil.Process(parent.pid).children()
            parent.kill()
            psutil.wait_procs(parts, timeout=3)
    assert len(run.endpoints()) == 2


def busy_at_first(asked: Plan, code: str) -> Path:
    """Let the first worker be busy with this; the file is there once it is."""
    file = Path(asked.users[0].file)
    began = file.with_name("began")
    file.write_text(f"""
import os, time
from locust import events
from locust.runners import WorkerRunner

def first_is_busy():
    if not os.path.exists({str(began)!r}):
        open({str(began)!r}, "w").close()
        time.sleep(60)

{code}
{USER}""")
    return began


IMPORTING = "if '/worker-' in __file__:\n    first_is_busy()\n"
CONNECTED = """
@events.init.add_listener
def on_init(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        first_is_busy()
"""


def awaited(file: Path) -> None:
    deadline = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_the_place_of_a_worker_that_vanishes_before_it_is_ready_is_free(
    asked: Plan, port: int, tmp_path: Path, how: str
) -> None:
    began = busy_at_first(asked, IMPORTING)
    asked = replace(asked, crew=expecting(joined=1, port=port, come_s=30.0))
    with worker(port, tmp_path / "first") as first, launched(asked) as generator:
        awaited(began)
        if how == "killed":
            first.vanish()
        else:
            time.sleep(1.5)  # until its first heartbeat, with which it tells when to take it for gone
            silent = first.part  # as a machine without power
            silent.suspend()
        with worker(port, tmp_path / "second") as second:
            *_, end = generator.messages()
        if how == "silent":
            silent.resume()
    second.expect("the load begins")
    assert isinstance(end, End)
    assert end.requests == end.locust_requests > 20
    assert end.lost_workers == ()


def test_a_worker_that_vanishes_when_it_is_ready_is_not_waited_for(asked: Plan, port: int, tmp_path: Path) -> None:
    asked = replace(asked, crew=expecting(joined=2, port=port, come_s=30.0))
    with worker(port, tmp_path / "first") as first, launched(asked) as generator:
        messages = generator.messages()
        ready = False
        while not ready:
            waiting = next(messages)
            assert isinstance(waiting, Waiting)
            ready = waiting.text.startswith("waiting for workers: there are 1 of 2 workers; ")
        first.vanish()
        with worker(port, tmp_path / "second"), worker(port, tmp_path / "third"):
            *_, end = messages
    assert isinstance(end, End)
    assert end.requests == end.locust_requests > 20
    assert end.lost_workers == ()


def test_a_worker_that_dies_just_before_it_is_ready_gets_no_users(asked: Plan, port: int, tmp_path: Path) -> None:
    began = busy_at_first(asked, CONNECTED)
    Path(asked.users[0].file).write_text(
        Path(asked.users[0].file).read_text().replace("{NAME} {__file__}", "{self.environment.runner.worker_index}")
    )
    collector, users = Collector(), []
    with worker(port, tmp_path / "away") as away, launched(asked) as generator:
        awaited(began)
        away.part.kill()
        for message in generator.messages():
            if isinstance(message, Second):
                collector.add(message.windows)
                users.append(message.users)
    assert max(users) == 4
    assert {window.endpoint for window in collector.windows()} == {"0"}  # as its data is the first part


def test_users_code_that_is_imported_for_ever_ends_with_its_time(asked: Plan, port: int, tmp_path: Path) -> None:
    (tmp_path / "home" / "shop" / "basket.py").write_text(
        "import sys\nNAME = 'basket'\nwhile '--worker' in sys.argv or '/worker-' in __file__:\n    pass\n"
    )
    with worker(port, tmp_path / "away") as away:
        with pytest.raises(GeneratorError, match="after 3 s there are 0 of 1 workers"):
            Run(replace(asked, crew=expecting(joined=1, port=port, root=str(tmp_path / "home"), come_s=3.0)))
        away.expect("not ready within 3 s; the users' code was still being imported")
        away.expect("waiting for a load", times=2)


def test_an_address_that_is_taken_is_told(server: str) -> None:
    taken = int(server.rpartition(":")[2])
    with pytest.raises(
        GeneratorError, match=rf"can't listen for workers on 127\.0\.0\.1:{taken}: .*Address already in use"
    ):
        Run(replace(plan(server, "Fast"), crew=expecting(joined=1, port=taken)))
    with pytest.raises(
        GeneratorError, match=r"can't listen for workers on 192\.0\.2\.1:5999: .*Give --loadperf-master"
    ):
        Run(replace(plan(server, "Fast"), crew=expecting(joined=1, host="192.0.2.1", port=5999)))
