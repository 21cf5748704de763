"""Workers that join from elsewhere, in a folder without the users' code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from elsewhere import USER, expecting, worker
from test_generator import Run

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.plan import Plan


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
            assert "/worker-" in file
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


def test_the_account_of_a_worker_that_takes_its_time_at_the_end_is_waited_for(
    asked: Plan, port: int, tmp_path: Path
) -> None:
    slow = """
import time
from locust import events
from locust.runners import WorkerRunner

@events.quitting.add_listener
def rest(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        time.sleep(1)
"""
    with Path(asked.users[0].file).open("a") as code:
        code.write(slow)
    with worker(port, tmp_path / "away"):
        run = Run(asked)
    assert run.end.lost_workers == ()
    assert run.end.requests == run.end.locust_requests == sum(run.endpoints().values()) > 50


def test_of_the_environment_a_worker_is_sent_the_locustfiles_own_arguments_alone(
    asked: Plan, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(port, tmp_path / "away"):
        monkeypatch.setenv("SHOP_SIZE", "7")
        monkeypatch.setenv("SHOP_OTHER", "8")
        Path(asked.users[0].file).write_text("""
import os
from locust import FastHttpUser, constant, events, task

@events.init_command_line_parser.add_listener
def add(parser):
    parser.add_argument("--shop-size", env_var="SHOP_SIZE", default="none")

class Shopper(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        size = self.environment.parsed_options.shop_size
        self.client.get("/anything", name=f"{size} {os.environ.get('SHOP_SIZE')} {os.environ.get('SHOP_OTHER')}")
""")
        assert list(Run(asked).endpoints()) == ["GET 7 None None"]


def test_local_workers_and_those_from_elsewhere_work_together(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away"):
        run = Run(replace(asked, crew=expecting(1, 1, port=port, come_s=15.0)))
    here, away = sorted(run.endpoints(), key=lambda name: "/worker-" in name)
    assert "/worker-" in away
    assert "/worker-" not in here
    assert run.endpoints()[here] == pytest.approx(run.endpoints()[away], rel=0.3)


def test_code_that_a_worker_lacks_is_told_with_its_traceback(asked: Plan, port: int, tmp_path: Path) -> None:
    away_only = "import sys\nif '/worker-' in __file__:\n    import nowhere_installed\n"
    Path(asked.users[0].file).write_text(away_only + USER)
    with (
        worker(port, tmp_path / "away"),
        pytest.raises(GeneratorError, match="No module named 'nowhere_installed'"),
    ):
        Run(asked)
