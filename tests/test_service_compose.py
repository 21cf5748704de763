"""A service of a compose file, with a real engine and a real Compose."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker_engine import BASE_IMAGE, TRACE, remove_traces, require_compose, the_engine
from owning import TELLING
from service_asking import owner_of, told

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.compose import in_compose
from pytest_loadperf.service.engine import Engine, connect
from pytest_loadperf.service.running import RunningService
from pytest_loadperf.service.spec import ComposeSpec
from pytest_loadperf.service.sweep import sweep

pytestmark = pytest.mark.docker

FILE = f"""
services:
  web:
    build: .
    environment:
      SECRET: hunter22
    mem_limit: 128m
    depends_on: [db]
  db:
    image: {BASE_IMAGE}
    command: sleep 600
    volumes: ["data:/data"]
  unused:
    image: {BASE_IMAGE}
volumes:
  data:
"""
DOCKERFILE = f'FROM {BASE_IMAGE}\n{TRACE}\nCOPY telling.py /\nCMD ["python", "/telling.py", "8000"]'


@pytest.fixture(autouse=True)
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture(autouse=True, scope="module")
def compose() -> None:
    require_compose()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def file(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "telling.py").write_text(TELLING.read_text())
    file = tmp_path / "shop.yml"
    file.write_text(FILE)
    yield file
    remove_traces(engine, "loadperf/shop-yml")


def checked(service: RunningService) -> None:
    """Check until it raises."""
    for _ in range(100):
        service.check()
        time.sleep(0.1)


def left(engine: Engine, pid: int) -> list[Any]:
    """Everything of the projects that a process started."""
    api = engine.client.api
    found = [*api.containers(all=True), *api.networks(), *(api.volumes()["Volumes"] or ())]
    of = [(one.get("Labels") or {}).get("com.docker.compose.project", "") for one in found]
    tags = [tag for image in engine.client.images.list() for tag in image.tags]
    return [name for name in (*of, *tags) if name.startswith(f"loadperf-{pid}_")]


def test_the_service_and_what_it_needs_are_up_and_gone_at_the_end(file: Path, engine: Engine, said: list[str]) -> None:
    with start(ComposeSpec(file=file, service="web", port=8000), say=said.append) as service:
        assert told(service.url)["env"]["SECRET"] == "hunter22"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", service.url)
        names = {name.rpartition("_")[0] for name in left(engine, os.getpid())}
        containers = engine.client.containers.list(filters={"label": "pytest-loadperf=1"}, ignore_removed=True)
        own = [one for one in containers if one.labels["pytest-loadperf.owner"].startswith(f"{os.getpid()}_")]
        assert {one.labels["com.docker.compose.service"] for one in own} == {"web", "db"}
        assert names

    assert left(engine, os.getpid()) == []
    assert said[0] == "loadperf: starting web of shop.yml"
    assert any(line.startswith("  ") for line in said[1:])


def test_the_record_holds_the_limits_of_the_file(file: Path, engine: Engine) -> None:
    with start(ComposeSpec(file=file, service="web", port=8000), say=print) as service:
        record = service.record
        assert engine.client.images.list("loadperf/shop-yml") == []  # it gets its lasting name at the end

    assert (record.kind, record.name) == ("compose", "web of shop.yml")
    assert record.limits == {"memory": str(128 * 2**20)}
    assert record.backend == f"docker {engine.version.split('.')[0]}"
    assert record.digest == engine.client.images.list("loadperf/shop-yml")[0].id


def test_the_next_run_finds_the_layers(file: Path, said: list[str]) -> None:
    for _ in range(2):
        said.clear()
        with start(ComposeSpec(file=file, service="web", port=8000), say=said.append):
            pass

    assert any("cache" in line.lower() for line in said)


def test_the_same_layers_keep_the_name_that_another_project_gave_them(file: Path, engine: Engine) -> None:
    copy = file.with_name("copy.yml")
    copy.write_text(file.read_text())
    for each in (file, copy):
        with start(ComposeSpec(file=each, service="web", port=8000), say=print):
            pass
    (one,), (other,) = (engine.client.images.list(f"loadperf/{name}-yml") for name in ("shop", "copy"))
    assert one.id == other.id


def test_each_container_of_the_service_has_an_address_and_samples_and_what_befalls_the_others_is_seen(
    file: Path, engine: Engine
) -> None:
    file.write_text(FILE.replace("build: .", "build: .\n    scale: 2"))
    with start(ComposeSpec(file=file, service="web", port=8000), say=print) as service:
        hosts = {told(url)["env"]["HOSTNAME"] for url in service.urls}
        began = time.time()
        with service.sampling(time.monotonic()) as samples:
            time.sleep(0.6)
        for one in engine.client.containers.list(ignore_removed=True):
            if re.fullmatch(rf"loadperf-{os.getpid()}_.*(db|web.2)(.1)?", one.name or ""):
                one.kill()
        happened = {str(event) for event in service.events_between(began, time.time())}

    assert happened == {
        "db was sent signal 9",
        "db ended with exit code 137",
        "replica 2 was sent signal 9",
        "replica 2 ended with exit code 137",
    }
    assert len(hosts) == 2
    assert service.record.limits["replicas"] == "2"
    assert {sample.replica for sample in samples} == {0, 1}
    assert all(2e6 < sample.memory_bytes < 128 * 2**20 for sample in samples)


def test_values_of_the_files_environment_are_in_no_text(file: Path) -> None:
    with (
        pytest.raises(ServiceError) as raised,
        start(ComposeSpec(file=file, service="web", port=8000, ready="/broken", timeout="300ms"), say=print),
    ):
        pytest.fail("it started")

    (note,) = raised.value.__notes__
    assert "web of shop.yml was not ready within 0.3 s" in str(raised.value)
    assert note.startswith("the end of its log:\ntelling ***\n")


def test_a_service_that_ends_is_reported_and_everything_removed(file: Path, engine: Engine) -> None:
    file.write_text(FILE.replace("build: .", f"image: {BASE_IMAGE}\n    command: sh -c 'exit 4'"))
    with (
        pytest.raises(ServiceError, match=r"\(web of shop\.yml\) ended with exit code 4"),
        start(ComposeSpec(file=file, service="web", port=8000), say=print),
    ):
        pytest.fail("it started")

    assert left(engine, os.getpid()) == []


def test_one_that_its_restart_policy_brings_through_is_ready_and_a_later_restart_is_reported(
    file: Path, engine: Engine
) -> None:
    code = "import os, sys; os.path.exists('/tmp/tried') or (open('/tmp/tried', 'w'), sys.exit(1))"
    command = f"""sh -c "python -c \\"{code}\\" && exec python /telling.py 8000" """
    file.write_text(FILE.replace("build: .", f"build: .\n    restart: always\n    command: {command}"))
    with start(ComposeSpec(file=file, service="web", port=8000), say=print) as service:
        service.check()
        (container,) = [
            one
            for one in engine.client.containers.list(ignore_removed=True)
            if re.fullmatch(rf"loadperf-{os.getpid()}_.*web.*", one.name or "")
        ]
        container.exec_run(["sh", "-c", "kill -9 1; kill -INT 1; kill 1"])
        with pytest.raises(ServiceError, match="was restarted after it ended with exit code"):
            checked(service)


def test_a_file_that_is_none_is_reported(tmp_path: Path) -> None:
    missing = tmp_path / "none.yml"
    broken = tmp_path / "broken.yml"
    broken.write_text("services: [")
    for file, text in [
        (missing, f"web of none.yml was not started: there is no {missing}. Correct file="),
        (broken, f"reading {broken} failed. Correct the compose file or what it builds"),
    ]:
        with pytest.raises(ServiceError) as raised, start(ComposeSpec(file=file, service="web", port=1), say=print):
            pytest.fail("it started")
        assert str(raised.value) == text


def test_a_service_that_the_file_does_not_have_is_reported_with_those_it_has(file: Path) -> None:
    with (
        pytest.raises(ServiceError, match=r"shop\.yml has no service 'wob'; it has db, unused, web$"),
        start(ComposeSpec(file=file, service="wob", port=8000), say=print),
    ):
        pytest.fail("it started")


def test_a_build_that_fails_is_reported_with_its_last_lines(file: Path, engine: Engine) -> None:
    (file.parent / "Dockerfile").write_text(DOCKERFILE + "\nRUN echo no compiler; false")
    with (
        pytest.raises(ServiceError, match=r"^starting web of shop\.yml failed\. Correct the compose file or") as raised,
        start(ComposeSpec(file=file, service="web", port=8000), say=print),
    ):
        pytest.fail("it started")

    (note,) = raised.value.__notes__
    assert note.startswith("the end of Compose's output:\n")
    assert "no compiler" in note
    assert left(engine, os.getpid()) == []


def test_a_kept_project_stays_up_and_the_command_that_removes_it_is_said(
    file: Path, engine: Engine, said: list[str]
) -> None:
    with start(ComposeSpec(file=file, service="web", port=8000), keep=True, say=said.append) as service:
        pass
    assert told(service.url)
    match = re.fullmatch(r"loadperf: the project (\S+) stays up; remove it with `(.*)`", said[-1])
    assert match
    subprocess.run(match[2], shell=True, check=True, capture_output=True)
    assert left(engine, os.getpid()) == []


def test_everything_is_removed_although_the_images_could_not_be_named(file: Path, engine: Engine) -> None:
    with (
        closing(connect().client) as client,
        pytest.raises(ServiceError, match=r"^naming the images that were built failed: "),
        in_compose(
            ComposeSpec(file=file, service="web", port=8000), replace(engine, client=client), keep=False, say=print
        ),
    ):
        client.api._version = "1.0"  # type: ignore[attr-defined] # which no engine speaks any more
    (image,) = left(engine, os.getpid())
    engine.client.images.remove(image)


def test_what_a_killed_run_left_is_removed_with_networks_and_volumes(
    file: Path, engine: Engine, said: list[str]
) -> None:
    with owner_of(str(file)) as (owner, _):
        assert left(engine, owner.pid)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert len([name for name in sweep(engine.client, said.append) if f"loadperf-{owner.pid}_" in name]) == 2

    assert left(engine, owner.pid) == []


def test_without_compose_it_is_said_what_is_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(file.parent))
    with pytest.raises(ServiceError) as raised, start(ComposeSpec(file=file, service="web", port=8000), say=print):
        pytest.fail("it started")

    assert str(raised.value) == (
        "there is neither `docker compose` nor `docker-compose`, which a compose_service needs. Install Docker's "
        "Compose plugin, or start the image itself with docker_service"
    )
