"""The project whose runs `benchmarks.kills` ends, and all that they leave on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import docker
import docker.errors
import psutil

from pytest_loadperf.owner import Owner

_MARK = "LOADPERF_KILLS"  # in the environment of all that a run starts on this machine
_LABEL = "pytest-loadperf.owner"
_LOCKS = ("load.gate", "load.room", "sweep.lock")

SERVE = """
import http.server, os, socketserver
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer.request_queue_size = 100
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", 8000))), Answers).serve_forever()
"""
FILES = {
    "answers/serve.py": SERVE,
    "answers/Dockerfile": 'FROM python:3.11-slim-bookworm\nCOPY . /app\nCMD ["python", "/app/serve.py"]\n',
    "answers/compose.yml": 'version: "2.4"\nservices:\n  web: {build: .}\n  other: {build: .}\n',
    "conftest.py": """
import os, sys
from pytest_loadperf import compose_service, docker_service, process_service
services = {
    "docker": lambda: docker_service(build="answers", port=8000),
    "compose": lambda: compose_service(file="answers/compose.yml", service="web", port=8000),
    "process": lambda: process_service([sys.executable, "serve.py"], cwd="answers"),
}
loadperf_service = services[os.environ["KIND"]]()
""",
    "test_it.py": """
import pytest
from locust import task
from pytest_loadperf import LeanHttpUser, Stage, load

class Asker(LeanHttpUser):
    @task
    def ask(self): self.client.get("/")

rush = load(Asker, Stage("ramp", users=4, spawn_rate=4, duration="1s"), Stage("hold", users=4, duration="1s"))

@pytest.mark.loadperf("failure_rate < 1%", "p95 < baseline + 900%")
def test_rush(rush): pass

def test_ordinary(): pass
""",
}
BESIDE = ("--loadperf-against", "git:HEAD", "--loadperf-pairs", "2")
KINDS = {  # what is started, and with which options
    "process": ("process", ()),
    "process, xdist": ("process", ("-n", "2")),
    "process beside git:HEAD": ("process", BESIDE),
    "docker": ("docker", ()),
    "docker, xdist": ("docker", ("-n", "2")),
    "compose": ("compose", ()),
}


class Place:
    """A project with a temporary folder of its own, and all that its runs have left anywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.project = folder / "project"
        for name, text in FILES.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "all of it")
        self.mark = uuid4().hex
        self.pids: set[int] = set()  # of the runs, and of xdist workers: either may have started a container
        self._client = docker.from_env()

    def git(self, *words: str) -> str:
        """What git prints."""
        me = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        return subprocess.check_output(["git", *me, *words], cwd=self.project, text=True)

    def start(self, kind: str, *more: str) -> subprocess.Popen[bytes]:
        """A run of it, with more options."""
        service, options = KINDS[kind]
        env = {**os.environ, _MARK: self.mark, "TMPDIR": str(self.temporary), "KIND": service}
        command = [sys.executable, "-m", "pytest", "--loadperf", "-p", "no:cacheprovider", *options, *more]
        with self.output.open("wb") as output:
            started = subprocess.Popen(
                command, cwd=self.project, env=env, stdout=output, stderr=output, start_new_session=True
            )
        self.pids.add(started.pid)
        return started

    @property
    def output(self) -> Path:
        """What the latest run has printed."""
        return self.folder / "output.txt"

    def phase(self) -> str:
        """The last thing that it told."""
        lines = [line.strip() for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:60] if lines else "starting"

    def left(self, within_s: float) -> list[str]:
        """What is there of its runs, if it does not go in time."""
        end = time.monotonic() + within_s
        while (found := [*self._left()]) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def _left(self) -> Iterator[str]:
        for process in self.processes():
            with suppress(psutil.Error):
                yield f"process {process.pid} {' '.join(process.cmdline())[:80]}"
        for container in self._client.api.containers(all=True, filters={"label": "pytest-loadperf=1"}):
            if self._is_ours(container["Labels"].get(_LABEL, "")):
                yield f"container {container['Names'][0]}"
        for network in self._client.networks.list():
            if self._is_ours(network.name or ""):
                yield f"network {network.name}"
        for path in self.temporary.rglob("*"):
            within = path.relative_to(self.temporary)
            of_pytest = within.parts[0].startswith("pytest-of-")  # which keeps those of three runs
            if path.name not in _LOCKS and not path.name.startswith("pytest-loadperf-") and not of_pytest:
                yield f"in the temporary folder: {within}"
        for line in self.git("worktree", "list").splitlines()[1:]:
            yield f"worktree {line}"
        yield from (f"half a record: {path.name}" for path in self.project.glob(".loadperf/runs/.*"))

    def _is_ours(self, mark: str) -> bool:
        owner = Owner.named(mark)
        return owner is not None and owner.pid in self.pids

    def containers(self) -> list[str]:
        """The ids of those that its runs have started."""
        found = self._client.api.containers(filters={"label": "pytest-loadperf=1"})
        return [each["Id"] for each in found if self._is_ours(each["Labels"].get(_LABEL, ""))]

    def kill_container(self, container: str) -> None:
        """As if it had run out of memory."""
        with suppress(docker.errors.APIError):
            self._client.api.kill(container)

    def processes(self) -> list[psutil.Process]:
        """All that runs of this project started, wherever they went."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def parts(self, running: subprocess.Popen[bytes], word: str) -> list[psutil.Process]:
        """Processes of a run in whose command line a word stands."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if process.pid != running.pid and word in " ".join(process.cmdline()):
                    found.append(process)
        return found
