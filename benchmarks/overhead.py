"""What a run takes beyond its stage: `python -m benchmarks.overhead`.

One stage of 10 s on a service that is a local process; timed is the whole pytest command, from its start to its exit,
and the same tests without a load, as what pytest itself takes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import asked, write

STAGE_S = 10
TARGET_S = 2.5

FILES = {
    "conftest.py": """
import sys
from pytest_loadperf import process_service

loadperf_service = process_service([sys.executable, {server!r}, "--port", "{{port}}"], ready="/anything")
""",
    "test_it.py": """
import pytest
from locust import FastHttpUser, constant, task
from pytest_loadperf import Stage, load

class Asker(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/delay/5")

steady = load(Asker, Stage("steady", users=10, duration="{duration}s"))

@pytest.mark.loadperf("p95 < 1s", "failure_rate < 1%", "p95 < baseline + 100%")
def test_steady(steady):
    assert steady.requests > 100
""",
}


def seconds(folder: Path, *arguments: str) -> float:
    """How long one pytest command takes."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, float]:
    """Medians of interleaved rounds."""
    server = str(Path(__file__).parents[1] / "tests" / "answering.py")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in FILES.items():
            (folder / name).write_text(text.format(server=server, duration=STAGE_S))
        pairs = [(seconds(folder, "--loadperf"), seconds(folder)) for _ in range(rounds)]
    return {
        "rounds": rounds,
        "with_load_s": median(loaded for loaded, _ in pairs),
        "skipped_s": median(skipped for _, skipped in pairs),
        "beyond_the_stage_s": median(loaded for loaded, _ in pairs) - STAGE_S,
        "target_s": TARGET_S,
    }


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "one round instead of five")
    figures = measure(1 if options.quick else 5)
    print(f"a run with one stage of {STAGE_S} s  {figures['with_load_s']:6.2f} s")
    print(f"the same, skipped             {figures['skipped_s']:6.2f} s")
    print(f"beyond the stage              {figures['beyond_the_stage_s']:6.2f} s   (target: at most {TARGET_S:g} s)")
    write(options.json, figures)


if __name__ == "__main__":
    main()
