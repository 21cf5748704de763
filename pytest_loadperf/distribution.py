"""xdist: load tests stay on one worker, whatever --dist says of the others.

They run one at a time in any case, and may share loads and services, of which a second instance, in another worker,
might want the same port, and disturb the one that is loaded.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_loadperf.folders import own_folder
from pytest_loadperf.notice import Notice
from pytest_loadperf.report.progress import Progress

ROOM = "loadperf_room"  # in a worker's input: the path of the run's lock
_LOAD_TESTS = ".load-tests"  # beside it: their ids, since xdist tells its controller no more than their ids
TOLD = ".told"  # likewise: the lines of running loads, which xdist would hold back until their test is over
_LOOK_S = 0.5
_GROUP = re.compile(r"(::.*)@[^][:/]+$", re.DOTALL)  # not in a path, and not in a parameter


class Worker:
    """In each worker: tells the controller which tests are load tests, and ends with its controller."""

    def __init__(self, worker_input: dict[str, Any]) -> None:
        self._file = Path(worker_input[ROOM]).with_suffix(_LOAD_TESTS)
        self._controller = os.getppid()

    def pytest_sessionstart(self) -> None:
        """A worker whose controller is killed would load on: execnet waits for the test that runs."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.getppid() == self._controller:
            time.sleep(_LOOK_S)
        os._exit(1)  # generator and service notice, and end as well

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Before xdist sends the ids; every worker writes the same."""
        mine = self._file.with_suffix(f".{os.getpid()}")
        mine.write_text(json.dumps(load_tests(session.items)))
        mine.replace(self._file)


def ungrouped(nodeid: str) -> str:
    """The id as it is without --dist loadgroup, which adds '@group': a series is the same however it was run."""
    return _GROUP.sub(r"\1", nodeid)


def load_tests(items: Iterable[pytest.Item]) -> list[str]:
    """The ids of those that use loads, and of those that have thresholds: they may ask for a load only as they run."""

    def is_one(item: pytest.Item) -> bool:
        asks = "loadperf_session" in getattr(item, "fixturenames", ())
        return asks or item.get_closest_marker("loadperf") is not None

    return [item.nodeid for item in items if is_one(item)]


class Controller:
    """In xdist's controller: gives the workers their room, schedules, and tells what their loads say as they run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._own = ExitStack()
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)

    @cached_property
    def _room(self) -> Path:
        return self._own.enter_context(own_folder("xdist")) / "run"

    @property
    def _told(self) -> Path:
        return self._room.with_suffix(TOLD)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        node.workerinput[ROOM] = str(self._room)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Our scheduler; there is none for --dist each, which is refused."""
        from pytest_loadperf.scheduling import LoadTestsTogether

        return LoadTestsTogether(config, log, config.getoption("dist"), self._room.with_suffix(_LOAD_TESTS))

    def pytest_sessionstart(self) -> None:
        """Workers come next."""
        self._told.touch()  # which makes the folder, before two threads can
        self._teller.start()

    def _tell(self) -> None:
        with self._told.open() as lines:
            while not self._over.wait(_LOOK_S):
                self._say(lines)
            self._say(lines)

    def _say(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._progress.say(Notice(line.rstrip("\n")))  # the worker has left out what -q does not show

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The workers are gone; what they said last comes before the summary."""
        self._over.set()
        if self._teller.is_alive():
            self._teller.join()

    def pytest_unconfigure(self) -> None:
        """Nothing of it is left."""
        self._own.close()
