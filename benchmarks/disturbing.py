"""A second load on the machine, for benchmarks of what disturbs a measurement."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_COMPUTING = """
import random, sys, time
shortest, longest = map(float, sys.argv[1:])
while True:
    end = time.monotonic() + random.uniform(shortest, longest)
    while time.monotonic() < end:
        pass
    time.sleep(random.uniform(shortest, longest))
"""


@contextmanager
def disturbed(wanted: bool, shortest_s: float, longest_s: float) -> Iterator[None]:
    """Where that is wanted, a process computes and rests by turns, each for a time between these, while it lasts."""
    if not wanted:
        yield
        return
    command = [sys.executable, "-c", _COMPUTING, str(shortest_s), str(longest_s)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()
