"""What can be drawn in a chart: lines, bands, bars, dots, limits and named stretches of the x axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from pytest_loadperf.report.scale import Axis, Point, thin
from pytest_loadperf.report.svg import FONT, INKS, Ink, fill, joined, letters, number, quoted, stroke
from pytest_loadperf.report.text import shorten

ACROSS = 1000  # units of the stretched box
_COLUMNS = 500  # a line has at most three points in each: about as many as a wide screen can show
_LETTER = 6.2  # pixels, on average


@dataclass(frozen=True)
class Frame:
    """Where the plot stands in its chart: axes, percent of the width left and right of it, pixels down."""

    x: Axis
    y: Axis
    left: float
    right: float
    top: float
    height: float

    def across(self, x: float) -> float:
        """Units from the left of the stretched box."""
        return self.x.at(x) * ACROSS

    def percent(self, x: float) -> float:
        """Percent of the whole chart's width."""
        return self.left + self.x.at(x) * (100 - self.left - self.right)

    def down(self, y: float) -> float:
        """Pixels from the top of the stretched box."""
        return (1 - self.y.at(y)) * self.height


class Layer:
    """Something drawn in a chart: in the box that the browser stretches, or unstretched on top of it."""

    def stretched(self, frame: Frame) -> str:  # noqa: ARG002 - for those that draw there
        """SVG in units of the stretched box."""
        return ""

    def fixed(self, frame: Frame) -> str:  # noqa: ARG002 - likewise
        """SVG in percent across and pixels down the chart."""
        return ""


@dataclass(frozen=True)
class Line(Layer):
    """A line through points in order of x; NaN makes a gap."""

    label: str
    points: Sequence[Point]
    ink: Ink = "blue"
    dash: str = ""
    width: float = 1.75

    def stretched(self, frame: Frame) -> str:
        """One path, thinned without losing an extreme."""
        path = _path(frame, thin(self.points, _COLUMNS))
        return f'<path d="{path}" {stroke(self.ink, self.width, self.dash)}/>' if path else ""


@dataclass(frozen=True)
class Band(Layer):
    """The area between a low and a high value over x; NaN makes a gap."""

    label: str
    points: Sequence[tuple[float, float, float]]  # x, low, high
    ink: Ink = "blue"

    def stretched(self, frame: Frame) -> str:
        """A closed path for each stretch without a gap."""
        path = "".join(self._areas(frame))
        return f'<path d="{path}" {fill(self.ink)} fill-opacity=".18"/>' if path else ""

    def _areas(self, frame: Frame) -> Iterator[str]:
        for missing, group in groupby(self.points, key=lambda point: math.isnan(sum(point))):
            if not missing:
                part = list(group)
                upper = thin([(x, high) for x, _, high in part], _COLUMNS)
                lower = thin([(x, low) for x, low, _ in part], _COLUMNS)
                yield f"{_path(frame, [*upper, *reversed(lower)])}z"


@dataclass(frozen=True)
class Bars(Layer):
    """A bar from the foot of the chart to each value, starting at x and `width` wide in units of x."""

    label: str
    points: Sequence[Point]
    ink: Ink = "vermillion"
    width: float = 1.0

    def stretched(self, frame: Frame) -> str:
        """One path of rectangles, none too small to be seen: a single failure matters."""
        path = "".join(self._bar(frame, x, y) for x, y in self.points if y > 0)
        return f'<path d="{path}" {fill(self.ink)}/>' if path else ""

    def _bar(self, frame: Frame, x: float, y: float) -> str:
        left = frame.across(x)
        wide = max(1.0, (frame.across(x + self.width) - left) * 0.8)
        high = max(1.5, frame.height - frame.down(y))
        return f"M{number(left)} {number(frame.height)}v{number(-high)}h{number(wide)}v{number(high)}z"


@dataclass(frozen=True)
class Rule(Layer):
    """A horizontal line with its name (if any) at the right end: a limit, a median."""

    label: str
    value: float
    ink: Ink = "black"
    dash: str = "5 3"

    def stretched(self, frame: Frame) -> str:
        """The line, across the whole plot."""
        return f'<path d="M0 {number(frame.down(self.value))}H{ACROSS}" {stroke(self.ink, 1.25, self.dash)}/>'

    def fixed(self, frame: Frame) -> str:
        """The name, standing on the line."""
        y = frame.top + frame.down(self.value) - 4
        return letters(100 - frame.right, y, self.label, self.ink, anchor="end") if self.label else ""


