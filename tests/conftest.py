from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elsewhere import free_port, shop
from projects import Project

from pytest_loadperf.plan import Plan

pytest_plugins = ["pytester"]

os.environ.pop("PYTHONUNBUFFERED", None)  # where it is set, no test would miss a flush

ANSWERING = Path(__file__).with_name("answering.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Where workers share the tests (`-n 2`), those of a file stay together, as do all that look into the engine."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc] # which ships no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "engine" if "mark.docker" in (config.rootpath / file).read_text() else file

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The base address of a running `answering.py`."""
    with subprocess.Popen([sys.executable, str(ANSWERING)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A user's project whose service is `answering.py` as a process."""
    return Project(pytester, monkeypatch)


@pytest.fixture
def port() -> int:
    """A free one, on which a generator may wait for workers from elsewhere."""
    return free_port()


@pytest.fixture
def asked(server: str, port: int, tmp_path: Path) -> Plan:
    """A plan that such workers take part in."""
    return shop(server, port, tmp_path / "home")
