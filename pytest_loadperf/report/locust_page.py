"""Locust's own page of each trial, for those who want it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_loadperf.generator.protocol import LocustPage
from pytest_loadperf.report.text import file_name


class LocustPages:
    """Keeps them in a folder as they come: each is a megabyte, too much to hold or to hand on until the run ends."""

    def __init__(self, folder: Path | None, fail: Callable[[str], None]) -> None:
        """Without a folder none is to come; `fail` is told why one is missing, which costs no load its result."""
        self._folder = folder
        self._fail = fail
        self._taken: set[str] = set()

    def keep(self, home: str, title: str, page: LocustPage) -> None:
        """That of the trial with this title, of a load at home in this module: others may have the load's name."""
        assert self._folder is not None
        if page.fault:
            self._fail(
                f"Locust's own page of {title} could not be made: {page.fault}; the load is judged without it. "
                "The likely cause is user code that gives locust.stats what Locust can't chart"
            )
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{file_name(f'{home} {title}', self._taken)}.html").write_text(page.html, encoding="utf-8")
        except OSError as error:
            self._fail(
                f"Locust's own pages could not be written to {self._folder}: {error.strerror}; make it writable, or "
                "give another folder"
            )
