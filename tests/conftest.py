from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import free_port, shop
from projects import Project

from pytest_loadperf.plan import Plan

pytest_plugins = ["pytester"]

os.environ.pop("PYTHONUNBUFFERED", None)  # where it is set, no test would miss a flush

ANSWERING = Path(__file__).with_name("answering.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests (`-n 2 --dist loadgroup`), those of a file stay together, as do all with an engine.

    Tests with an engine look at what others leave there.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "engine" if item.get_closest_marker("docker") else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))


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
