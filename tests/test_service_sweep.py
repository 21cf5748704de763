"""Containers of killed runs are removed by the next one; no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from docker_engine import the_engine
from service_asking import owner_of, soon

from pytest_loadperf import owner
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.sweep import sweep


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def said() -> list[str]:
    return []


def containers_of(engine: Engine, pid: int) -> list[Any]:
    found = engine.client.containers.list(all=True, filters={"label": "pytest-loadperf=1"}, ignore_removed=True)
    return [container for container in found if owner.pid_of(container.labels) == str(pid)]


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


def labelled(**changes: str) -> dict[str, str]:
    """The labels of a container that this process started, with parts of its owner changed."""
    labels = owner.labels(keep=False)
    boot, pid, start = labels["pytest-loadperf.owner"].split(":")
    parts = {"boot": boot, "pid": pid, "start": start, **changes}
    labels["pytest-loadperf.owner"] = "{boot}:{pid}:{start}".format(**parts)
    return labels | {name: value for name, value in changes.items() if name.startswith("pytest-loadperf")}


def test_an_owner_that_lives_has_left_nothing_behind() -> None:
    assert not owner.left_behind(labelled())
    assert owner.pid_of(labelled()) == str(os.getpid())


def test_an_owner_that_is_gone_has() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert owner.left_behind(labelled(pid=str(process.pid)))


def test_an_owner_that_nobody_has_buried_has() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert soon(lambda: owner.left_behind(labelled(pid=str(process.pid))))


def test_a_later_process_with_the_owners_number_is_not_the_owner(sleeper: int) -> None:
    assert owner.left_behind(labelled(pid=str(sleeper)))


def test_an_owner_before_the_machine_was_started_anew_is_gone() -> None:
    assert owner.left_behind(labelled(boot="another-boot"))


@pytest.mark.parametrize(
    "labels",
    [
        {"pytest-loadperf.host": "elsewhere", "boot": "another-boot"},
        {"pytest-loadperf.keep": "1", "boot": "another-boot"},
        {"pytest-loadperf.owner": "someone"},
        {"pytest-loadperf.owner": "a:b:c:d"},
    ],
    ids=["another machine's", "kept", "another version's", "no owner's"],
)
def test_what_is_not_certainly_left_behind_stays(labels: dict[str, str]) -> None:
    assert not owner.left_behind(labelled(**labels))


def test_an_owner_of_another_user_that_cannot_be_looked_into_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # what hidepid=2 makes of another user's process, without being another
    assert not owner.left_behind(labelled(pid="4194304999"))
