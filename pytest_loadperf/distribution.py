"""xdist: load tests of a module stay on one worker, whatever --dist says of the others."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOM = "loadperf_room"  # in a worker's input: the path of the run's lock
_LOADS = ".loads"  # beside it: which tests are load tests, since xdist tells its controller no more than their ids


class Worker:
    """In each worker: tells the controller which of the collected tests are load tests."""

    def __init__(self, worker_input: dict[str, Any]) -> None:
        self._file = Path(worker_input[ROOM]).with_suffix(_LOADS)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Before xdist sends the ids; every worker writes the same."""
        loads = [item.nodeid for item in session.items if "loadperf_session" in getattr(item, "fixturenames", ())]
        mine = self._file.with_suffix(f".{os.getpid()}")
        mine.write_text(json.dumps(loads))
        mine.replace(self._file)


class Controller:
    """In xdist's controller: gives the workers their room, and schedules."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pytest-loadperf-"))
        self._room = self._folder / "run"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        node.workerinput[ROOM] = str(self._room)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Our scheduler, except for --dist each, where every worker is meant to run everything."""
        dist = config.getoption("dist")
        if dist == "each":
            return None
        from pytest_loadperf.scheduling import LoadTestsTogether

        return LoadTestsTogether(config, log, dist, self._room.with_suffix(_LOADS))

    def pytest_unconfigure(self) -> None:
        """Nothing of it is left."""
        shutil.rmtree(self._folder, ignore_errors=True)
