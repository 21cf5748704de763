"""What is asked for is refused at once, with all its faults, when it can't be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, ProcessSpec, UrlSpec

DOCKER: dict[str, Any] = {"image": "nginx", "port": 80}
COMPOSE: dict[str, Any] = {"file": Path("/compose.yml"), "service": "web", "port": 80}
PROCESS: dict[str, Any] = {"command": "serve", "cwd": Path("/")}
SIZE = "expected a size such as '512m', '1.5GiB' or a number of bytes"
DURATION = "expected a duration with its unit, such as '30s', '1m30s' or '500ms'"


def fault(kind: type, **fields: Any) -> str:
    with pytest.raises(UsageFault) as raised:
        kind(**fields)
    return str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("image", None, "give either image='name:tag' or build='folder'"),
        ("build", Path("/here"), "give either image='name:tag' or build='folder'"),
        ("image", " ", "image is ' '; expected a name such as 'nginx:1.27'"),
        ("dockerfile", "Dockerfile.load", "dockerfile, target and build_args belong to build="),
        ("target", "run", "dockerfile, target and build_args belong to build="),
        ("build_args", {"A": "1"}, "dockerfile, target and build_args belong to build="),
        ("port", 0, "port is 0; expected a whole number from 1 to 65535"),
        ("port", "80", "port is '80'; expected a whole number from 1 to 65535"),
        ("ready", "health", "ready is 'health'; expected a path such as '/health'"),
        ("env", {"KEY": 5}, "env['KEY'] is a int; expected a name without '=' and a text"),
        ("env", ["KEY=5"], "env is a list; expected a dict of text to text"),
        ("command", [], "command is empty or no text; expected a string or a list of strings"),
        ("command", "sh -c 'x", "command can't be split into words: No closing quotation"),
        ("cpus", 0, "cpus is 0; expected a number of cores above zero, such as 0.5"),
        ("cpus", "1", "cpus is '1'; expected a number of cores above zero, such as 0.5"),
        ("memory", "512", f"memory is '512'; {SIZE}"),
        ("cpuset", "a", "cpuset is 'a'; expected cores such as '0', '0-3' or '0,2'"),
        ("replicas", 0, "replicas is 0; expected a whole number from 1"),
        ("timeout", "60", f"timeout is '60'; {DURATION}"),
    ],
)
def test_a_docker_service_that_cannot_be_meant_is_refused(field: str, value: object, text: str) -> None:
    assert fault(DockerSpec, **{**DOCKER, field: value}).startswith(f"docker_service: {text}")


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("file", "compose.yml", "file is 'compose.yml'; expected an absolute path"),
        ("service", "", "service is ''; expected the name of a service in the compose file"),
        ("port", 70000, "port is 70000; expected a whole number from 1 to 65535"),
        ("ready", "/a b", "ready is '/a b'; expected a path such as '/health'"),
        ("timeout", "0s", "timeout is '0s'; expected more than zero"),
    ],
)
def test_a_compose_service_that_cannot_be_meant_is_refused(field: str, value: object, text: str) -> None:
    assert fault(ComposeSpec, **{**COMPOSE, field: value}) == f"compose_service: {text}"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (
            "command",
            "",
            "command is empty or no text; expected a string or a list of strings, such as 'gunicorn app:app'",
        ),
        ("port", True, "port is True; expected a whole number from 1 to 65535"),
        ("ready", None, "ready is None; expected a path such as '/health'"),
        ("cwd", Path("here"), f"cwd is {Path('here')!r}; expected an absolute folder"),
        ("env", {"A=B": "c"}, "env['A=B'] is a str; expected a name without '=' and a text"),
        ("timeout", "soon", f"timeout is 'soon'; {DURATION}"),
    ],
)
def test_a_process_service_that_cannot_be_meant_is_refused(field: str, value: object, text: str) -> None:
    assert fault(ProcessSpec, **{**PROCESS, field: value}) == f"process_service: {text}"


@pytest.mark.parametrize("url", ["shop", "ftp://shop", "http://", "http://shop:99999", "http://[", 5])
def test_a_url_that_cannot_be_meant_is_refused(url: Any) -> None:
    text = f"url_service: url is {url!r}; expected an address such as 'http://127.0.0.1:8000'"

    assert fault(UrlSpec, url=url) == text


def test_all_faults_are_said_at_once() -> None:
    text = fault(DockerSpec, port=0, ready="", replicas=-1)

    assert text == (
        "docker_service: give either image='name:tag' or build='folder'; port is 0; expected a whole number from 1 to "
        "65535; ready is ''; expected a path such as '/health'; replicas is -1; expected a whole number from 1"
    )


def test_no_value_of_an_environment_is_shown() -> None:
    text = fault(DockerSpec, **DOCKER, env={"KEY": b"hunter22"}, build_args={"TOKEN": b"hunter22"})
    shown = repr(DockerSpec(**DOCKER, env={"KEY": "hunter22"})) + repr(ProcessSpec(**PROCESS, env={"KEY": "hunter22"}))

    assert "hunter22" not in text + shown
    assert "hunter22" not in fault(UrlSpec, url="https://me:hunter22@")


def test_the_limits_are_those_that_were_given() -> None:
    limited = DockerSpec(**DOCKER, cpus=1, memory="512m", cpuset="0", replicas=2)

    assert limited.limits == {"cpus": "1", "memory": "512m", "cpuset": "0", "replicas": "2"}
    assert DockerSpec(**DOCKER).limits == {}


def test_names_tell_what_runs_without_this_machines_paths_and_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "tests" / ".."

    assert DockerSpec(image="nginx:1.27", port=80).name == "nginx:1.27"
    assert DockerSpec(build=folder, port=80).name == "shop"
    assert ComposeSpec(**COMPOSE).name == "web of compose.yml"
    assert ProcessSpec(**{**PROCESS, "command": "serve --key hunter22"}, env={"KEY": "hunter22"}).name == (
        "serve --key ***"
    )
    assert ProcessSpec(**{**PROCESS, "command": ["sh", "-c", "a;\nb {port}"]}).name == "sh -c 'a; b {port}'"
    assert UrlSpec("https://me:hunter22@shop/?key=hunter22").name == "https://***@shop/?key=***"


def test_the_port_stands_in_every_word_of_a_command_that_asks_for_it() -> None:
    spec = ProcessSpec(**{**PROCESS, "command": """serve -b '127.0.0.1:{port}' '{"json": {port}}'"""})

    assert spec.words(8123) == ["serve", "-b", "127.0.0.1:8123", '{"json": 8123}']
