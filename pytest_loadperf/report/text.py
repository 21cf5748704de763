"""Untrusted text made fit to be shown: nothing invisible, nothing that turns the line around, nothing endless."""

from __future__ import annotations

import re

# Control characters, bidirectional marks and overrides, lone surrogates (which UTF-8 can't carry at all).
_TRICKY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: str) -> str:
    """The text with each character that hides, or reorders what stands beside it, spelt out as an escape."""
    return _TRICKY.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def one_line(text: str) -> str:
    """The visible text with every run of white space as one space."""
    return visible(" ".join(text.split()))


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters in one line; what is too long loses its middle, since names differ at both ends."""
    line = one_line(text)
    if len(line) <= limit:
        return line
    tail = (limit - 1) // 3
    return f"{line[: limit - 1 - tail]}…{line[len(line) - tail :]}"
