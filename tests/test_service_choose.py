"""Where a service runs when Docker is there, is not, or is not wanted."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_engine import BASE_IMAGE, the_engine
from owning import TELLING

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, LocalSpec, ProcessSpec, Spec, UrlSpec
from pytest_loadperf.settings import Backend

DOCKER = DockerSpec(image=BASE_IMAGE, command="python -m http.server 8000", port=8000)
COMPOSE = ComposeSpec(file=Path("/compose.yml"), service="web", port=8000)
PROCESS = ProcessSpec(command=[sys.executable, str(TELLING), "{port}"], cwd=TELLING.parent)
RUNNING = UrlSpec("http://127.0.0.1:9")
NEVER = "its runs are never compared with Docker's"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> str:
    """Why no engine answers, as it is said."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return "no Docker engine answers (unix:///nowhere/docker.sock: No such file or directory)"


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


def failure(spec: Spec, backend: Backend, fallback: LocalSpec | None = None) -> str:
    with pytest.raises(ServiceError) as raised, start(spec, backend=backend, fallback=fallback, say=print):
        pytest.fail("it started")
    assert raised.value.__cause__ is None
    return str(raised.value)


@pytest.mark.parametrize("spec", [DOCKER, COMPOSE, PROCESS, UrlSpec("http://127.0.0.1:8")])
@pytest.mark.parametrize("backend", ["auto", "docker", "process"])
def test_a_url_of_the_run_wins_over_everything(spec: Spec, backend: Backend, said: list[str]) -> None:
    with start(spec, backend=backend, fallback=PROCESS, url="http://127.0.0.1:9", say=said.append) as service:
        assert service.urls == ("http://127.0.0.1:9",)
        assert service.record.kind == "url"
    assert said == []


@pytest.mark.docker
@pytest.mark.parametrize("backend", ["auto", "docker"])
def test_where_an_engine_answers_it_is_used(engine: Engine, backend: Backend, said: list[str]) -> None:
    with start(DOCKER, backend=backend, fallback=PROCESS, say=said.append) as service:
        assert service.record.kind == "docker"
        assert service.record.fallback_from is None
    assert said == []


def test_where_none_answers_the_fallback_runs_and_one_line_says_so(no_engine: str, said: list[str]) -> None:
    with start(DOCKER, fallback=PROCESS, say=said.append) as service:
        assert service.record.kind == "process"
        assert service.record.backend == "process"
        assert service.record.fallback_from == no_engine
    assert said == [f"loadperf: {no_engine}: running `{PROCESS.name}` as a local process instead; {NEVER}"]


def test_a_fallback_may_be_a_url(no_engine: str, said: list[str]) -> None:
    with start(COMPOSE, fallback=RUNNING, say=said.append) as service:
        assert service.record.kind == "url"
        assert service.record.fallback_from == no_engine
    assert said == [f"loadperf: {no_engine}: loading http://127.0.0.1:9 instead; {NEVER}"]


@pytest.mark.parametrize("spec", [DOCKER, COMPOSE])
@pytest.mark.parametrize(("backend", "fallback"), [("auto", None), ("docker", PROCESS)])
def test_where_one_is_needed_and_none_answers_it_is_said_what_was_tried_and_what_to_do(
    no_engine: str, spec: Spec, backend: Backend, fallback: LocalSpec | None
) -> None:
    assert failure(spec, backend, fallback) == (
        f"{no_engine}. It is looked for at DOCKER_HOST, else where the current Docker context says, else at "
        "/var/run/docker.sock. Start Docker, correct DOCKER_HOST, or name what to run without Docker: "
        "docker_service(…, fallback=process_service(…))"
    )


def test_the_process_backend_runs_the_fallback_without_asking_for_an_engine(said: list[str]) -> None:
    with start(DOCKER, backend="process", fallback=PROCESS, say=said.append) as service:
        assert service.record.kind == "process"
        assert service.record.fallback_from == "--loadperf-backend process"
    assert said == [
        f"loadperf: --loadperf-backend process: running `{PROCESS.name}` as a local process instead; {NEVER}"
    ]


def test_the_process_backend_without_a_fallback_is_an_error() -> None:
    assert failure(DOCKER, "process") == (
        f"--loadperf-backend process, but {BASE_IMAGE} has nothing to run without Docker. Name it: "
        "docker_service(…, fallback=process_service(…))"
    )


@pytest.mark.parametrize("backend", ["auto", "docker", "process"])
def test_a_process_service_is_a_process_whatever_the_backend(no_engine: str, backend: Backend) -> None:
    with start(PROCESS, backend=backend, say=print) as service:
        assert service.record.kind == "process"
        assert service.record.fallback_from is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://127.0.0.1:9", "tcp://127.0.0.1:9: Connection refused"),
        (
            "tcp://me:hunter22@build.test:2375",
            "tcp://***@build.test:2375 is another machine, and ports are published on its loopback only",
        ),
        ("127.0.0.1:9", "127.0.0.1:9: Connection refused"),
        ("ssh://build.test", "ssh://build.test is another machine, and ports are published on its loopback only"),
    ],
)
def test_an_engine_that_cannot_be_used_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)

    assert failure(DOCKER, "docker").startswith(f"no Docker engine answers ({why}). ")


def talk_nonsense(server: socket.socket) -> None:
    server.accept()[0].close()  # the knock
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"nonsense\r\n\r\n")


def name_in_environment(address: str, _folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)


def name_in_context(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker context use other` leaves it."""
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"other").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "other", "Metadata": {}, "Endpoints": {"docker": {"Host": address}}}))
    (folder / "config.json").write_text('{"currentContext": "other"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", [name_in_environment, name_in_context])
def test_what_listens_and_is_no_engine_is_named(
    name: Callable[[str, Path, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    name(f"unix://{path}", tmp_path, monkeypatch)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        thread = threading.Thread(target=talk_nonsense, args=(other,), daemon=True)
        thread.start()
        text = failure(DOCKER, "docker")
        thread.join()

    assert text.startswith(f"no Docker engine answers (unix://{path}: Error while fetching server API version: ")
    assert "nonsense" in text
