"""Whether verdicts side by side are true: `python -m benchmarks.verdict_live`.

A small service in Docker that computes for about 11 ms, and its next commit, which computes for as long, for 10 %
longer or for 20 % longer: each verdict is a pytest run of its own, with 5 pairs of 3 s, with and without a second
process that disturbs the machine. Where the pairs do not tell, there are as many again, twice at most. Counted are the
runs in which p95 or the failure rate was called regressed. A verdict takes one to four minutes, so all of them half a
day; `--case` runs some of them. Run it alone on the machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.disturbing import disturbed
from benchmarks.figures import parser, write
from pytest_loadperf.history.store import open_store

WORK_MS = 11
ASKED = 20  # verdicts of each case, which the targets are of


@dataclass(frozen=True)
class Case:
    """So much slower, on a machine that is disturbed or not, in so many pairs: how often that is to be found."""

    slower: float
    disturbed: bool
    pairs: int
    least: int
    most: int = ASKED

    def __str__(self) -> str:
        what = f"{self.slower:+.0%}" if self.slower else "unchanged"
        return f"{what}, {self.pairs} pairs{', disturbed' if self.disturbed else ''}"


CASES = [
    Case(0.0, False, 5, 0, 0),
    Case(0.1, False, 5, 17),
    Case(0.2, False, 5, 20),
    Case(0.0, True, 5, 0, 0),
    Case(0.1, True, 5, 12),
    Case(0.2, True, 5, 18),
    Case(0.05, False, 10, 14),
]

COMPUTE = """
def compute(loops):
    total = 0
    for number in range(loops):
        total += number * number % 7
    return total
"""
FILES = {
    "app/Dockerfile": 'FROM python:3.11-slim-bookworm\nCOPY . /app\nCMD ["python", "/app/serve.py"]\n',
    "app/serve.py": f"""
import asyncio
from pathlib import Path
{COMPUTE}
LOOPS = int((Path(__file__).parent / "loops").read_text())

async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            compute(LOOPS)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    async with await asyncio.start_server(answer, "0.0.0.0", 8000) as server:
        await server.serve_forever()

asyncio.run(main())
""",
    "conftest.py": """
from pytest_loadperf import docker_service
loadperf_service = docker_service(build="app", port=8000)
""",
    "test_it.py": """
import pytest
from locust import task
from pytest_loadperf import LeanHttpUser, Stage, load

class Asker(LeanHttpUser):
    @task
    def ask(self):
        self.client.get("/", name="ask")

steady = load(Asker, Stage("warm-up", users=2, duration="1s", measured=False), Stage("rush", users=2, duration="3s"))

@pytest.mark.loadperf("p95@rush < baseline + 2%")
def test_steady(steady): pass
""",
}


def loops_of(work_ms: float) -> int:
    """How many rounds of the service's computing take so long here."""
    names: dict[str, Any] = {}
    exec(COMPUTE, names)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        names["compute"](100_000)
        took.append(time.perf_counter() - began)
    return round(work_ms / 1000 / min(took) * 100_000)


def committed(folder: Path) -> int:
    """A repository whose branch main holds the unchanged service; its loops."""
    (folder / "app").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    loops = loops_of(WORK_MS)
    (folder / "app" / "loops").write_text(str(loops))
    me = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "unchanged")):
        subprocess.run([*me, *words], cwd=folder, check=True)
    return loops


def verdict(folder: Path, case: Case) -> list[dict[str, str]]:
    """What one run says: each verdict's threshold, status and reason."""
    history = tempfile.mkdtemp(dir=folder)
    options = ["--loadperf-against", "git:main", "--loadperf-pairs", str(case.pairs), "--loadperf-history", history]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--loadperf", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    runs = open_store(history, folder).records(print)
    if not runs:
        raise SystemExit(f"no load ran:\n{done.stdout}{done.stderr}")
    found = [verdict for test in runs[0].tests for verdict in test.verdicts]
    told = ("threshold", "status", "reason", "baseline")
    return [{name: getattr(each, name) for name in told} for each in found]


def measure(case: Case, count: int) -> dict[str, Any]:
    """So many verdicts on one case."""
    runs = []
    with tempfile.TemporaryDirectory(prefix="verdict-live-") as place, disturbed(case.disturbed, 0.2, 3.0):
        folder = Path(place)
        loops = committed(folder)
        (folder / "app" / "loops").write_text(str(round(loops * (1 + case.slower))))
        for _ in range(count):
            runs.append(verdict(folder, case))
            latest = runs[-1][0]
            print(f"  {latest['status']:12}  {latest['reason']}; {latest['baseline']}", flush=True)
    regressed = sum(any(each["status"] == "regressed" for each in run) for run in runs)
    undecided = sum(run[0]["status"] == "inconclusive" for run in runs)
    return {"case": str(case), "verdicts": count, "regressed": regressed, "inconclusive": undecided, "runs": runs}


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    arguments = parser(__doc__, "two verdicts of each case instead of twenty")
    cases = {str(case): case for case in CASES}
    only = f"only this one, of: {'; '.join(cases)}".replace("%", "%%")
    arguments.add_argument("--case", action="append", choices=cases, metavar="NAME", help=only)
    options = arguments.parse_args()
    count = 2 if options.quick else ASKED
    figures = []
    for case in map(cases.__getitem__, options.case or cases):
        print(case, flush=True)
        figures.append(measure(case, count))
        found = figures[-1]
        target = f"at most {case.most}" if case.most < ASKED else f"at least {case.least}"
        print(
            f"  {found['regressed']} of {count} regressed, {found['inconclusive']} inconclusive "
            f"(target: {target} of {ASKED})",
            flush=True,
        )
        write(options.json, figures)


if __name__ == "__main__":
    main()
