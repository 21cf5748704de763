"""Whether a run that is ended at any moment leaves something behind: `python -m benchmarks.kills`.

Runs of a small project, whose service is a process, a container, a compose file's or a build measured beside another,
some of them under xdist, are ended at random moments: by Ctrl-C, once and twice, by SIGTERM, and by SIGKILL of pytest,
of its generator, of what keeps its service and of an xdist worker. Counted is what is there when the run is over
(processes, containers, networks, folders, worktrees), and what still is after the next run. Nothing may be then; after
an interrupt, and where only a part was killed, nothing may be at once. Needs a Docker engine; a hundred take an hour.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import docker
import docker.errors
import psutil

from benchmarks.figures import parser, write
from pytest_loadperf.history.store import open_store
from pytest_loadperf.owner import Owner

_MARK = "LOADPERF_KILLS"  # in the environment of all that a run starts on this machine
_LABEL = "pytest-loadperf.owner"
_LOCKS = ("load.gate", "load.room", "sweep.lock")
_XDIST = "exec(eval(sys.stdin.readline()))"  # in the command line of its workers
_AT_ONCE_S = 3.0  # so long a process may take to notice that pytest is gone
_ENDS_S = 60.0

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
    "app/serve.py": SERVE,
    "app/Dockerfile": 'FROM python:3.11-slim-bookworm\nCOPY . /app\nCMD ["python", "/app/serve.py"]\n',
    "app/compose.yml": 'version: "2.4"\nservices:\n  web: {build: .}\n  other: {build: .}\n',
    "conftest.py": """
import os, sys
from pytest_loadperf import compose_service, docker_service, process_service
services = {
    "docker": lambda: docker_service(build="app", port=8000),
    "compose": lambda: compose_service(file="app/compose.yml", service="web", port=8000),
    "process": lambda: process_service([sys.executable, "serve.py"], cwd="app"),
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
ENDS = ("Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGKILL", "SIGKILL of the generator", "SIGKILL of a part")
WHOLE = ("SIGKILL",)  # after which the next run may have to tidy up


@dataclass
class Ended:
    """What became of one run."""

    kind: str
    how: str
    after_s: float
    phase: str  # the last line that it told by then
    met: bool = True  # whether what was to be ended was there at that moment
    hung: bool = False
    at_once: list[str] = field(default_factory=list)  # what was left when it was over
    later: list[str] = field(default_factory=list)  # what was left when the next run was over

    @property
    def is_fault(self) -> bool:
        """Whether something was left that should not have been."""
        return self.hung or bool(self.later) or (self.how not in WHOLE and bool(self.at_once))


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

    def start(self, kind: str) -> subprocess.Popen[bytes]:
        """A run of it."""
        service, options = KINDS[kind]
        env = {**os.environ, _MARK: self.mark, "TMPDIR": str(self.temporary), "KIND": service}
        command = [sys.executable, "-m", "pytest", "--loadperf", "-p", "no:cacheprovider", *options]
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


def lasted(place: Place, kind: str) -> float:
    """How long a run takes that nobody ends; its image is built before."""
    for _ in range(2):
        began = time.monotonic()
        if place.start(kind).wait():
            raise SystemExit(f"a run on its own fails:\n{place.output.read_text()}")
    return time.monotonic() - began


def ended(place: Place, kind: str, how: str, lasts_s: float, chance: random.Random) -> Ended:
    """One run, ended in one way at a random moment; and the next one."""
    after_s = chance.uniform(0.1, lasts_s / 2 if " of " in how else lasts_s)
    running = place.start(kind)
    with suppress(subprocess.TimeoutExpired):
        running.wait(after_s)
    place.pids |= {process.pid for process in place.parts(running, _XDIST)}
    told = Ended(kind, how, round(after_s, 2), place.phase())
    told.met = end(place, running, how, kind, chance)
    try:
        running.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        told.hung = True
        running.kill()
        running.wait()
    told.at_once = place.left(_AT_ONCE_S)
    if told.at_once:
        place.start("docker").wait()  # which has to do with the engine, as a run that finds containers must
        told.later = place.left(_AT_ONCE_S)
    return told


def end(place: Place, running: subprocess.Popen[bytes], how: str, kind: str, chance: random.Random) -> bool:
    """End it, or a part of it; whether there was anything to end."""
    if running.poll() is not None:
        return False
    if how.startswith("Ctrl-C"):
        for pause_s in (0.0, chance.uniform(0.05, 1.0))[: 1 + how.endswith("twice")]:
            time.sleep(pause_s)
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all that is in the foreground
        return True
    if how in ("SIGTERM", "SIGKILL"):
        running.send_signal(signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL)
        return True
    while running.poll() is None:
        if parts := killers(place, running, how, kind):
            time.sleep(chance.uniform(0, 0.5))
            parts[0]()
            return True
        time.sleep(0.02)  # it is not there yet
    return False


def killers(place: Place, running: subprocess.Popen[bytes], how: str, kind: str) -> list[Callable[[], None]]:
    """What kills a part of a run, if there is one now: its generator, a worker, or what it loads."""
    if "generator" not in how and kind in ("docker", "compose"):
        return [partial(place.kill_container, container) for container in place.containers()]
    word = "generator" if "generator" in how else _XDIST if "xdist" in kind else "keeper.py"
    return [partial(killed, process) for process in place.parts(running, word)]


def killed(process: psutil.Process) -> None:
    """It may be gone by itself."""
    with suppress(psutil.Error):
        process.kill()


def damaged(place: Place) -> list[str]:
    """What the history says of records that it can't read."""
    said: list[str] = []
    open_store(".loadperf", place.project).records(said.append)
    return said


def main() -> None:
    """End so many runs, and tell what they left."""
    options = parser(__doc__, "12 runs")
    options.add_argument("--count", type=int, default=100, help="how many (default: 100)")
    options.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    asked = options.parse_args()
    chance = random.Random(asked.seed)
    count = 12 if asked.quick else asked.count
    with tempfile.TemporaryDirectory(prefix="loadperf-kills-") as folder:
        place = Place(Path(folder))
        lasts_s = {kind: lasted(place, kind) for kind in KINDS}
        kinds, seen = [*KINDS], []
        for number in range(count):
            kind, how = kinds[number % len(kinds)], ENDS[number // len(kinds) % len(ENDS)]
            told = ended(place, kind, how, lasts_s[kind], chance)
            seen.append(told)
            mark = "FAULT" if told.is_fault else "ok" if told.met else "late"
            print(f"{number + 1:3} {mark:<5} {told.kind:<24} {told.how:<24} {told.after_s:5.1f} s  {told.phase}")
            for line in told.later or (told.at_once if told.is_fault else ()):
                print(f"          left: {line}")
            sys.stdout.flush()
        bad = damaged(place)
    for how in ENDS:
        runs = [each for each in seen if each.how == how and each.met]
        left, later = sum(bool(each.at_once) for each in runs), sum(bool(each.later) for each in runs)
        print(f"{how:<26} {len(runs):3} runs, {left} left something at once, {later} after the next run")
    met = sum(each.met for each in seen)
    faults = sum(each.is_fault for each in seen)
    print(f"{met} of {count} runs ended in time: {faults} at fault, {len(bad)} records damaged")
    write(asked.json, {"runs": [asdict(each) for each in seen], "kinds": Counter(each.kind for each in seen)})


if __name__ == "__main__":
    main()
