"""Does a control service make runs agree better? `python -m benchmarks.control`.

The same load of the same service, again and again; before and after each, a small service that never changes is loaded
for a moment. If what slows the one slows the other, the ratio of their p95 is steadier than the p95 itself: that is
what a control is for. Half of the runs are disturbed by a second load on the machine.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, stdev

from benchmarks.disturbing import disturbed
from benchmarks.figures import asked, write
from pytest_loadperf.history.store import open_store

SERVICE = """
import asyncio, hashlib, sys

async def serve(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", int(sys.argv[2]))
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""

CONFTEST = """
import sys
from pytest_loadperf import process_service

loadperf_service = process_service([sys.executable, "service.py", "{port}", "8000"])
"""

TEST = """
from locust import constant, task
from pytest_loadperf import LeanHttpUser, Stage, load

class Asker(LeanHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self):
        self.client.get("/")

rush = load(Asker, Stage("warm-up", users=4, duration="1s", measured=False), Stage("rush", users=4, duration="5s"))

def test_it(rush):
    pass
"""


def run(folder: Path, seconds: int) -> dict[str, float]:
    """The figures of one run."""
    options = ["--loadperf", f"--loadperf-control={seconds}s", "-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    record = open_store(".loadperf", folder).records(sys.exit)[-1]
    (load,) = record.loads
    stage = load.trials[0].stages[1].summary
    return {"p50": stage.p50_ms, "p95": stage.p95_ms, "control p95": load.control_ms}


def measure(rounds: int, seconds: int) -> dict[str, list[dict[str, float]]]:
    """Every run's figures, quiet and disturbed ones by turns."""
    found: dict[str, list[dict[str, float]]] = {"quiet": [], "disturbed": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in {"service.py": SERVICE, "conftest.py": CONFTEST, "test_it.py": TEST}.items():
            (folder / name).write_text(text)
        for _ in range(rounds):
            for way, runs in found.items():
                with disturbed(way == "disturbed", 0.05, 0.5):
                    runs.append(run(folder, seconds))
    return found


def _spread(values: Sequence[float]) -> str:
    """Of logarithms: the standard deviation, and the median distance from the median."""
    middle = median(values)
    return f"{stdev(values):6.1%}  {median(abs(value - middle) for value in values):6.1%}"


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "three runs each way and a control of one second, instead of twenty and two")
    found = measure(3, 1) if options.quick else measure(20, 2)
    found["all"] = [*found["quiet"], *found["disturbed"]]
    print("                     the number itself     over the control's")
    print("                         all     usual         all     usual")
    for way, runs in found.items():
        for name in ("p50", "p95"):
            alone = [math.log(each[name]) for each in runs]
            ratio = [math.log(each[name] / each["control p95"]) for each in runs]
            print(f"{way:10} {name}:      {_spread(alone)}      {_spread(ratio)}")
    write(options.json, found)


if __name__ == "__main__":
    main()
