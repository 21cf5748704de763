"""The image of a service: pulled, or built, with a real engine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import BASE_IMAGE, TRACE, remove_traces, the_engine
from owning import TELLING
from registry import registry
from service_asking import failure, told

from pytest_loadperf.service.choose import start
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.image import digest, image_for
from pytest_loadperf.service.spec import DockerSpec

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    folder = tmp_path / "Shop Service"
    folder.mkdir()
    (folder / "telling.py").write_text(TELLING.read_text())
    yield folder
    remove_traces(engine, "loadperf/shop-service")


def dockerfile(folder: Path, *lines: str, name: str = "Dockerfile") -> None:
    first, last = f"FROM {BASE_IMAGE} AS base", 'CMD ["python", "/telling.py", "8000"]'
    (folder / name).write_text("\n".join([first, TRACE, "COPY . /", *lines, last]))


def test_a_missing_image_is_reported_with_what_to_do(said: list[str]) -> None:
    text, _ = failure(DockerSpec(image="loadperf.invalid/shop:1", port=80), said)

    assert text.startswith("the image loadperf.invalid/shop:1 is not on this machine, and pulling it failed: ")
    assert text.endswith(
        ". Correct image=, log in to its registry (docker login), or give the folder to build it from with build="
    )
    assert said == ["loadperf: pulling loadperf.invalid/shop:1"]


def test_an_image_that_is_not_here_is_pulled_and_known_by_the_registrys_digest(engine: Engine, said: list[str]) -> None:
    with registry() as (name, expected):
        try:
            with image_for(DockerSpec(image=f"{name}:1", port=80), engine.client, said.append) as image:
                assert digest(image) == f"{name}@{expected}"
        finally:
            engine.client.images.remove(f"{name}:1")

    assert said[0] == f"loadperf: pulling {name}:1"
    assert f"  Status: Downloaded newer image for {name}:1" in said


def test_an_image_name_that_is_none_is_reported() -> None:
    text, _ = failure(DockerSpec(image="Shop:Latest:1", port=80))

    assert re.match(r"looking for the image Shop:Latest:1 failed: .*invalid reference format.*\. Correct image=", text)


def test_the_output_is_shown_as_it_comes(folder: Path, engine: Engine, said: list[str]) -> None:
    dockerfile(folder, "RUN echo one && sleep 0.5 && echo two")
    times: dict[str, float] = {}

    def say(line: str) -> None:
        said.append(line)
        times.setdefault(line.strip(), time.monotonic())

    with start(DockerSpec(build=folder, port=8000), say=say) as service:
        assert told(service.url)["argv"] == ["8000"]
        assert service.record.name == "Shop Service"
        assert service.record.digest == engine.client.images.list("loadperf/shop-service")[0].id
    assert said[0] == "loadperf: building Shop Service"
    assert said[1].startswith("  Step 1/")
    assert 0.4 < times["two"] - times["one"] < 3


def test_the_next_build_takes_the_layers_and_the_name(folder: Path, engine: Engine, said: list[str]) -> None:
    dockerfile(folder)
    digests = []
    for change in ("", "", "changed"):
        (folder / "change").write_text(change)
        said.clear()
        with start(DockerSpec(build=folder, port=8000), say=said.append) as service:
            digests.append(service.record.digest)
        (image,) = engine.client.images.list("loadperf/shop-service")
        assert image.id == digests[-1]

    assert digests[0] == digests[1] != digests[2]
    assert digests[0] not in [image.id for image in engine.client.images.list(filters={"dangling": True})]


def test_dockerfile_target_and_arguments(folder: Path) -> None:
    lines = ("ARG COLOUR", "ENV COLOUR=$COLOUR", 'CMD ["python", "/telling.py", "8000"]', "FROM base", "RUN false")
    dockerfile(folder, *lines, name="Dockerfile.load")
    spec = DockerSpec(
        build=folder, dockerfile="Dockerfile.load", target="base", build_args={"COLOUR": "green"}, port=8000
    )
    with start(spec, say=print) as service:
        assert told(service.url)["env"]["COLOUR"] == "green"


def test_what_dockerignore_names_is_not_sent(folder: Path) -> None:
    (folder / "private").write_text("x")
    (folder / ".dockerignore").write_text("private\n")
    dockerfile(folder, "RUN test ! -e /private")

    with start(DockerSpec(build=folder, port=8000), say=print) as service:
        assert told(service.url)


def test_a_failure_names_the_step_and_shows_the_last_lines(folder: Path, said: list[str]) -> None:
    dockerfile(folder, "RUN seq 100 && echo $0 $TOKEN && exit 7")
    text, notes = failure(DockerSpec(build=folder, port=8000), said)

    assert text == (
        f"building {folder} failed in Step 4/6 : RUN seq 100 && echo $0 $TOKEN && exit 7: The command '/bin/sh -c "
        "seq 100 && echo $0 $TOKEN && exit 7' returned a non-zero code: 7. Correct the Dockerfile or what it copies"
    )
    assert notes.splitlines()[0] == "the end of the build's output:"
    assert notes.splitlines()[-3:-1] == ["100", "/bin/sh"]
    assert len(notes.splitlines()) == 21


def test_a_dockerfile_that_cannot_be_read_is_reported(folder: Path) -> None:
    dockerfile(folder, "RAN x")
    text, _ = failure(DockerSpec(build=folder, port=8000))

    assert re.search(r"unknown instruction: RAN", text)


def test_one_that_needs_buildkit_is_told_the_way_out(folder: Path) -> None:
    dockerfile(folder, "RUN --mount=type=cache,target=/c true")
    text, _ = failure(DockerSpec(build=folder, port=8000))

    assert text.endswith(
        "The engine's API builds without BuildKit: build it with `docker build -t NAME .` and give image='NAME'"
    )


def test_a_folder_without_dockerfile_is_reported(folder: Path) -> None:
    text, _ = failure(DockerSpec(build=folder / "nowhere", port=8000))

    assert text == (
        f"nowhere was not built: there is no {folder / 'nowhere' / 'Dockerfile'}. Correct build= or dockerfile="
    )


def test_values_of_arguments_are_in_no_text(folder: Path, said: list[str]) -> None:
    dockerfile(folder, "ARG TOKEN", "RUN echo $TOKEN && false")
    text, notes = failure(DockerSpec(build=folder, build_args={"TOKEN": "hunter22"}, port=8000), said)

    assert "  ***" in said
    assert "hunter22" not in "\n".join([text, notes, *said])
