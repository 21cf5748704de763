"""How long it takes to judge a run against a long history, once that is loaded."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.history import run
from pytest_loadperf.judge.baseline import find
from pytest_loadperf.judge.verdicts import advised, judge

TARGET_S = 0.2
RUNS, LOADS = 1000, 20


class Judging(NamedTuple):
    """What judging one run took, in seconds of the processor."""

    series: int
    find_s: float  # of it, to find the comparable runs
    seconds: float


def judging() -> Judging:
    """Every advised threshold on every load of one more run."""
    history, now = [run(number, LOADS) for number in range(RUNS)], run(RUNS, LOADS)
    verdicts, finding = [], 0.0
    from scipy.special import stdtr  # noqa: F401 - a run imports it once, however many series it has

    began = time.process_time()
    for load in now.loads:
        looked = time.process_time()
        baseline = find(history, load, now.commit)
        finding += time.process_time() - looked
        verdicts += [judge(threshold, load, baseline, "test") for threshold in advised(load)]
    took = time.process_time() - began
    if strange := [verdict for verdict in verdicts if verdict.status != "ok"]:
        raise SystemExit(f"a run like the others is not ok: {strange[0]}")
    return Judging(len(verdicts), finding, took)
