"""The percentiles that are told of everything, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple


class Percentile(NamedTuple):
    """A latency that a share of the requests did not exceed, and between which latencies the true one lies."""

    ms: float
    low_ms: float
    high_ms: float = math.inf  # where too few requests were sent to tell


class Percentiles:
    """Some percentiles by name: '95', '99.9'.

    Those that were kept are a text until somebody asks for one: a long history holds hundreds of thousands, and most
    are of endpoints that nobody asks about.
    """

    __slots__ = ("_known", "_text")
    __hash__ = None  # type: ignore[assignment] # like a dict's

    def __init__(self, known: Mapping[str, Percentile] | None = None) -> None:
        self._known = dict(known or {})
        self._text = ""

    @classmethod
    def of_text(cls, text: str) -> Percentiles:
        """The percentiles that `to_text` wrote; none, where it can't be read: they can be reckoned again."""
        made = cls()
        made._text = text
        return made

    def to_text(self) -> str:
        """Each as its name, the latency, and its interval: '50 12.1 11.8 12.5;99.9 80.0 61.5 inf'."""
        return self._text or ";".join(f"{name} {_words(each)}" for name, each in self._known.items())

    @property
    def known(self) -> dict[str, Percentile]:
        """All of them."""
        if self._text:
            self._known, self._text = _read(self._text), ""
        return self._known

    def get(self, name: str) -> Percentile | None:
        """The one of this name, if it is known."""
        return self.known.get(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Percentiles) and self.known == other.known

    def __repr__(self) -> str:
        return f"Percentiles({self.known!r})"


def _words(percentile: Percentile) -> str:
    return " ".join(map(repr, percentile))


def _read(text: str) -> dict[str, Percentile]:
    found = {}
    try:
        for part in text.split(";"):
            name, *values = part.split(" ")
            ms, low_ms, high_ms = map(float, values)
            found[name] = Percentile(ms, low_ms, high_ms)
    except ValueError:
        return {}
    return found
