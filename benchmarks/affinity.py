"""Do repeated runs agree better when generator and service keep to different cores? `python -m benchmarks.affinity`.

The same two loads of a service in Docker, again and again, by turns: once with the scheduler free to move everything,
once with the generator on one core and the container on the other. Compared is how far the runs of each way are apart,
for what a threshold would look at: their standard deviation, which one odd run can make, and their median distance
from the median, which is that of usual runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median, stdev

from benchmarks.figures import asked, write

DOCKERFILE = """
FROM python:3.11-slim-bookworm
COPY service.py /
CMD ["python", "-u", "/service.py"]
"""

# About 2 ms of work for each request, in one thread: it and the generator together fill more than one core.
SERVICE = """
import asyncio, hashlib

async def serve(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2500)
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8000) as server:
        await server.serve_forever()

asyncio.run(main())
"""

CONFTEST = """
from pytest_loadperf import docker_service

loadperf_service = docker_service(build=".", port=8000{pinned})
"""

TEST = """
import json
from locust import FastHttpUser, task
from pytest_loadperf import Stage, load

class Asker(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/")

warm = dict(duration="1s", measured=False)
full = load(Asker, Stage("warm-up", users=8, **warm), Stage("full", users=8, duration="4s"))
half = load(Asker, Stage("warm-up", rate="150/s", **warm), Stage("half", rate="150/s", duration="4s"))

def test_it(full, half):
    figures = {"full: req/s": full.rps, "full: p95": full.p95_ms, "half: p50": half.p50_ms, "half: p95": half.p95_ms}
    with open("told.json", "w") as file:
        json.dump(figures, file)
"""


def run(folder: Path, generators_core: int | None) -> dict[str, float]:
    """The figures of one run; the generator inherits pytest's cores."""
    pin = None if generators_core is None else partial(os.sched_setaffinity, 0, {generators_core})
    options = ["--loadperf", "--loadperf-no-save", "--loadperf-backend", "docker", "-q", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, preexec_fn=pin)
    told: dict[str, float] = json.loads((folder / "told.json").read_text())
    return told


def prepared(folder: Path, pinned: str) -> Path:
    """A project whose service keeps to a core, or does not."""
    folder.mkdir()
    files = {"Dockerfile": DOCKERFILE, "service.py": SERVICE, "test_it.py": TEST}
    for name, text in {**files, "conftest.py": CONFTEST.format(pinned=pinned)}.items():
        (folder / name).write_text(text)
    return folder


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Every run's figures, by way and name."""
    first, *_, last = sorted(os.sched_getaffinity(0))
    found: dict[str, dict[str, list[float]]] = {"free": {}, "apart": {}}
    with tempfile.TemporaryDirectory() as place:
        free = prepared(Path(place) / "free", "")
        apart = prepared(Path(place) / "apart", f', cpuset="{last}"')
        for _ in range(rounds):
            for way, figures in (("free", run(free, None)), ("apart", run(apart, first))):
                for name, value in figures.items():
                    found[way].setdefault(name, []).append(value)
    return found


def _row(values: Sequence[float]) -> str:
    middle = median(values)
    usual = median(abs(value - middle) for value in values)
    return f"{middle:13.2f}  {stdev(values) / middle:6.1%}  {usual / middle:6.1%}"


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "two runs each way instead of twenty")
    found = measure(2 if options.quick else 20)
    print("                 free: median     all   usual    apart: median     all   usual")
    for name, free in found["free"].items():
        print(f"{name:16} {_row(free)}   {_row(found['apart'][name])}")
    write(options.json, found)


if __name__ == "__main__":
    main()
