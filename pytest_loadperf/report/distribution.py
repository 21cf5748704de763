"""How a load's latencies are distributed, beside the baseline's: as the table of ApacheBench and as a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pytest_loadperf.measure.summary import measured
from pytest_loadperf.model import Summary
from pytest_loadperf.quantity import show_ms
from pytest_loadperf.records import LoadRecord
from pytest_loadperf.report.charts import Chart, swatch
from pytest_loadperf.report.figures import Figure
from pytest_loadperf.report.layers import Hover, Line
from pytest_loadperf.report.scale import Axis, linear

_TABLE = (50, 66, 75, 80, 90, 95, 98, 99, 100)  # those that ApacheBench prints
_CURVE = (50, 60, 66, 75, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 99.8, 99.9)

_TICKS = (2.0, 4.0, 10.0, 20.0, 100.0, 1000.0)  # 50, 75, 90, 95, 99 and 99.9 %


@dataclass(frozen=True)
class Percentile:
    """The latency that `percent` of the requests did not exceed: in this run, and in the median of the baseline's."""

    percent: float
    now_ms: float
    before_ms: float  # NaN without a baseline

    @property
    def x(self) -> float:
        """Its place on the curve: one request in this many is slower, which gives the tail the room it needs."""
        return 1 / (1 - self.percent / 100)


@dataclass(frozen=True)
class Distribution:
    """The percentiles of a load, 100 % included."""

    rows: tuple[Percentile, ...]
    requests: int
    before: str  # what stands beside them: 'median of the 12 runs compared with', 'git:main'; empty without a baseline

    @property
    def table(self) -> list[Percentile]:
        """What ApacheBench prints."""
        return [row for row in self.rows if row.percent in _TABLE]

    @property
    def curve(self) -> Figure | None:
        """Latency over percent, as far as the requests reach; None where they are too few for a curve."""
        rows = [row for row in self.rows if row.percent < 100 and row.x <= self.requests]
        if len(rows) < 3:
            return None
        lines = [Line("this run", [(row.x, row.now_ms) for row in rows], "blue", width=2.25)]
        if self.before:
            lines.append(Line(self.before, [(row.x, row.before_ms) for row in rows], "black", "5 3"))
        far = rows[-1].x
        chart = Chart(
            title="Latency by percentile",
            description=f"{show_ms(rows[0].now_ms)} at 50%, {show_ms(rows[-1].now_ms)} at {rows[-1].percent:g}%.",
            x=Axis(2.0, far, tuple(tick for tick in _TICKS if tick <= far * 1.001), log=True),
            y=linear([value for line in lines for _, value in line.points]),
            layers=lines,
            show_x=lambda x: f"{100 - 100 / x:g}%",
            show_y=show_ms,
            height=150,
            hovers=_hovers(rows),
        )
        return Figure("Latency by percentile", chart.svg(), tuple((swatch(line), line.label) for line in lines))


def distribution(summary: Summary, before: Sequence[LoadRecord], other_build: str = "") -> Distribution:
    """The distribution of a load's measured requests, beside the loads that it is compared with."""
    percents = sorted({*_TABLE, *_CURVE})
    wholes = [whole for load in before if (whole := measured(load)).requests]
    each = [whole.percentiles_ms(percents) for whole in wholes]
    medians = [median(same) for same in zip(*each, strict=True)] if each else [math.nan] * len(percents)
    now = summary.percentiles_ms(percents)
    rows = tuple(Percentile(*row) for row in zip(percents, now, medians, strict=True))
    runs = "the run compared with" if len(each) == 1 else f"median of the {len(each)} runs compared with"
    return Distribution(rows, summary.requests, (other_build or runs) if each else "")


def _hovers(rows: list[Percentile]) -> list[Hover]:
    """Each percentile's numbers, halfway to its neighbours (on the axis, which is logarithmic)."""
    edges = [rows[0].x, *(math.sqrt(one.x * other.x) for one, other in pairwise(rows)), rows[-1].x]
    return [
        Hover(start, end, "\n".join(_title(row))) for row, start, end in zip(rows, edges[:-1], edges[1:], strict=True)
    ]


def _title(row: Percentile) -> list[str]:
    title = [f"{row.percent:g}% within {show_ms(row.now_ms)}"]
    return title if math.isnan(row.before_ms) else [*title, f"before: {show_ms(row.before_ms)}"]
