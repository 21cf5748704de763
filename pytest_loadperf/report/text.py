"""Untrusted text made fit to be shown: nothing invisible, nothing that turns the line around, nothing endless."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LONGEST_NAME = 100  # of a file
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


def file_name(name: str, taken: set[str]) -> str:
    """A name that any file system takes, and no other file has; it is among `taken` afterwards."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_")[-_LONGEST_NAME:]
    names = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
    unused = next(each for each in names if each.lower() not in taken)  # some file systems know no case
    taken.add(unused.lower())
    return unused


def web_address(text: str | None) -> str:
    """The address, if a link to it is safe: `javascript:` and the like are shown, never linked; else empty."""
    try:
        return text if text is not None and urlsplit(text).scheme in ("http", "https") else ""
    except ValueError:  # http://[ is none
        return ""
