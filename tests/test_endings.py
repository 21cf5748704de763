"""However a run ends, nothing of it stays: no process, container, network, worktree or folder."""

from __future__ import annotations

import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from docker_engine import require_engine

from benchmarks.kills_place import FILES, Place
from pytest_loadperf.history.store import open_store
from pytest_loadperf.quantity import moment

pytestmark = pytest.mark.docker

ASKER, _, _ = FILES["test_it.py"].partition("rush = ")


def loaded(tests: str = "def test_rush(rush): pass\n", lasts: str = "500ms") -> str:
    """A module with these tests of a load."""
    return f'{ASKER}rush = load(Asker, Stage("hold", users=4, duration="{lasts}"))\n{tests}'


FAILING = """
@pytest.fixture
def broken(rush): raise KeyError("nothing of that name")

@pytest.fixture
def untidy(rush):
    yield
    raise KeyError("nothing to remove")

def test_fails(rush): assert not rush.requests
def test_has_no_fixture(broken): pass
def test_leaves_something(untidy): pass
"""
ENDINGS = {  # the tests, the options, and what pytest says at last
    "tests and fixtures fail": (loaded(FAILING), (), "1 failed, 1 passed, 2 errors"),
    "--maxfail": (loaded(FAILING), ("--maxfail=1",), "1 failed"),
    "pytest.exit": (loaded("def test_rush(rush): pytest.exit('enough')\n"), (), "Exit: enough"),
    "another module can not be collected": (
        loaded(),
        ("--continue-on-collection-errors", "bad.py", "test_it.py"),
        "1 error",
    ),
    "pytest-timeout, by a signal": (loaded(lasts="60s"), ("--timeout=4", "--timeout-method=signal"), "Timeout (>4.0s)"),
    "pytest-timeout, by a thread": (loaded(lasts="60s"), ("--timeout=4", "--timeout-method=thread"), "Timeout"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    images = require_engine().client.images
    made = Place(tmp_path_factory.mktemp("endings"))
    (made.project / "bad.py").write_text("raise KeyError('nothing to test')\n")
    before = {tag for image in images.list("loadperf/answers") for tag in image.tags}
    assert made.start("docker").wait(120) == 0, made.output.read_text()
    yield made
    for tag in {tag for image in images.list("loadperf/answers") for tag in image.tags} - before:
        images.remove(tag)
    images.client.close()


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_stays(place: Place, ending: str) -> None:
    code, options, said = ENDINGS[ending]
    (place.project / "test_it.py").write_text(code)
    assert place.start("docker", *options).wait(60) in (1, 2)
    assert said in place.output.read_text()
    if ending == "pytest-timeout, by a thread":  # which ends the process as SIGKILL does
        assert not [each for each in place.left(3) if each.startswith("process")]
        next_run(place)
    assert place.left(3) == []


def next_run(place: Place) -> None:
    (place.project / "test_it.py").write_text(loaded())
    assert place.start("docker").wait(60) == 0, place.output.read_text()


def test_two_runs_of_a_project_at_once_disturb_nothing_of_each_other(place: Place) -> None:
    store = open_store(".loadperf", place.project)
    before = {run.id for run in store.records(pytest.fail)}
    (place.project / "test_it.py").write_text(loaded(lasts="2s"))
    runs = [place.start("docker") for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0], place.output.read_text()
    assert place.left(3) == []
    first, second = sorted(
        moment(run.loads[0].trials[0].started_at) for run in store.records(pytest.fail) if run.id not in before
    )
    assert second - first > timedelta(seconds=2)  # one load, of two seconds, after the other


class Way:
    """A socket through which an engine is asked, until it is gone."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path = path
        self._engine = engine
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._open = [self._listening]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """As when the engine is restarted: nothing answers, and what was asked is not answered any more."""
        self.path.unlink(missing_ok=True)
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                asking, _ = self._listening.accept()
                answering = socket.socket(socket.AF_UNIX)
                answering.connect(self._engine)
                self._open += [asking, answering]
                threading.Thread(target=self._pass_on, args=(asking, answering), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting, suppress(OSError, ValueError):
            waiting.register(one, selectors.EVENT_READ, other)
            waiting.register(other, selectors.EVENT_READ, one)
            while True:
                for key, _ in waiting.select():
                    assert isinstance(key.fileobj, socket.socket)
                    if not (data := key.fileobj.recv(65536)):
                        return
                    key.data.sendall(data)


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    engine = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if engine.scheme != "unix":
        pytest.skip("the engine is asked through no socket of this machine")
    made = Way(tmp_path / "docker.sock", engine.path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    made.cut()


def test_an_engine_that_goes_away_in_a_load_is_said_and_the_next_run_removes_the_container(
    place: Place, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.project / "test_it.py").write_text(loaded(lasts="3s"))
    running = place.start("docker")
    deadline = time.monotonic() + 60
    while "hold: up to 4 users" not in place.output.read_text():
        assert time.monotonic() < deadline, place.output.read_text()
        time.sleep(0.05)
    way.cut()
    assert running.wait(60) == 1
    said = place.output.read_text()
    assert re.search(r"looking at the container loadperf-answers-\S+ failed: No such file or directory", said), said
    gone = (
        r"removing the containers of loadperf-answers-\S+ failed: No such file or directory\. The next run removes them"
    )
    assert re.search(gone, said), said
    monkeypatch.delenv("DOCKER_HOST")
    next_run(place)
    assert place.left(3) == []
