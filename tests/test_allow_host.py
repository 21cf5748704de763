"""Which hosts a run may load: --loadperf-allow-host and its ini twin, against a server at a public address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from projects import ANSWERING, BRIEF, Project

from pytest_loadperf.guard import HostGuard
from pytest_loadperf.settings import read

TEST = f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): assert rush.requests > rush.failures\n"


@dataclass(frozen=True)
class Public:
    """A server on this machine that the guard takes for another one's."""

    host: str
    url: str
    log: Path

    @property
    def answered(self) -> int:
        return len(self.log.read_text().splitlines())


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Public]:
    entries = [entry for found in psutil.net_if_addrs().values() for entry in found]
    own = [entry.address for entry in entries if entry.family == socket.AF_INET]
    host = next(filter(HostGuard(()).refused, own), None)
    if host is None:
        pytest.skip("every address of this machine is private")
    log = tmp_path / "answers.log"
    command = [sys.executable, str(ANSWERING), "--host", host, "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Public(host, f"http://{host}:{process.stdout.readline().strip()}", log)
        process.kill()


def test_another_host_gets_no_request_and_it_is_said_how_to_allow_it(project: Project, public: Public) -> None:
    project.module("test_it", TEST)
    result = project.run("--loadperf-url", public.url, "--loadperf-allow-host", "other.test")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            f"*{public.host} is not loaded: it is neither this machine, nor a private address, nor a service that this "
            f"run started. If you may load it, say --loadperf-allow-host {public.host}"
        ]
    )
    assert public.answered == 0


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_host_that_is_allowed_is_loaded(project: Project, public: Public, how: str) -> None:
    project.module("test_it", TEST)
    named = ["--loadperf-allow-host", "other.test", "--loadperf-allow-host", public.host]
    if how == "ini":
        (project.path / "pytest.ini").write_text(f"[pytest]\nloadperf_allow_host = other.test {public.host}\n")
        named = []
    project.run("--loadperf-url", public.url, *named).assert_outcomes(passed=1)
    assert public.answered > 10


def test_option_and_ini_are_taken_together(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nloadperf_allow_host = b.test\n    c.test\n")
    config = pytester.parseconfig("--loadperf-allow-host", "a.test")
    assert read(config, dict(os.environ)).allow_hosts == ("a.test", "b.test", "c.test")
