"""What the installed plugin costs a pytest run that does not ask for it: `python -m benchmarks.startup`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.figures import asked, children_cpu_s, write

TARGET_MS = 5.0


class Cost(NamedTuple):
    """What one run took; on a busy machine the processor's time is the steadier of the two."""

    elapsed_ms: float
    cpu_ms: float


def run(folder: Path, plugged: bool) -> Cost:
    """One pytest run of a test that does nothing, with the plugin or without it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [] if plugged else ["-p", "no:loadperf"]
    # Some containers keep no bytecode; then an editable install would be compiled in every run, and measured so.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began, used = time.perf_counter(), children_cpu_s()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Cost((time.perf_counter() - began) * 1000, (children_cpu_s() - used) * 1000)


def measure(pairs: int) -> dict[str, float]:
    """Medians with and without the plugin, and the medians of the differences within a pair."""
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
        run(folder, plugged=True)  # compiles what no earlier run has compiled
        for pair in range(pairs):
            # Turn and turn about: what the first or the second of two runs gains, both sides gain equally often.
            for plugged in (True, False) if pair % 2 else (False, True):
                costs[plugged].append(run(folder, plugged))
    both = list(zip(costs[True], costs[False], strict=True))
    return {
        "pairs": pairs,
        "with_ms": median(cost.elapsed_ms for cost in costs[True]),
        "without_ms": median(cost.elapsed_ms for cost in costs[False]),
        "difference_ms": median(plugged.elapsed_ms - plain.elapsed_ms for plugged, plain in both),
        "cpu_difference_ms": median(plugged.cpu_ms - plain.cpu_ms for plugged, plain in both),
        "target_ms": TARGET_MS,
    }


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "5 pairs instead of 20")
    figures = measure(5 if options.quick else 20)
    print(f"with the plugin     {figures['with_ms']:8.1f} ms")
    print(f"-p no:loadperf      {figures['without_ms']:8.1f} ms")
    print(f"median difference   {figures['difference_ms']:8.1f} ms   (target: at most {TARGET_MS:g} ms)")
    print(f"  of processor time {figures['cpu_difference_ms']:8.1f} ms")
    write(options.json, figures)


if __name__ == "__main__":
    main()
