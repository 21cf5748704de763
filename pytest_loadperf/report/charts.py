"""Charts as static SVG that survives every policy: presentation attributes only, no scripts, no styles.

A chart is as wide as its place: what may be stretched (lines, bands, bars) is drawn in a box of 1000 units across
that the browser stretches, what may not (letters, dots) is placed by percentages on top of it. No library on PyPI
draws charts without a script or a style sheet, which is why this module is our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_loadperf.report.layers import ACROSS, Band, Bars, Dot, Frame, Hover, Layer, Line, Mark, Rule
from pytest_loadperf.report.scale import Axis
from pytest_loadperf.report.svg import GROUND, Ink, fill, joined, letters, number, quoted, stroke

_FOOT = 20.0  # pixels below it, for the labels of the x axis


@dataclass(frozen=True)
class Chart:
    """Layers over two axes; `title` and `description` are what a screen reader says."""

    title: str
    description: str
    x: Axis
    y: Axis
    layers: Sequence[Layer]
    show_x: Callable[[float], str]
    show_y: Callable[[float], str]
    height: float = 120.0  # of the plot, in pixels
    top: float = 14.0  # pixels above the plot
    left: float = 6.0  # percent of the width kept free for the labels of the y axis
    right: float = 1.0
    hovers: Sequence[Hover] = ()

    def svg(self) -> str:
        """The chart."""
        frame = Frame(self.x, self.y, self.left, self.right, self.top, self.height)
        label = quoted(f"{self.title}. {self.description}")
        fixed = "".join(layer.fixed(frame) for layer in self.layers)
        role = "group" if "<a " in fixed else "img"  # what is inside of an image nobody reaches by keyboard
        return (
            f'<svg role="{role}" aria-label="{label}" class="chart" width="100%" '
            f'height="{number(self.top + self.height + _FOOT)}">{GROUND}'
            f"{_y_axis(frame, self.show_y)}{_x_axis(frame, self.show_x)}{self._box(frame)}"
            f"{fixed}</svg>"
        )

    def _box(self, frame: Frame) -> str:
        layers = "".join(layer.stretched(frame) for layer in self.layers)
        hovers = "".join(hover.svg(frame) for hover in self.hovers)
        return (
            f'<svg x="{number(self.left)}%" y="{number(self.top)}" width="{number(100 - self.left - self.right)}%" '
            f'height="{number(self.height)}" viewBox="0 0 {ACROSS} {number(self.height)}" '
            f'preserveAspectRatio="none" overflow="visible">{layers}'
            f'<g fill="none" pointer-events="all">{hovers}</g></svg>'
        )


def _y_axis(frame: Frame, show: Callable[[float], str]) -> str:
    """A hair line for each tick, its label standing on it."""
    parts = []
    for tick in frame.y.ticks:
        y = frame.top + frame.down(tick)
        foot = tick == frame.y.low
        looks = 'class="axis" stroke="#707070"' if foot else 'class="grid" stroke="#dddddd"'
        parts.append(f'<line x1="0" x2="100%" y1="{number(y)}" y2="{number(y)}" {looks}/>')
        parts.append(letters(0, y - 3, show(tick), "grey"))
    return "".join(parts)


def _x_axis(frame: Frame, show: Callable[[float], str]) -> str:
    y = frame.top + frame.height + 14
    return "".join(
        letters(frame.percent(tick), y, show(tick), "grey", anchor="end" if frame.x.at(tick) > 0.97 else "middle")
        for tick in frame.x.ticks
    )


def sparkline(values: Sequence[float], title: str, *, width: float = 120, height: float = 24) -> str:
    """A line of the values from zero up, without axes, its last one marked; nothing where fewer than two are there."""
    there = [value for value in values if math.isfinite(value)]
    if len(there) < 2:
        return ""
    x, y = Axis(0, len(values) - 1), Axis(0, max(0.0, *there) or 1.0)
    points = [
        (4 + x.at(place) * (width - 8), 4 + (1 - y.at(value)) * (height - 8)) for place, value in enumerate(values)
    ]
    end_x, end_y = next(point for point in reversed(points) if not math.isnan(point[1]))
    return (
        f'<svg role="img" aria-label="{quoted(title)}" class="spark" width="{number(width)}" '
        f'height="{number(height)}">{GROUND}<title>{quoted(title)}</title>'
        f'<path d="{joined(points)}" {stroke("blue", 1.5)}/>'
        f'<circle cx="{number(end_x)}" cy="{number(end_y)}" r="2.5" {fill("blue")}/></svg>'
    )


def bar(share: float, ink: Ink, *, width: float = 120, height: float = 12) -> str:
    """A bar that fills this share of its place, for a cell of a table whose number says it in words."""
    if math.isnan(share):
        return ""
    long = number(max(1.0, min(share, 1.0) * width))
    return (
        f'<svg aria-hidden="true" class="bar" width="{number(width)}" height="{number(height)}">'
        f'<rect width="{long}" height="{number(height)}" {fill(ink)} fill-opacity=".75"/></svg>'
    )


def swatch(drawn: Line | Band | Bars | Rule | Mark | Dot) -> str:
    """A sample of how something is drawn, for the legend."""
    match drawn:
        case Line():
            sample = f'<path d="M2 6H26" {stroke(drawn.ink, drawn.width, drawn.dash)}/>'
        case Rule():
            sample = f'<path d="M2 6H26" {stroke(drawn.ink, 1.25, drawn.dash)}/>'
        case Mark():
            sample = f'<path d="M14 0V12" {stroke(drawn.ink, 1.5, drawn.dash)}/>'
        case Band():
            sample = f'<rect x="2" y="1" width="24" height="10" {fill(drawn.ink)} fill-opacity=".18"/>'
        case Bars():
            sample = f'<path d="M6 11v-6h4v6zM12 11v-9h4v9zM18 11v-4h4v4z" {fill(drawn.ink)}/>'
        case Dot():
            sample = drawn.svg("14", 6)
    return f'<svg aria-hidden="true" class="swatch" width="28" height="12">{GROUND}{sample}</svg>'
