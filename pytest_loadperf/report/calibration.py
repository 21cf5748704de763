"""What --loadperf-calibrate tells: how much a load's numbers differ, and what may be demanded of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_loadperf.judge.calibration import Calibration, calibrations
from pytest_loadperf.quantity import show_number
from pytest_loadperf.records import LoadRecord, RunRecord
from pytest_loadperf.report.terminal import Line

_LEFT = ("series", "a limit that would hold")
_HEAD = ("series", "median", "spread", "one run shows", "pairs show", "a limit that would hold")


def calibration_lines(run: RunRecord) -> list[Line]:
    """A table for every load."""
    return [line for load in run.loads for line in _table(load)]


def _table(load: LoadRecord) -> Iterator[Line]:
    found = calibrations(load)
    if not found:
        yield Line(f"{load.key}: too few runs to tell how much they differ", "yellow")
        return
    yield Line(f"{load.key}: {found[0].runs} runs in one session; other sessions differ more", "bold")
    yield Line(f"  pairs: {found[0].runs // 2} of them, as with --loadperf-against")
    rows = [_HEAD, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield Line(("  " + "  ".join(_aligned(row, widths))).rstrip())
    yield Line("")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for name, cell, width in zip(_HEAD, row, widths, strict=True):
        yield cell.ljust(width) if name in _LEFT else cell.rjust(width)


def _row(made: Calibration) -> tuple[str, ...]:
    unit = " points" if made.metric.name == "failure_rate" else "%"
    sign = "+" if made.change >= 0 else "-"
    return (
        str(made.metric),
        made.metric.kind.show(made.centre, 3),
        f"{show_number(made.spread * 100, 2)}{unit}",
        f"{sign}{show_number(abs(made.change) * 100, 2)}{unit}",
        f"{sign}{show_number(abs(made.change_beside) * 100, 2)}{unit}",
        made.threshold,
    )
