"""The live line of a running load: a bar on a terminal, a line every ten seconds elsewhere, almost none under -q."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_loadperf.model import Summary
from pytest_loadperf.notice import Notice
from pytest_loadperf.plan import Stage
from pytest_loadperf.quantity import show_ms

if TYPE_CHECKING:
    from tqdm import tqdm

_EVERY_S = 10.0
_SETTLED_S = 0.5
_BAR = "{desc} {bar:20} {n:.0f}/{total:.0f} s{postfix}"
_BAR_OF_REQUESTS = "{desc} {bar:20} {n:.0f}/{total:.0f} requests{postfix}"
_COUNTER = "{desc} {n:.0f} s{postfix}"


class Progress:
    """Writes past pytest's capturing, which holds what a test prints."""

    def __init__(self, config: pytest.Config, told: Path | None = None) -> None:
        self._config = config
        self._told = told  # where a worker of xdist leaves its lines: the terminal is the controller's

    @cached_property
    def silent(self) -> bool:
        """Whether nothing is shown while the run goes on."""
        return self._config.get_verbosity() < 0 or (self._told is None and self._reporter is None)

    @property
    def draws(self) -> bool:
        """Whether there is a terminal that a bar can move on."""
        return not self.silent and self._told is None and sys.stderr.isatty()

    @cached_property
    def _reporter(self) -> Any:
        # Looked up late: pytest registers it after it has configured the plugins.
        return self._config.pluginmanager.get_plugin("terminalreporter")

    def say(self, line: str) -> None:
        """Write one line; where nothing is shown, only a Notice."""
        if self.silent and not isinstance(line, Notice):
            return
        if self._told is not None:
            with self._told.open("a") as file:
                file.write(f"{line}\n")
            return
        if self._reporter is None:
            return
        with self.visible():
            self._reporter.ensure_newline()
            self._reporter.write_line(line)
            self._reporter.flush()  # CI reads a pipe, which holds lines back until it has kilobytes of them

    @contextmanager
    def visible(self) -> Iterator[None]:
        """While the real terminal is reached."""
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            yield
        else:
            with capture.global_and_fixture_disabled():
                yield

    def bar(self, stage: str, asked: Stage | None) -> tqdm[Any]:
        """A new bar, on a line of its own."""
        from tqdm import tqdm

        self._reporter.ensure_newline()
        form, total = (_COUNTER, None) if asked is None else (_BAR, asked.duration_s)
        if asked and asked.requests:
            form, total = _BAR_OF_REQUESTS, asked.requests
        return tqdm(total=total, desc=stage, bar_format=form, file=sys.stderr, dynamic_ncols=True)

    @contextmanager
    def load(self, title: str) -> Iterator[Watcher]:
        """A watcher for one trial."""
        watcher = Watcher(self, title)
        try:
            yield watcher
        finally:
            watcher.end()


class Watcher:
    """One trial's line."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._stage = ""
        self._asked: Stage | None = None
        self._bar: tqdm[Any] | None = None
        self._began = self._last_line = time.monotonic()
        self._failures = 0

    def waiting(self, text: str) -> None:
        """The load has not begun, or goes on although somebody was refused."""
        self._say_above(f"{self._title}: {text}")

    def stage(self, name: str, asked: Stage | None) -> None:
        """A stage begins; a shape says only as it goes how many users it asks for, and how long."""
        self._close()
        self._began = self._last_line = time.monotonic()
        self._failures = 0
        self._asked = asked
        self._stage = f"{self._title} · {name}"
        if self._progress.silent:
            return
        with self._progress.visible():
            if self._progress.draws:
                self._bar = self._progress.bar(self._stage, asked)
        if self._bar is None:
            self._progress.say(f"{self._stage}: {_planned(asked)}")

    def second(self, users: int, recent: Summary, made: int) -> None:
        """About a second has passed; `recent` holds what was answered in it, and so many were in the stage so far."""
        passed_s = time.monotonic() - self._began
        if self._progress.silent or passed_s < _SETTLED_S:  # this tells of the stage before
            return
        self._failures += recent.failures
        told = f"{users} users, {recent.rps:.0f} req/s, p95 {show_ms(recent.p95_ms)}, {self._failures} failed"
        if self._asked and passed_s > self._asked.duration_s + _SETTLED_S:
            told = f"waiting for the last answers of {users} users"
        if self._bar is not None:
            self._draw(self._bar, made if self._asked and self._asked.requests else passed_s, told)
        elif time.monotonic() - self._last_line >= _EVERY_S:
            self._last_line = time.monotonic()
            requests = f", {made} of {self._asked.requests} requests" if self._asked and self._asked.requests else ""
            self._progress.say(f"{self._stage}: {passed_s:.0f} s{requests}, {told}")

    def scaled(self, text: str) -> None:
        """The service has more replicas, or fewer."""
        self._say_above(f"loadperf: {text}")

    def _say_above(self, line: str) -> None:
        if self._bar is not None:
            with self._progress.visible():
                self._bar.clear()
        self._progress.say(line)

    def _draw(self, bar: tqdm[Any], done: float, told: str) -> None:
        with self._progress.visible():
            bar.n = min(done, bar.total or done)
            bar.set_postfix_str(told, refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            with self._progress.visible():
                self._bar.close()
            self._bar = None

    def end(self) -> None:
        """The trial is over."""
        self._close()


def _planned(asked: Stage | None) -> str:
    if asked is None:
        return "as the shape says"
    size = asked.size if asked.rate or asked.users == 1 else f"up to {asked.size}"
    return f"{size} for {asked.extent}" + ("" if asked.measured else ", not measured")
