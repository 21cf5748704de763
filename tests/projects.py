"""Small projects of a user, run in a pytest of their own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ANSWERING = Path(__file__).with_name("answering.py")

CONFTEST = f"""
import sys
from pytest_loadperf import process_service

loadperf_service = process_service([sys.executable, {str(ANSWERING)!r}, "--port", "{{port}}"], ready="/anything")
"""

SHOPPER = """
import pytest
from locust import FastHttpUser, HttpUser, constant, task
from pytest_loadperf import Stage, load

class Shopper(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def search(self):
        self.client.get("/delay/5", name="search")

    @task
    def cart(self):
        self.client.get("/anything", name="cart")
"""

ONE_SECOND = 'Stage("rush", users=4, duration="1s")'
BRIEF = 'Stage("rush", users=4, duration="500ms")'  # where what is measured does not matter


class Project:
    """A folder with a conftest and test modules."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.path = pytester.path
        (self.path / "conftest.py").write_text(CONFTEST)

    def module(self, name: str, tests: str) -> None:
        """A test module that has a Shopper."""
        (self.path / f"{name}.py").write_text(SHOPPER + tests)

    def run(self, *arguments: str) -> pytest.RunResult:
        """pytest in a process of its own, with --loadperf; warnings are errors in it, too."""
        self._monkeypatch.setenv("COLUMNS", "200")  # else pytest cuts its lines
        # Hypothesis is here for our own tests only, and its plugin adds a tenth of a second to each of many runs.
        without = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
        return self._pytester.runpytest_subprocess("--loadperf", "-Werror", *without, *arguments)


def python(*arguments: str) -> list[str]:
    """A command line of this Python."""
    return [sys.executable, *arguments]


def hear_ctrl_c() -> None:
    """A shell lets what it runs in the background ignore SIGINT, which would be inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def generators(pid: int) -> Iterator[psutil.Process]:
    """The load generators below this process."""
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it is gone, or about to
            if "generator.child" in " ".join(process.cmdline()):
                yield process
