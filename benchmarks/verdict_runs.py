"""Runs whose code is known not to have changed: histories of real benchmarks, and a model of noise."""

from __future__ import annotations

import csv
import gzip
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

CVS = (0.03, 0.06, 0.10, 0.15)
_CONTROL = "connect"  # one of fastify's series, which ran in the same session as each of the others
_ECHO = 0.3  # how much of a run's deviation is still there in the next one
_TAIL = 4  # degrees of freedom of the deviations: one in a hundred is beyond 3.7 of their own spreads
_SLOW_SHARE, _SLOW_BY = 0.05, 0.2  # of the runs; on average, in logarithms
_SETTLING = 20  # runs until the model has forgotten how it began


@dataclass(frozen=True)
class Windows:
    """Earlier runs, the run to judge and its second measurement, a row each; costs, all of the same code."""

    name: str
    before: Numbers  # rows by earlier runs, oldest first
    now: Numbers
    again: Numbers
    sessions: Sequence[str] = ()  # when the run to judge was: a CI run judges several series; empty in the model


class _Run(NamedTuple):
    number: int
    date: str
    cost: float
    version: str


class Histories:
    """The real histories in a file of `dataset,series,run,date,cost,version`."""

    def __init__(self, path: Path) -> None:
        self._series: defaultdict[tuple[str, str], list[_Run]] = defaultdict(list)
        with gzip.open(path, "rt", newline="") as file:
            for row in csv.DictReader(file):
                run = _Run(int(row["run"]), row["date"], float(row["cost"]), row["version"])
                self._series[row["dataset"], row["series"]].append(run)
        for runs in self._series.values():
            runs.sort()

    def windows(self, earlier: int) -> Iterator[Windows]:
        """Every window of so many runs, of each of the three sets."""
        for name, of_one_version, control in (
            ("fastify", True, False),
            ("fastify/control", True, True),
            ("msal", False, False),
        ):
            dataset = name.partition("/")[0]
            sessions, rows = zip(*self._costs(dataset, earlier, of_one_version, control), strict=True)
            costs = np.array(rows)
            yield Windows(name, costs[:, :earlier], costs[:, earlier], costs[:, earlier + 1], sessions)

    def _costs(
        self, dataset: str, earlier: int, of_one_version: bool, control: bool
    ) -> Iterator[tuple[str, list[float]]]:
        """The windows; with the control, each cost is a multiple of that of the same session."""
        controls = {run.date: run.cost for run in self._series[dataset, _CONTROL]} if control else {}
        for (found, name), series in self._series.items():
            if found != dataset or (control and name == _CONTROL):
                continue
            runs = [run for run in series if not control or run.date in controls]
            for first in range(len(runs) - earlier - 1):
                window = runs[first : first + earlier + 2]
                versions = {run.version for run in window}
                if not of_one_version or (len(versions) == 1 and "" not in versions):
                    yield window[earlier].date, [run.cost / controls.get(run.date, 1.0) for run in window]


def simulated(earlier: int, windows: int) -> Iterator[Windows]:
    """Windows of the model, for each of CVS.

    The logarithms have heavy tails (Student's t), each keeps some of the deviation before it, and one run in twenty is
    slow besides.
    """
    for cv in CVS:
        chance = np.random.default_rng([earlier, round(cv * 1000)])
        shape = (windows, _SETTLING + earlier + 2)
        deviations = chance.standard_t(_TAIL, shape) / math.sqrt(_TAIL / (_TAIL - 2))
        for run in range(1, shape[1]):
            deviations[:, run] = _ECHO * deviations[:, run - 1] + math.sqrt(1 - _ECHO**2) * deviations[:, run]
        slow = chance.exponential(_SLOW_BY, shape) * (chance.random(shape) < _SLOW_SHARE)
        costs = np.exp(math.sqrt(math.log1p(cv**2)) * deviations + slow)[:, _SETTLING:]
        yield Windows(f"model, CV {cv:.0%}", costs[:, :earlier], costs[:, earlier], costs[:, earlier + 1])
