"""Containers of killed runs are removed by the next one; no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker_engine import the_engine
from service_asking import owner_of, soon

from pytest_loadperf import owner
from pytest_loadperf.folders import own_folder, sweep_folders
from pytest_loadperf.owner import Owner
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.sweep import sweep


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def said() -> list[str]:
    return []


def _is_of(container: Any, pid: int) -> bool:
    found = owner.owner_of(container.labels)
    return found is not None and found.pid == pid


def containers_of(engine: Engine, pid: int) -> list[Any]:
    found = engine.client.containers.list(all=True, filters={"label": "pytest-loadperf=1"}, ignore_removed=True)
    return [container for container in found if _is_of(container, pid)]


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.docker
def test_the_container_of_a_killed_run_is_removed_and_named(engine: Engine, said: list[str]) -> None:
    with owner_of("docker") as (process, _):
        (container,) = containers_of(engine, process.pid)
        assert container.name not in sweep(engine.client, said.append)  # its owner lives
        killed(process)
        assert container.name in sweep(engine.client, said.append)

    pid = process.pid
    assert f"loadperf: removed container {container.name} left behind by a run that was killed (pid {pid})" in said
    assert containers_of(engine, pid) == []


@pytest.mark.docker
def test_a_paused_container_of_a_killed_run_is_removed_as_well(engine: Engine, said: list[str]) -> None:
    with owner_of("docker", "paused") as (process, _):
        (container,) = containers_of(engine, process.pid)
        assert container.status == "paused"
        killed(process)
        assert container.name in sweep(engine.client, said.append)

    assert containers_of(engine, process.pid) == []


@pytest.mark.docker
def test_the_next_start_sweeps_before_its_own_container(engine: Engine) -> None:
    with owner_of("docker") as (process, _):
        killed(process)
        assert containers_of(engine, process.pid)
    with owner_of("docker"):
        assert containers_of(engine, process.pid) == []


@pytest.mark.docker
def test_a_kept_container_is_never_removed(engine: Engine, said: list[str]) -> None:
    with owner_of("docker", "keep") as (process, _):
        killed(process)
        (container,) = containers_of(engine, process.pid)
        try:
            assert container.name not in sweep(engine.client, said.append)
        finally:
            container.remove(force=True)


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def labelled(**changes: Any) -> dict[str, str]:
    """The labels of a container that this process started, with parts of its owner changed."""
    return {**owner.labels(keep=False), "pytest-loadperf.owner": replace(Owner.me(), **changes).mark}


def test_an_owner_that_lives_has_left_nothing_behind() -> None:
    assert owner.left_by(labelled()) is None
    assert owner.owner_of(labelled()) == Owner.me()


def test_an_owner_that_is_gone_has() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert owner.left_by(labelled(pid=process.pid)) == replace(Owner.me(), pid=process.pid)


def test_an_owner_that_nobody_has_buried_has() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert soon(lambda: owner.left_by(labelled(pid=process.pid)) is not None)


def test_a_later_process_with_the_owners_number_is_not_the_owner(sleeper: int) -> None:
    assert owner.left_by(labelled(pid=sleeper))
    assert not owner.left_by(labelled(pid=sleeper, start=""))  # whose start could not be seen


def test_an_owner_before_the_machine_was_started_anew_is_gone() -> None:
    assert owner.left_by(labelled(boot="00000000"))


@pytest.mark.parametrize(
    "labels",
    [
        labelled(host="00000000", boot="00000000"),
        {**labelled(boot="00000000"), "pytest-loadperf.keep": "1"},
        {"pytest-loadperf.owner": "someone"},
        {"pytest-loadperf.owner": "1:2:3"},
        {},
    ],
    ids=["another machine's", "kept", "another version's", "an earlier version's", "no owner's"],
)
def test_what_is_not_certainly_left_behind_stays(labels: dict[str, str]) -> None:
    assert owner.left_by(labels) is None


def test_an_owner_of_another_user_that_cannot_be_looked_into_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # what hidepid=2 makes of another user's process, without being another
    assert owner.left_by(labelled(pid=4194304999)) is None


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import signal; from pytest_loadperf.folders import own_folder\n"
        "with own_folder('xdist') as folder: print(folder, flush=True); signal.pause()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        left = Path(run.stdout.readline().strip())
        sweep_folders(said.append, lambda _: None)
        assert left.exists()  # its owner lives
        run.kill()
        run.wait()
    with own_folder("xdist") as own:
        sweep_folders(said.append, lambda _: None)
        assert own.exists()
    assert not left.exists()
    assert not own.exists()
    assert said == [f"loadperf: removed {left} left behind by a run that was killed (pid {run.pid})"]
