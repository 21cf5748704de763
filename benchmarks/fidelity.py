"""How close measured latencies are to the truth: `python -m benchmarks.fidelity`.

A server answers after delays drawn from a log-normal distribution and logs each delay itself; 50 users ask it once a
second each. Compared are the percentiles of its log with those of the result, for each kind of user, and for a bare
socket in a thread: what that adds is the machine's, not the generator's.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.figures import asked, write

SERVER = Path(__file__).parents[1] / "tests" / "answering.py"
USERS = 50

CONFTEST = """
import sys
from pytest_loadperf import process_service

loadperf_service = process_service([sys.executable, {server!r}, "--log", {log!r}, "--port", "{{port}}"])
"""

TEST = """
import json
import random
import time

import pytest
from locust import FastHttpUser, constant
from pytest_loadperf import LeanHttpUser, Stage, load

class Asker:
    wait_time = constant(0)

    def on_start(self):
        time.sleep(random.random())  # else all ask at the same moment, and queue (constant_pacing brings that about)

    def ask(self):
        began = time.perf_counter()
        self.client.get(f"/lognormal?by={{type(self).__name__}}", name="ask")
        time.sleep(max(0, 1 - (time.perf_counter() - began)))

class Fast(Asker, FastHttpUser):
    tasks = [Asker.ask]

class Lean(Asker, LeanHttpUser):
    tasks = [Asker.ask]

fast = load(Fast, Stage("steady", users={users}, duration="{duration}s"))
lean = load(Lean, Stage("steady", users={users}, duration="{duration}s"))

@pytest.mark.parametrize("name", ["fast", "lean"])
def test_steady(name, request):
    result = request.getfixturevalue(name)
    with open({folder!r} + f"/{{name}}.json", "w") as file:
        json.dump({{p: result.percentile_ms(p) for p in (50, 95, 99)}} | {{"requests": result.requests}}, file)
"""


def measure(duration: int) -> list[dict[str, float | str]]:
    """One run with every kind of user, then the bare sockets; a row per kind and percentile."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        log = folder / "log.txt"
        (folder / "conftest.py").write_text(CONFTEST.format(server=str(SERVER), log=str(log)))
        (folder / "test_it.py").write_text(TEST.format(users=USERS, duration=duration, folder=place))
        command = [sys.executable, "-m", "pytest", "--loadperf", "--loadperf-no-save", "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        logged = log.read_text()
        rows = []
        for kind in ("Fast", "Lean"):
            measured = json.loads((folder / f"{kind.lower()}.json").read_text())
            rows += compared(f"{kind}HttpUser", delays(logged, f"by={kind}"), [measured[p] for p in ("50", "95", "99")])
        bare = bare_sockets(duration, log)
        rows += compared("a bare socket", delays(log.read_text(), ""), [percentile(bare, p) for p in (50, 95, 99)])
    return rows


def bare_sockets(duration: int, log: Path) -> list[float]:
    """Latencies in ms of as many threads, each with a socket of its own."""
    found: list[float] = []
    command = [sys.executable, str(SERVER), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        threads = [threading.Thread(target=ask, args=(port, duration, found)) for _ in range(USERS)]
        for thread in threads:
            thread.start()
            time.sleep(1 / USERS)
        for thread in threads:
            thread.join()
        server.kill()
    return found


def ask(port: int, times: int, found: list[float]) -> None:
    """One request a second."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            began = time.perf_counter()
            connection.sendall(b"GET /lognormal HTTP/1.1\r\nhost: localhost\r\n\r\n")
            connection.recv(4096)
            took = time.perf_counter() - began
            found.append(took * 1000)
            time.sleep(max(0.0, 1 - took))


def delays(log: str, mark: str) -> list[float]:
    """What the server logged for one kind of user, in ms."""
    lines = (line.split() for line in log.splitlines())
    return [float(delay) for path, delay in lines if path.startswith("/lognormal") and mark in path]


def percentile(values: list[float], percent: int) -> float:
    """By nearest rank, as the result has it."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def compared(kind: str, truth: list[float], measured_ms: list[float]) -> list[dict[str, float | str]]:
    """The server's percentiles beside the measured ones; allowed are 1 % and 0.3 ms."""
    return [
        {
            "user": kind,
            "percentile": percent,
            "logged_ms": percentile(truth, percent),
            "measured_ms": seen,
            "difference_ms": seen - percentile(truth, percent),
            "allowed_ms": percentile(truth, percent) * 0.01 + 0.3,
        }
        for percent, seen in zip((50, 95, 99), measured_ms, strict=True)
    ]


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "10 s instead of 30 s")
    rows = measure(10 if options.quick else 30)
    print("                     server's log    measured  difference     allowed")
    for found in rows:
        columns = ("logged_ms", "measured_ms", "difference_ms", "allowed_ms")
        numbers = "  ".join(f"{found[column]:7.3f} ms" for column in columns)
        print(f"{found['user']:14} p{found['percentile']}    {numbers}")
    write(options.json, rows)


if __name__ == "__main__":
    main()
