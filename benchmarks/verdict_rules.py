"""The rule of this plugin, and those of others; each says of every window whether its run raises an alarm."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.special import stdtrit

from benchmarks.verdict_runs import Numbers, Windows
from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.rule import RATIO, Standing
from pytest_loadperf.judge.soundness import Earlier
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import judge
from pytest_loadperf.model import GeneratorRecord, StageRecord, Summary, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, RunRecord, ServiceRecord, Status

Rule = Callable[[Windows, float], Numbers]  # of windows and by how much the code got slower: 1.0 for each alarm, else 0
OURS, CONFIRMED = "this plugin, one look", "this plugin, confirmed"

# A server for one client: a line of windows in, a line of alarms out.
_OTAVA = """
import json, sys
from otava.analysis import compute_change_points
def alarms(series):
    found, _ = compute_change_points(series, window_len=50, max_pvalue=0.001, min_magnitude=0.05)
    return any(each.index == len(series) - 1 and each.stats.mean_2 > each.stats.mean_1 for each in found)
for line in sys.stdin:
    print(json.dumps([alarms(series) for series in json.loads(line)]), flush=True)
"""


def one_look(windows: Windows, slower: float) -> Numbers:
    """Whether the run is a suspect."""
    return _alarms(windows, slower, confirmed=False)


def confirmed(windows: Windows, slower: float) -> Numbers:
    """Whether its second measurement is one, too."""
    return _alarms(windows, slower, confirmed=True)


def _alarms(windows: Windows, slower: float, confirmed: bool) -> Numbers:
    found = np.zeros(len(windows.now))
    for place, (before, now, again) in enumerate(_rows(windows, slower)):
        standing = Standing([before], RATIO)
        found[place] = standing.is_worse(now) and (not confirmed or standing.is_worse(again))
    return found


def _rows(windows: Windows, slower: float) -> Iterator[tuple[list[float], float, float]]:
    columns = (windows.before.tolist(), (windows.now * slower).tolist(), (windows.again * slower).tolist())
    return zip(*columns, strict=True)


def percentage(windows: Windows, slower: float) -> Numbers:
    """pytest-benchmark's `--benchmark-compare-fail=mean:10%`: against the run before."""
    return (windows.now * slower > 1.1 * windows.before[:, -1]).astype(float)


def t_test(boundary: float) -> Rule:
    """Bencher's: above that quantile of Student's t with mean and population deviation of the runs, where they vary."""

    def rule(windows: Windows, slower: float) -> Numbers:
        runs = windows.before.shape[1]
        if runs < 2:
            return np.zeros(len(windows.now))
        spread = windows.before.std(axis=1)
        limit = windows.before.mean(axis=1) + spread * stdtrit(runs - 1, boundary)
        alarms: Numbers = ((windows.now * slower > limit) & (spread > 0)).astype(float)
        return alarms

    return rule


@contextmanager
def otava(folder: Path) -> Iterator[Rule]:
    """Apache Otava's change at the last run, from an environment of its own: it pins NumPy. RuntimeError without."""
    python = folder / "otava" / "bin" / "python"
    venv.create(python.parents[1], with_pip=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "apache-otava"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"apache-otava can't be installed: {done.stderr.strip().splitlines()[-1:]}")
    with subprocess.Popen(
        [python, "-c", _OTAVA], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as server:
        asked, told = server.stdin, server.stdout
        if asked is None or told is None:  # never, with these pipes
            raise RuntimeError("no pipes to apache-otava")

        def rule(windows: Windows, slower: float) -> Numbers:
            series = np.column_stack([windows.before, windows.now * slower])
            asked.write(json.dumps(series.tolist()) + "\n")
            return np.array(json.loads(told.readline()), dtype=float)

        yield rule
        asked.close()


def rules(with_otava: bool, folder: Path, stack: ExitStack) -> dict[str, Rule]:
    """All that can be had, by the name of their row; says what can't."""
    found: dict[str, Rule] = {
        "last run + 10 % (pytest-benchmark)": percentage,
        "t-test .95 (Bencher)": t_test(0.95),
        "t-test .99 (Bencher)": t_test(0.99),
    }
    if with_otava:
        try:
            found["E-divisive p .001, 5 % (Otava)"] = stack.enter_context(otava(folder))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            sys.stdout.write(f"without Otava: {error}\n")
    return {**found, OURS: one_look, CONFIRMED: confirmed}


def statuses(windows: Windows, slower: float) -> dict[str, float]:
    """The share of each verdict that a test would show, by the plugin's own judgement of records."""
    threshold = parse("mean < baseline + 5%")
    found: Counter[Status] = Counter()
    for before, now, again in _rows(windows, slower):
        runs = tuple(_kept(number, cost) for number, cost in enumerate(before))
        verdict = judge(threshold, _load(now, again), Baseline(levels=(runs,)), "test")
        found[verdict.status] += 1
    return {status: count / found.total() for status, count in found.items()}


def _kept(number: int, cost: float) -> Earlier:
    load = _load(cost)
    return RunRecord(str(number), "2026-01-01T00:00:00+00:00", 0.0, (load,), ()), load


def _load(cost: float, again: float | None = None) -> LoadRecord:
    service = ServiceRecord("process", "none")
    return LoadRecord("load", "load", service, (_trial(cost),), {}, again=() if again is None else (_trial(again),))


def _trial(cost: float) -> Trial:
    summary = Summary(1.0, requests=1, sum_ms=cost, min_ms=cost, max_ms=cost)
    stage = StageRecord(Stage("stage", users=1, duration="1s"), 0.0, summary, users=1)
    return Trial("2026-01-01T00:00:00+00:00", (stage,), GeneratorRecord(1))


def share(alarms: Numbers) -> float:
    """How many of 1,000 windows raise one."""
    return 1000 * fmean(alarms.tolist())


def red(windows: Windows, alarms: Numbers) -> float:
    """The share of the CI runs in which any series raises one."""
    sounded = {when for when, alarm in zip(windows.sessions, alarms, strict=True) if alarm}
    return len(sounded) / len({*windows.sessions})
