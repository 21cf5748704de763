"""The few SVG elements that charts are made of: presentation attributes only, every text escaped.

Classes are for the page's style sheet (dark mode); where a policy removes it, the attributes stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Literal

from pytest_loadperf.report.scale import Point
from pytest_loadperf.report.text import visible

# Of Okabe and Ito's colours, which colour-blind people can tell apart; never the only difference between two things.
Ink = Literal["blue", "green", "vermillion", "purple", "black", "grey"]
INKS: dict[Ink, str] = {
    "blue": "#0072b2",
    "green": "#009e73",
    "vermillion": "#d55e00",
    "purple": "#cc79a7",
    "black": "#1a1a1a",
    "grey": "#707070",
}
GROUND = '<rect class="ground" width="100%" height="100%" fill="#ffffff"/>'
FONT = 'font-family="system-ui, sans-serif" font-size="11"'


def number(value: float) -> str:
    """A coordinate, short: a tenth of a unit is finer than any screen."""
    return f"{value:.1f}".removesuffix(".0")


def quoted(text: str) -> str:
    """The text, escaped for an element or an attribute."""
    return escape(visible(text), quote=True)


def stroke(ink: Ink, width: float, dash: str = "") -> str:
    """The attributes of a line, as wide on the screen as said however its box is stretched."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'class="line-{ink}" fill="none" stroke="{INKS[ink]}" stroke-width="{width:g}"{dashes} '
        'stroke-linejoin="round" stroke-linecap="round" vector-effect="non-scaling-stroke"'
    )


def fill(ink: Ink) -> str:
    """The attributes of an area."""
    return f'class="ink-{ink}" fill="{INKS[ink]}"'


def letters(percent: float, y: float, text: str, ink: Ink, *, anchor: str = "start") -> str:
    """Text with a halo in the ground's colour, so that a line may pass behind it."""
    return (
        f'<text x="{number(percent)}%" y="{number(y)}" text-anchor="{anchor}" {FONT} class="ink-{ink} halo" '
        f'fill="{INKS[ink]}" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke" '
        f'pointer-events="none">{quoted(text)}</text>'
    )


def joined(points: Iterable[Point]) -> str:
    """Path data through the points; one that stands alone between gaps becomes a dot, by a line of no length."""
    parts = []
    for missing, group in groupby(points, key=lambda point: math.isnan(point[0] + point[1])):
        if not missing:
            places = [f"{number(x)} {number(y)}" for x, y in group]
            parts.append(f"M{'L'.join(places)}" + ("h0" if len(places) == 1 else ""))
    return "".join(parts)
