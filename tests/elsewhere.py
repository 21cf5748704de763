"""Workers that join from elsewhere, as `pytest-loadperf worker` starts them, and a plan for them."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from zmq.utils import z85

from pytest_loadperf.plan import Crew, Plan, Reference, Stage

TOKEN = "of-these-tests-alone"
expecting = partial(Crew, token=TOKEN, token_given=True)
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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def secret_key() -> bytes:
    """Of a generator that knows the token."""
    return z85.encode(hashlib.scrypt(TOKEN.encode(), salt=b"pytest-loadperf", n=2**14, r=8, p=1, dklen=32))


def shop(server: str, port: int, home: Path) -> Plan:
    """A plan whose user imports a module of its own package."""
    (home / "shop").mkdir(parents=True)
    (home / "shop" / "__init__.py").write_text("")
    (home / "shop" / "basket.py").write_text("NAME = 'basket'\n")
    (home / "shop" / "users.py").write_text(USER)
    return Plan(
        users=(Reference(str(home / "shop" / "users.py"), "shop.users", "Shopper"),),
        stages=SHORT,
        urls=(server,),
        sys_path=(str(home), *sys.path),
        crew=expecting(joined=1, port=port, root=str(home), come_s=15.0),
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

    def vanish(self) -> None:
        """As with its machine."""
        part = self.part
        self.process.kill()
        part.kill()
        self.process.wait()


@contextmanager
def worker(port: int, folder: Path, *arguments: str, token: str = TOKEN, **environ: str) -> Iterator[Elsewhere]:
    start = "from pytest_loadperf.cli import command; command()"
    command = [sys.executable, "-c", start, "worker", "--master", f"127.0.0.1:{port}", *arguments]
    environ = {**os.environ, "LOADPERF_TOKEN": token, **environ}
    folder.mkdir(exist_ok=True)
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, text=True, env=environ) as process,
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
