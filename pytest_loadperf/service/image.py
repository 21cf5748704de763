"""The image that a service runs: built, here already, or pulled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image
from requests.exceptions import RequestException

from pytest_loadperf import owner
from pytest_loadperf.errors import ServiceError
from pytest_loadperf.redact import redact
from pytest_loadperf.service.engine import in_words
from pytest_loadperf.service.spec import DockerSpec

_LAST_LINES = 20
_STEP = re.compile(r"Step \d+/\d+ : .*")
_BUILT = re.compile(r"(?:Successfully built |sha256:)([0-9a-f]+)$")


@contextmanager
def image_for(spec: DockerSpec, client: DockerClient, say: Callable[[str], None]) -> Iterator[Image]:
    """The image of a service, for as long as the service needs it."""
    if spec.build is None:
        yield _found(spec, client, say)
        return
    place = (spec.build,) if spec.beside is None else (spec.beside, "beside")  # a worktree's own is new every time
    tag = stable_tag(*place, spec.dockerfile or "", spec.target or "")
    with tidied(client, tag) as stale:
        built = _built(spec, spec.build, tag, client, say)
        stale.append(built.id or "")  # a build of the same folder elsewhere may take the tag
        yield built


def digest(image: Image) -> str:
    """What identifies the image: the registry's digest where it came from one, else the engine's id."""
    digests: list[str] = image.attrs.get("RepoDigests") or []
    return digests[0] if digests else str(image.id)


def stable_tag(source: Path, *variant: str) -> str:
    """One name per place and variant: the next build finds its layers and takes the name over."""
    key = hashlib.sha256("\0".join((str(source), *variant)).encode()).hexdigest()[:12]
    return f"loadperf/{slug(source.name)}:{key}"


def slug(name: str) -> str:
    """The name in letters that image and container names may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"


@contextmanager
def tidied(client: DockerClient, tag: str) -> Iterator[list[str]]:
    """A list of images, to begin with the one that has the tag: those that end without a name are removed.

    Only at the end, because another run may be about to start the one that it built a moment ago.
    """
    stale = [image.id or "" for image in client.images.list(filters={"reference": tag})]
    try:
        yield stale
    finally:
        for id in set(stale):
            with suppress(APIError, RequestException):  # gone, or in use; or the engine is gone
                if not client.images.get(id).tags:
                    client.images.remove(id)


def _found(spec: DockerSpec, client: DockerClient, say: Callable[[str], None]) -> Image:
    name = spec.image or ""
    doing = f"looking for the image {spec.name}"
    with in_words(doing, "Correct image=", spec.secrets):
        try:
            return client.images.get(name)
        except ImageNotFound:
            say(f"loadperf: pulling {spec.name}")
    advice = "Correct image=, log in to its registry (docker login), or give the folder to build it from with build="
    with in_words(f"the image {spec.name} is not on this machine, and pulling it", advice, spec.secrets):
        for line in _lines(client.api.pull(name, stream=True, decode=True)):
            say(f"  {redact(line, spec.secrets)}")
        return client.images.get(name)


def _built(spec: DockerSpec, folder: Path, tag: str, client: DockerClient, say: Callable[[str], None]) -> Image:
    """The image of a build whose output is shown as it comes."""
    dockerfile = folder / (spec.dockerfile or "Dockerfile")
    if not dockerfile.is_file():
        raise ServiceError(f"{spec.name} was not built: there is no {dockerfile}. Correct build= or dockerfile=")
    say(f"loadperf: building {spec.name}")
    lines: list[str] = []
    with in_words(f"building {folder}", "Correct the Dockerfile or what it copies", spec.secrets):
        try:
            for line in _lines(_build_events(spec, folder, tag, client)):
                lines.append(redact(line, spec.secrets))
                say(f"  {lines[-1]}")
        except APIError as refused:
            raise _broken(folder, lines, redact(str(refused.explanation), spec.secrets)) from None
        ids = [match.group(1) for line in lines if (match := _BUILT.search(line))]
        if not ids:
            raise _broken(folder, lines, "the engine named no image")
        return client.images.get(ids[-1])


def _build_events(spec: DockerSpec, folder: Path, tag: str, client: DockerClient) -> Iterator[dict[str, Any]]:
    events: Iterator[dict[str, Any]] = client.api.build(
        path=str(folder),
        dockerfile=spec.dockerfile,
        target=spec.target,
        buildargs=dict(spec.build_args),
        tag=tag,
        labels={owner.OURS: "1"},
        rm=True,
        forcerm=True,
        decode=True,
    )
    return events


def _lines(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What the engine tells, line by line; raises APIError when that was an error.

    At the end only: the SDK's generator leaves its connection open when it is left before.
    """
    error = None
    for event in events:
        error = event.get("error", error)
        # Layers that are pulled send their progress many times a second.
        text = event.get("stream") or ("" if event.get("progressDetail") else event.get("status", ""))
        yield from filter(str.strip, text.splitlines())
    if error is not None:
        raise APIError(error, explanation=error)


def _advice(why: str) -> str:
    if "buildkit" in why.lower():
        return "The engine's API builds without BuildKit: build it with `docker build -t NAME .` and give image='NAME'"
    return "Correct the Dockerfile or what it copies"


def _broken(folder: Path, lines: list[str], why: str) -> ServiceError:
    steps = [line for line in lines if _STEP.match(line)]
    where = f" in {steps[-1]}" if steps else ""
    error = ServiceError(f"building {folder} failed{where}: {why.strip().rstrip('.')}. {_advice(why)}")
    if lines:
        error.add_note("the end of the build's output:\n" + "\n".join(lines[-_LAST_LINES:]))
    return error
