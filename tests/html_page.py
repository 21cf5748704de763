"""A report read back as a browser would read it, and strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

import records

from pytest_loadperf.records import RunRecord
from pytest_loadperf.report import html

VOID = {"meta", "br", "wbr", "input"}
CELLS = {"td", "th", "br"}  # what stands apart without a space between


class Page(HTMLParser):
    """A page read strictly: what is opened must be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in CELLS:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(run: RunRecord, history: Sequence[RunRecord] = ()) -> Page:
    return Page(html.render(run, history))


def failing() -> RunRecord:
    broken = records.verdict("p95 < 100ms", "broken", observed="113 ms", limit="< 100 ms")
    regressed = records.verdict(
        "rps > baseline - 5%",
        "regressed",
        observed="90/s",
        limit="> 127/s (134/s - 5%)",
        baseline="median of 8 runs on main, newest 2026-09-04 20:00 UTC 1f83ab2",
    )
    held = records.verdict("p99 < 1s", observed="163 ms", limit="< 1000 ms", reason="with 40 requests to spare")
    new = records.verdict("p95 < baseline", "no_baseline", reason="no earlier run of this load on main")
    return records.run(
        8,
        tests=[
            records.judged("test_green[a::b]", "passed", held),
            records.judged("test_new", "passed", new, held),
            records.judged("test_red", "failed", held, broken, regressed, message="E   2 broken"),
            records.judged("test_later", "skipped"),
        ],
    )
