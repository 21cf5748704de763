"""How close measured latencies are to the truth: `python -m benchmarks.fidelity`.

A server answers after delays drawn from a log-normal distribution and logs each delay itself; 50 users ask it once a
second each. Compared are the percentiles of its log with those of the result.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

CONFTEST = """
import sys
from pytest_loadperf import process_service

loadperf_service = process_service([sys.executable, {server!r}, "--log", {log!r}, "--port", "{{port}}"])
"""

TEST = """
import json
import random
import time
from locust import FastHttpUser, constant_pacing, task
from pytest_loadperf import Stage, load

class Asker(FastHttpUser):
    wait_time = constant_pacing(1)

    def on_start(self):
        time.sleep(random.random())  # else all ask at the same moment, and queue

    @task
    def ask(self):
        self.client.get("/lognormal")

steady = load(Asker, Stage("steady", users=50, spawn_rate=50, duration="{duration}s"))

def test_steady(steady):
    with open({result!r}, "w") as file:
        json.dump({{p: steady.percentile_ms(p) for p in (50, 95, 99)}} | {{"requests": steady.requests}}, file)
"""


def measure(duration: int) -> list[dict[str, float]]:
    """One run; a row per percentile."""
    server = Path(__file__).parents[1] / "tests" / "answering.py"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        log, result = folder / "log.txt", folder / "result.json"
        (folder / "conftest.py").write_text(CONFTEST.format(server=str(server), log=str(log)))
        (folder / "test_it.py").write_text(TEST.format(duration=duration, result=str(result)))
        command = [sys.executable, "-m", "pytest", "--loadperf", "--loadperf-no-save", "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        lines = [line.split() for line in log.read_text().splitlines()]
        truth = sorted(float(delay) for path, delay in lines if path == "/lognormal")
        measured = json.loads(result.read_text())
    if not 0.95 * len(truth) <= measured["requests"] <= len(truth):  # some are sent while the users are being stopped
        raise SystemExit(f"the server logged {len(truth)} requests, the result holds {measured['requests']}")
    return [row(percent, truth, measured[str(percent)]) for percent in (50, 95, 99)]


def row(percent: int, truth: list[float], measured_ms: float) -> dict[str, float]:
    """The server's percentile beside the measured one; allowed is 1 % and 0.3 ms."""
    logged_ms = truth[math.ceil(len(truth) * percent / 100) - 1]
    return {
        "percentile": percent,
        "logged_ms": logged_ms,
        "measured_ms": measured_ms,
        "difference_ms": measured_ms - logged_ms,
        "allowed_ms": logged_ms * 0.01 + 0.3,
        "requests": len(truth),
    }


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="10 s instead of 60 s")
    options = parser.parse_args()
    rows = measure(10 if options.quick else 60)
    print("        server's log   measured   difference   allowed")
    for found in rows:
        print(
            f"p{found['percentile']}  {found['logged_ms']:12.3f} ms {found['measured_ms']:7.3f} ms"
            f" {found['difference_ms']:9.3f} ms {found['allowed_ms']:6.3f} ms"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
