"""Workers that join from elsewhere, as `pytest-loadperf worker` starts them, in a folder without the users' code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from test_generator import Run, plan

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Message, Second, Waiting
from pytest_loadperf.plan import Crew, Plan, Reference, Stage

SHORT = (Stage("only", users=4, duration="1s"),)
LONG = (Stage("only", users=4, duration="30s"),)
USER = """
from locust import FastHttpUser, constant, task
from shop.basket import NAME

class Shopper(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def ask(self):
        self.client.get("/anything", name=f"{NAME} {__file__}")
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def asked(server: str, port: int, tmp_path: Path) -> Plan:
    """A plan whose user imports a module of its own package."""
    home = tmp_path / "home"
    (home / "shop").mkdir(parents=True)
    (home / "shop" / "__init__.py").write_text("")
    (home / "shop" / "basket.py").write_text("NAME = 'basket'\n")
    (home / "shop" / "users.py").write_text(USER)
    return Plan(
        users=(Reference(str(home / "shop" / "users.py"), "shop.users", "Shopper"),),
        stages=SHORT,
        urls=(server,),
        sys_path=(str(home), *sys.path),
        crew=Crew(joined=1, port=port, root=str(home), come_s=15.0),
    )


class Elsewhere:
    """A running `pytest-loadperf worker`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def expect(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 15
        while self.said.count(text) < times:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    @property
    def part(self) -> psutil.Process:
        """The process that takes part in a load."""
        (process,) = psutil.Process(self.process.pid).children()
        return process


@contextmanager
def worker(port: int, folder: Path, *arguments: str, **environ: str) -> Iterator[Elsewhere]:
    start = "from pytest_loadperf.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, "worker", "--master", f"127.0.0.1:{port}", *arguments]
    folder.mkdir(exist_ok=True)
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, text=True, env={**os.environ, **environ}
        ) as process,
    ):
        try:
            yield Elsewhere(process, folder / "log")
        finally:
            family = []
            if process.poll() is None:
                root = psutil.Process(process.pid)
                family = [root, *root.children()]
            process.terminate()
            _, alive = psutil.wait_procs(family, timeout=3)
            for left in alive:
                left.kill()
        assert alive == []


def test_a_worker_gets_the_code_and_takes_part_in_one_load_after_the_other(
    asked: Plan, port: int, tmp_path: Path
) -> None:
    with worker(port, tmp_path / "away") as away:
        away.expect(f"waiting for a load at 127.0.0.1:{port}\n")
        for number in (1, 2):
            run = Run(asked)
            (endpoint,) = run.endpoints()
            _, name, file = endpoint.split(" ")
            assert name == "basket"
            assert file.endswith("/home/shop/users.py")
            assert "loadperf-worker-" in file
            assert run.end.requests == run.end.locust_requests == sum(run.endpoints().values()) > 50
            assert run.end.lost_workers == ()
            away.expect(f"the load is over: {run.end.requests} requests\n")
            away.expect("waiting for a load", number + 1)
        assert not Path(file).exists()
    assert away.said.splitlines()[1:3] == [f"joined 127.0.0.1:{port} as worker 1 of 1", "the load begins"]
    assert away.process.returncode == 0


def test_a_worker_may_have_the_code_in_its_image(asked: Plan, port: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "shop").mkdir(parents=True)
    (image / "shop" / "__init__.py").write_text("")
    (image / "shop" / "basket.py").write_text("NAME = 'image'\n")
    (image / "shop" / "users.py").write_text(USER)
    with worker(port, tmp_path / "away", "--code", str(image)):
        assert list(Run(asked).endpoints()) == [f"GET image {image}/shop/users.py"]


def test_code_that_the_image_does_not_have_is_told(asked: Plan, port: int, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    with worker(port, tmp_path / "away", "--code", str(tmp_path / "image")) as away:
        with pytest.raises(GeneratorError, match=r"No such file or directory: '.*/image/shop/users\.py'"):
            Run(asked)
        away.expect("the load can't be run; the generator was told why")


def test_local_workers_and_those_from_elsewhere_work_together(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away"):
        run = Run(replace(asked, crew=Crew(1, 1, port=port, come_s=15.0)))
    here, away = sorted(run.endpoints(), key=lambda name: "loadperf-worker" in name)
    assert "loadperf-worker" in away
    assert "loadperf-worker" not in here
    assert run.endpoints()[here] == pytest.approx(run.endpoints()[away], rel=0.3)


def test_who_was_not_let_in_gets_no_users_and_does_no_harm(asked: Plan, port: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(Path(asked.users[0].file)), "--worker"]
    command += ["--master-host", "127.0.0.1", "--master-port", str(port)]
    stages = (Stage("only", users=6, duration="4s"),)
    with (
        worker(port, tmp_path / "away"),
        (tmp_path / "stranger").open("w") as log,
        launched(replace(asked, stages=stages)) as generator,
    ):
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "home")}
        with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as stranger:
            with socket.create_connection(("127.0.0.1", port)) as garbage:
                garbage.sendall(b"GET / HTTP/1.1\r\n\r\n")
            users = [message.users for message in messages if isinstance(message, Second)]
            stranger.kill()
    assert 6 in users[-3:]


def test_a_worker_of_a_load_that_was_given_up_does_not_disturb_the_next(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away") as away:
        with launched(replace(asked, stages=LONG)) as generator:
            messages = generator.messages()
            while not isinstance(next(messages), Second):
                pass
        run = Run(asked)
        away.expect("waiting for a load", times=3)
    assert run.end.requests == run.end.locust_requests > 20


def test_users_code_that_is_imported_for_ever_ends_with_its_time(asked: Plan, port: int, tmp_path: Path) -> None:
    (tmp_path / "home" / "shop" / "basket.py").write_text(
        "import sys\nNAME = 'basket'\nwhile '--worker' in sys.argv or 'loadperf-worker' in __file__:\n    pass\n"
    )
    with worker(port, tmp_path / "away") as away:
        with pytest.raises(GeneratorError, match="after 3 s there are 0 of 1 workers"):
            Run(replace(asked, crew=Crew(joined=1, port=port, root=str(tmp_path / "home"), come_s=3.0)))
        away.expect("not ready within 3 s; the users' code was still being imported")
        away.expect("waiting for a load", times=2)


def test_a_killed_worker_is_named(asked: Plan, port: int, tmp_path: Path) -> None:
    seen = users_now = 0
    with worker(port, tmp_path / "a") as first, worker(port, tmp_path / "b"):
        stages = (Stage("only", users=4, duration="8s"),)
        with launched(replace(asked, stages=stages, crew=Crew(joined=2, port=port, come_s=15.0))) as generator:
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


def test_workers_that_do_not_come_are_told_with_what_to_run(asked: Plan, port: int, tmp_path: Path) -> None:
    told: list[Message] = []
    crew = Crew(local=1, joined=2, port=port, come_s=6.0)
    with (
        worker(port, tmp_path / "away"),
        pytest.raises(
            GeneratorError,
            match=rf"after 6 s there are 2 of 3 workers; the generator listens on 127\.0\.0\.1:{port} for 1 from "
            rf"elsewhere: run `pytest-loadperf worker --master HOST:{port}` there, with this machine's name as HOST",
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
    with worker(port, tmp_path / "away", PYTHONPATH=str(other.parent)) as away:
        with pytest.raises(GeneratorError) as caught:
            Run(asked)
        text = str(caught.value)
        assert "has pytest-loadperf " in text
        assert " and locust 1.2.3, this run has pytest-loadperf " in text
        assert "; install the same versions in both places" in text
        away.expect("refused: the worker on")
        assert away.process.wait(timeout=5) == 1
        assert "pytest-loadperf: the generator does not want this worker" in away.said


def test_code_that_a_worker_lacks_is_told_with_its_traceback(asked: Plan, port: int, tmp_path: Path) -> None:
    away_only = "import sys\nif 'loadperf-worker-' in __file__:\n    import nowhere_installed\n"
    Path(asked.users[0].file).write_text(away_only + USER)
    with (
        worker(port, tmp_path / "away"),
        pytest.raises(GeneratorError, match="No module named 'nowhere_installed'"),
    ):
        Run(asked)


def test_an_address_that_is_taken_is_told(server: str) -> None:
    taken = int(server.rpartition(":")[2])
    with pytest.raises(
        GeneratorError, match=rf"can't listen for workers on 127\.0\.0\.1:{taken}: .*Address already in use"
    ):
        Run(replace(plan(server, "Fast"), crew=Crew(joined=1, port=taken)))
    with pytest.raises(
        GeneratorError, match=r"can't listen for workers on 192\.0\.2\.1:5999: .*Give --loadperf-master"
    ):
        Run(replace(plan(server, "Fast"), crew=Crew(joined=1, host="192.0.2.1", port=5999)))