@dataclass(frozen=True)
class Span(Layer):
    """A stretch of the x axis with its name (if any) above it: a stage; `shaded` where it does not count."""

    label: str
    start: float
    end: float
    shaded: bool = False

    def stretched(self, frame: Frame) -> str:
        """The shade, and a boundary where it begins."""
        left, right, height = frame.across(self.start), frame.across(self.end), number(frame.height)
        shade = (
            f'<rect x="{number(left)}" width="{number(right - left)}" height="{height}" fill="#808080" '
            'fill-opacity=".14"/>'
        )
        boundary = f'<path d="M{number(left)} 0V{height}" {stroke("grey", 1, "1 3")}/>'
        return (shade if self.shaded else "") + (boundary if left > 0 else "")

    def fixed(self, frame: Frame) -> str:
        """The name, in a box as wide as the stretch, which cuts what does not fit."""
        if not self.label:
            return ""
        left, right = frame.percent(self.start), frame.percent(self.end)
        shown = shorten(self.label, max(4, int((right - left) * ACROSS / 100 / _LETTER)))
        return (
            f'<svg x="{number(left)}%" y="0" width="{number(right - left)}%" height="{number(frame.top)}">'
            f'<text x="3" y="12" {FONT} {fill("grey")}>{quoted(shown)}<title>{quoted(self.label)}</title></text></svg>'
        )


@dataclass(frozen=True)
class Mark(Layer):
    """A moment of the x axis, in which something happened."""

    at: float
    ink: Ink = "vermillion"
    dash: str = "2 3"

    def stretched(self, frame: Frame) -> str:
        """A line from the foot to the top."""
        left = number(frame.across(self.at))
        return f'<path d="M{left} 0V{number(frame.height)}" {stroke(self.ink, 1.5, self.dash)}/>'


@dataclass(frozen=True)
class Dot:
    """One point of `Dots`, with a title for whoever points at it, and an address for whoever clicks."""

    x: float
    y: float
    title: str = ""
    ink: Ink = "blue"
    hollow: bool = False
    shape: Literal["circle", "diamond"] = "circle"
    size: float = 3.0
    interval: tuple[float, float] | None = None  # in which the true value lies, 95 times of 100
    href: str = ""

    def svg(self, x: str, y: float) -> str:
        """The dot at a place: `x` with its unit, `y` in pixels."""
        dot = self._dot(x, y)
        return f'<a href="{quoted(self.href)}" rel="noreferrer">{dot}</a>' if self.href else dot

    def _dot(self, x: str, y: float) -> str:
        looks = fill(self.ink)
        if self.hollow:
            looks = f'class="hollow line-{self.ink}" fill="#ffffff" stroke="{INKS[self.ink]}" stroke-width="1.25"'
        title = f"<title>{quoted(self.title)}</title>" if self.title else ""
        if self.shape == "circle":
            return f'<circle cx="{x}" cy="{number(y)}" r="{number(self.size)}" {looks}>{title}</circle>'
        wide = number(self.size * 1.5)
        path = f"M0 -{wide}L{wide} 0L0 {wide}L-{wide} 0z"
        return f'<svg x="{x}" y="{number(y)}" overflow="visible"><path d="{path}" {looks}>{title}</path></svg>'


@dataclass(frozen=True)
class Dots(Layer):
    """Points that may each look different; what has no place on an axis is left out."""

    points: Sequence[Dot]

    def fixed(self, frame: Frame) -> str:
        """Each dot on top of the lines: it must stay round."""
        placed = (dot for dot in self.points if not math.isnan(frame.x.at(dot.x) + frame.y.at(dot.y)))
        return "".join(_placed(dot, frame) for dot in placed)


def _placed(dot: Dot, frame: Frame) -> str:
    """The dot, on the line of its interval."""
    x = f"{number(frame.percent(dot.x))}%"
    line = ""
    if dot.interval is not None and not math.isnan(sum(dot.interval)):
        low, high = (number(frame.top + frame.down(value)) for value in dot.interval)
        line = f'<line x1="{x}" x2="{x}" y1="{low}" y2="{high}" {stroke(dot.ink, 1.25)} stroke-opacity=".55"/>'
    return line + dot.svg(x, frame.top + frame.down(dot.y))


@dataclass(frozen=True)
class Hover:
    """What is shown of a stretch of x when someone points at it."""

    start: float
    end: float
    title: str

    def svg(self, frame: Frame) -> str:
        """An unseen column with a title."""
        left, right = frame.across(self.start), frame.across(self.end)
        return (
            f'<rect x="{number(left)}" width="{number(right - left)}" height="{number(frame.height)}">'
            f"<title>{quoted(self.title)}</title></rect>"
        )


def _path(frame: Frame, points: Sequence[Point]) -> str:
    return joined((frame.across(x), frame.down(y)) for x, y in points)
