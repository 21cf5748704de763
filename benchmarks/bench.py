"""Two cores, one for the server and one for what loads it, and a folder with the users of every load."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import children_cpu_s

NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "hello from nginx, a small static answer\\n"; }}
    }}
}}
"""

CONFTEST = """
from pytest_loadperf import url_service

loadperf_service = url_service({url!r})
"""

USERS = """
import os
from locust import FastHttpUser, HttpUser, events
from pytest_loadperf import LeanHttpUser

def ask(user):
    user.client.get("/")

class Lean(LeanHttpUser):
    tasks = [ask]

class Fast(FastHttpUser):
    tasks = [ask]

class Plain(HttpUser):
    tasks = [ask]

@events.init.add_listener
def pin(**_):
    os.sched_setaffinity(0, {{{core}}})  # only the process that makes the load gets here
"""


@dataclass(frozen=True)
class Bench:
    """Where everything runs."""

    folder: Path
    servers_core: int
    generators_core: int

    @classmethod
    def of(cls, folder: Path) -> Bench:
        """On the first and the last core that can be used."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise SystemExit("this benchmark needs two cores, one for the server and one for what loads it")
        (folder / "users.py").write_text(USERS.format(core=usable[-1]))
        return cls(folder, usable[0], usable[-1])

    def generate(self, command: list[str], **environment: str) -> tuple[str, float]:
        """What a command prints that makes load on the generator's core, and the processor seconds that it takes."""
        used = children_cpu_s()
        printed = self._run(command, self.generators_core, os.environ | environment)
        return printed, children_cpu_s() - used

    def pytest(self, url: str, test: str) -> Any:
        """What a load test writes to `told.json`; the generator's process is on its core, pytest on the server's."""
        (self.folder / "conftest.py").write_text(CONFTEST.format(url=url))
        (self.folder / "test_it.py").write_text(test)
        options = ["--loadperf", "--loadperf-no-save", "-q", "-p", "no:cacheprovider"]
        self._run([sys.executable, "-m", "pytest", *options], self.servers_core, os.environ)
        return self.told()

    def quiet(self) -> None:
        """Wait until nobody else computes on this machine, but no longer than 20 s."""
        gives_up = time.monotonic() + 20
        while psutil.cpu_percent(interval=1) > 10 and time.monotonic() < gives_up:
            pass

    def told(self) -> Any:
        """The figures that the last load left in the folder."""
        file = self.folder / "told.json"
        told = json.loads(file.read_text())
        file.unlink()
        return told

    def _run(self, command: list[str], core: int, environment: Mapping[str, str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=environment, preexec_fn=_on(core), capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def nginx(self) -> Iterator[str]:
        """An nginx of one worker that answers everything with 40 bytes and closes no connection; its address."""
        if shutil.which("nginx") is None:
            raise SystemExit(
                "nginx is not installed; it is the server that all of them load (Debian: apt install nginx)"
            )
        port = free_port()
        (self.folder / "nginx.conf").write_text(NGINX.format(port=port))
        command = ["nginx", "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "stderr"]
        with self.server(command, port) as url:
            yield url

    @contextmanager
    def server(self, command: list[str], port: int) -> Iterator[str]:
        """A server on its core, from the moment it listens; gives its address."""
        with subprocess.Popen(command, cwd=self.folder, preexec_fn=_on(self.servers_core)) as server:
            try:
                while not _listens(port):
                    if server.poll() is not None:
                        raise SystemExit(f"{command[0]} ended with status {server.returncode} before it listened")
                    time.sleep(0.02)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()


def others_s() -> float:
    """Processor seconds that were spent on this machine, by others than this process and what it started."""
    times = psutil.cpu_times()
    children = psutil.Process().children(recursive=True)
    ours = sum(sum(child.cpu_times()[:2]) for child in children) + children_cpu_s()
    return sum(times) - times.idle - times.iowait - ours


def _on(core: int) -> Any:
    """For `preexec_fn`: the command runs on this core and no other."""
    return partial(os.sched_setaffinity, 0, {core})


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
