"""What the report of a long history costs: `python -m benchmarks.report`.

Histories of 1,000 and of 10,000 runs with 40 series (8 loads, five numbers of each) are written to a directory, and
`pytest-loadperf report` is run on them as its users run it: reading them is part of what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.figures import asked, write
from benchmarks.history import run
from pytest_loadperf.history.record import encode
from pytest_loadperf.quantity import moment
from pytest_loadperf.report.trend import METRICS

LOADS = 8
TARGETS = {1_000: (2.5, 400, 1.5), 10_000: (15.0, None, 1.5)}  # seconds, MB of memory, MB of the page
ROUNDS = 3


class Cost(NamedTuple):
    """What one report took."""

    seconds: float
    memory_mb: float
    page_mb: float


def report(folder: Path) -> Cost:
    """One report of the history in this folder."""
    began = time.perf_counter()
    script = "from pytest_loadperf.cli import command; command()"
    command = [sys.executable, "-c", script, "report", "--history", ".", "--output", "report.html"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    page = (folder / "report.html").stat().st_size
    return Cost(time.perf_counter() - began, usage.ru_maxrss / 1000, page / 1e6)


def extend(folder: Path, known: int, runs: int) -> None:
    """Runs up to this number, as a history has them."""
    (folder / "runs").mkdir(exist_ok=True)
    for number in range(known, runs):
        record = run(number, LOADS)
        (folder / "runs" / f"{moment(record.started_at):%Y%m%dT%H%M%SZ}-{record.id}.json").write_bytes(encode(record))


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "100 and 1,000 runs, once each")
    sizes, rounds = ((100, 1_000), 1) if options.quick else ((100, 1_000, 10_000), ROUNDS)
    found: dict[int, Cost] = {}
    with tempfile.TemporaryDirectory() as place:
        known = 0
        for runs in sizes:
            extend(Path(place), known, runs)
            known = runs
            costs = [report(Path(place)) for _ in range(rounds)]
            found[runs] = Cost(*(median(column) for column in zip(*costs, strict=True)))
    print(f"{LOADS * len(METRICS)} series; medians of {rounds}")
    for runs, cost in found.items():
        print(
            f"{runs:6,} runs  {cost.seconds:6.2f} s  {cost.memory_mb:6.0f} MB  page {cost.page_mb:5.2f} MB",
            _targets(runs),
        )
    fewest, most = min(found), max(found)
    grown = (found[most].seconds - found[fewest].seconds) / (most - fewest) * 1000
    print(f"each further 1,000 runs: {grown:.2f} s")
    write(options.json, {"rounds": rounds, "runs": {runs: cost._asdict() for runs, cost in found.items()}})


def _targets(runs: int) -> str:
    if runs not in TARGETS:
        return ""
    seconds, memory, page = TARGETS[runs]
    return f"   (target: {seconds:g} s, {f'{memory} MB, ' if memory else ''}page {page:g} MB)"


if __name__ == "__main__":
    main()
