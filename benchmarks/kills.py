"""Whether a run that is ended at any moment leaves something behind: `python -m benchmarks.kills`.

Runs of a small project, whose service is a process, a container, a compose file's or a build measured beside another,
some of them under xdist, are ended at random moments: by Ctrl-C, once and twice, by SIGTERM, and by SIGKILL of pytest,
of its generator, of what keeps its service and of an xdist worker. Counted is what is there when the run is over
(processes, containers, networks, folders, worktrees), and what still is after the next run. Nothing may be then; after
an interrupt, and where only a part was killed, nothing may be at once. Needs a Docker engine; a hundred take a quarter
of an hour.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import psutil

from benchmarks.figures import parser, write
from benchmarks.kills_place import KINDS, Place
from pytest_loadperf.history.store import open_store

_XDIST = "exec(eval(sys.stdin.readline()))"  # in the command line of its workers
_AT_ONCE_S = 3.0  # so long a process may take to notice that pytest is gone
_ENDS_S = 60.0

ENDS = ("Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGKILL", "SIGKILL of the generator", "SIGKILL of a part")
WHOLE = ("SIGKILL",)  # after which the next run may have to tidy up


@dataclass
class Ended:
    """What became of one run."""

    kind: str
    how: str
    after_s: float
    phase: str  # the last line that it told by then
    met: bool = True  # whether what was to be ended was there at that moment
    hung: bool = False
    at_once: list[str] = field(default_factory=list)  # what was left when it was over
    later: list[str] = field(default_factory=list)  # what was left when the next run was over

    @property
    def is_fault(self) -> bool:
        """Whether something was left that should not have been."""
        return self.hung or bool(self.later) or (self.how not in WHOLE and bool(self.at_once))


def lasted(place: Place, kind: str) -> float:
    """How long a run takes that nobody ends; its image is built before."""
    for _ in range(2):
        began = time.monotonic()
        if place.start(kind).wait():
            raise SystemExit(f"a run on its own fails:\n{place.output.read_text()}")
    return time.monotonic() - began


def ended(place: Place, kind: str, how: str, lasts_s: float, chance: random.Random) -> Ended:
    """One run, ended in one way at a random moment; and the next one."""
    after_s = chance.uniform(0.1, lasts_s / 2 if " of " in how else lasts_s)
    running = place.start(kind)
    with suppress(subprocess.TimeoutExpired):
        running.wait(after_s)
    place.pids |= {process.pid for process in place.parts(running, _XDIST)}
    told = Ended(kind, how, round(after_s, 2), place.phase())
    told.met = end(place, running, how, kind, chance)
    try:
        running.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        told.hung = True
        running.kill()
        running.wait()
    told.at_once = place.left(_AT_ONCE_S)
    if told.at_once:
        place.start("docker").wait()  # which has to do with the engine, as a run that finds containers must
        told.later = place.left(_AT_ONCE_S)
    return told


def end(place: Place, running: subprocess.Popen[bytes], how: str, kind: str, chance: random.Random) -> bool:
    """End it, or a part of it; whether there was anything to end."""
    if running.poll() is not None:
        return False
    if how.startswith("Ctrl-C"):
        for pause_s in (0.0, chance.uniform(0.05, 1.0))[: 1 + how.endswith("twice")]:
            time.sleep(pause_s)
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all that is in the foreground
        return True
    if how in ("SIGTERM", "SIGKILL"):
        running.send_signal(signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL)
        return True
    while running.poll() is None:
        if parts := killers(place, running, how, kind):
            time.sleep(chance.uniform(0, 0.5))
            parts[0]()
            return True
        time.sleep(0.02)  # it is not there yet
    return False


def killers(place: Place, running: subprocess.Popen[bytes], how: str, kind: str) -> list[Callable[[], None]]:
    """What kills a part of a run, if there is one now: its generator, a worker, or what it loads."""
    if "generator" not in how and kind in ("docker", "compose"):
        return [partial(place.kill_container, container) for container in place.containers()]
    word = "generator" if "generator" in how else _XDIST if "xdist" in kind else "keeper.py"
    return [partial(killed, process) for process in place.parts(running, word)]


def killed(process: psutil.Process) -> None:
    """It may be gone by itself."""
    with suppress(psutil.Error):
        process.kill()


def damaged(place: Place) -> list[str]:
    """What the history says of records that it can't read."""
    said: list[str] = []
    open_store(".loadperf", place.project).records(said.append)
    return said


def main() -> None:
    """End so many runs, and tell what they left."""
    options = parser(__doc__, "12 runs")
    options.add_argument("--count", type=int, default=100, help="how many (default: 100)")
    options.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    asked = options.parse_args()
    chance = random.Random(asked.seed)
    count = 12 if asked.quick else asked.count
    with tempfile.TemporaryDirectory(prefix="loadperf-kills-") as folder:
        place = Place(Path(folder))
        lasts_s = {kind: lasted(place, kind) for kind in KINDS}
        kinds, seen = [*KINDS], []
        for number in range(count):
            kind, how = kinds[number % len(kinds)], ENDS[number // len(kinds) % len(ENDS)]
            told = ended(place, kind, how, lasts_s[kind], chance)
            seen.append(told)
            mark = "FAULT" if told.is_fault else "ok" if told.met else "late"
            print(f"{number + 1:3} {mark:<5} {told.kind:<24} {told.how:<24} {told.after_s:5.1f} s  {told.phase}")
            for line in told.later or (told.at_once if told.is_fault else ()):
                print(f"          left: {line}")
            sys.stdout.flush()
        bad = damaged(place)
    for how in ENDS:
        runs = [each for each in seen if each.how == how and each.met]
        left, later = sum(bool(each.at_once) for each in runs), sum(bool(each.later) for each in runs)
        print(f"{how:<26} {len(runs):3} runs, {left} left something at once, {later} after the next run")
    met = sum(each.met for each in seen)
    faults = sum(each.is_fault for each in seen)
    print(f"{met} of {count} runs ended in time: {faults} at fault, {len(bad)} records damaged")
    write(asked.json, {"runs": [asdict(each) for each in seen], "kinds": Counter(each.kind for each in seen)})


if __name__ == "__main__":
    main()
