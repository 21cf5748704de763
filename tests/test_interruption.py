"""Ctrl-C and kills, for real: what is left behind, and what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from projects import ANSWERING, BRIEF, Project, generators, hear_ctrl_c, python

LONG = 'long = load(Shopper, Stage("hold", users=2, duration="60s"))\ndef test_long(long): pass\n'


RELUCTANT = f"""
import sys
from pytest_loadperf import process_service

begin = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(2), sys.exit())); "
serve = [sys.executable, "-c", begin + "subprocess.run(sys.argv[1:]); time.sleep(5)"]
loadperf_service = process_service(
    [*serve, sys.executable, {str(ANSWERING)!r}, "--port", "{{port}}"], ready="/anything"
)
"""


class Running:
    """A pytest of the project that is in the middle of its load."""

    def __init__(self, project: Project, tests: str = LONG) -> None:
        project.module("test_it", tests)
        self._output = project.path / "output.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                python("-m", "pytest", "--loadperf", "-p", "no:cacheprovider"),
                cwd=project.path,
                stdout=output,
                stderr=output,
                preexec_fn=hear_ctrl_c,
            )
        self.tree: list[psutil.Process] = []

    def end(self) -> None:
        """Whatever the test did not."""
        self.process.kill()
        self.process.wait()

    def wait_for_load(self) -> None:
        deadline = time.monotonic() + 120  # another run's load on this machine comes first
        while time.monotonic() < deadline:
            if "up to 2 users" in self.output() and any(generators(self.process.pid)):
                time.sleep(0.5)
                self.tree = psutil.Process(self.process.pid).children(recursive=True)
                return
            time.sleep(0.05)
        raise TimeoutError(self.output())

    def output(self) -> str:
        return self._output.read_text()

    def left(self, within_s: float) -> list[psutil.Process]:
        """Which of its processes still live after that time."""
        return psutil.wait_procs(self.tree, timeout=within_s)[1]


@pytest.fixture
def running(project: Project) -> Iterator[Running]:
    run = Running(project)
    try:
        run.wait_for_load()
        yield run
    finally:
        run.end()


def test_ctrl_c_ends_generator_and_service(running: Running) -> None:
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=10) == pytest.ExitCode.INTERRUPTED
    assert running.left(within_s=1) == []
    assert "KeyboardInterrupt" in running.output()


def test_sigterm_is_as_ctrl_c(running: Running) -> None:  # CI cancels a job with it
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=10) == pytest.ExitCode.INTERRUPTED
    assert running.left(within_s=1) == []
    assert "KeyboardInterrupt: SIGTERM" in running.output()


def test_a_second_ctrl_c_does_not_leave_what_the_first_was_removing(project: Project) -> None:
    (project.path / "conftest.py").write_text(RELUCTANT)
    running = Running(project)
    try:
        running.wait_for_load()
        for _ in range(2):
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        assert running.process.poll() is None
        assert running.process.wait(timeout=10) == pytest.ExitCode.INTERRUPTED
        assert running.left(within_s=0.5) == []
        said = "loadperf: removing what this run has started; once more leaves it to the next run"
        assert said in running.output().splitlines()
    finally:
        running.end()


def test_ctrl_c_while_one_service_is_removed_leaves_no_other(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        RELUCTANT.replace("time.sleep(2)", "open('ending', 'w').close(), time.sleep(2)")
        + "loadperf_service, other_service = process_service(\n"
        f'    [sys.executable, {str(ANSWERING)!r}, "--port", "{{port}}"], ready="/anything"\n), loadperf_service\n'
    )
    running = Running(project, f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush, other_service): pass\n")
    try:
        deadline = time.monotonic() + 60
        while not (project.path / "ending").exists():
            assert time.monotonic() < deadline, running.output()
            running.tree = psutil.Process(running.process.pid).children(recursive=True) or running.tree
            time.sleep(0.01)
        running.process.send_signal(signal.SIGINT)
        running.process.wait(timeout=10)
        assert running.left(within_s=0.5) == []
        assert "KeyboardInterrupt" in running.output()
    finally:
        running.end()


def test_nothing_lives_on_when_pytest_is_killed(running: Running) -> None:
    running.process.kill()
    running.process.wait()
    assert running.left(within_s=3) == []


def test_a_killed_generator_is_an_error_of_the_test_within_two_seconds(running: Running) -> None:
    (child,) = generators(running.process.pid)
    child.kill()
    killed = time.monotonic()
    assert running.process.wait(timeout=10) == pytest.ExitCode.TESTS_FAILED
    assert time.monotonic() - killed < 4  # the summary included
    assert "was killed by SIGKILL before the load ended; there is no result to judge" in running.output()
    assert "1 error" in running.output()


def test_a_service_that_dies_is_an_error_with_its_exit_code_and_log(running: Running) -> None:
    (service,) = [process for process in running.tree if "answering.py" in process.cmdline()[1:2][0]]
    os.kill(service.pid, signal.SIGTERM)
    assert running.process.wait(timeout=15) == pytest.ExitCode.TESTS_FAILED
    assert "answering starts" in running.output()
    assert running.left(within_s=1) == []


def test_a_service_that_is_never_ready_is_an_error_in_words(project: Project) -> None:
    conftest = (
        (project.path / "conftest.py").read_text().replace('ready="/anything"', 'ready="/status/503", timeout="1s"')
    )
    (project.path / "conftest.py").write_text(conftest)
    project.module("test_it", LONG)
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*503*"])
    assert Path(project.path / ".loadperf/report.html").exists()
