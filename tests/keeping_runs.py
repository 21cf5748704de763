"""Keeps runs in a history, and prints the id of each when it is kept; `--kills N`: in N processes, killed at random."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from records import load, run, trial

from pytest_loadperf.history.store import open_store

RUN = run(loads=[load("rush_hour", trial(answers=0.02))])


def keep(place: str) -> None:
    """One more run."""
    identity = uuid4().hex[:8]
    open_store(place, Path()).append(replace(RUN, id=identity))
    os.write(1, f"{identity}\n".encode())


def killed(place: str, within_s: float) -> None:
    """A process that keeps run after run, and ends at a random moment."""
    child = os.fork()
    if not child:
        while True:
            keep(place)
    time.sleep(random.uniform(0, within_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    place, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    keep(place)
    lasts_s = time.perf_counter() - began
    for _ in range(count - 1):
        if how == "--kills":
            killed(place, 3 * lasts_s)
        else:
            keep(place)
