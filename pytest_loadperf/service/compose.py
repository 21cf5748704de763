"""A service of a compose file, with those that it depends on, in a project of its own."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from docker import DockerClient
from docker.models.containers import Container

from pytest_loadperf import owner
from pytest_loadperf.errors import ServiceError
from pytest_loadperf.folders import own_folder
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.notice import Notice
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.redact import named_secrets, redact
from pytest_loadperf.service.container import ContainerService, hint_for
from pytest_loadperf.service.engine import Engine, in_words
from pytest_loadperf.service.image import digest, stable_tag, tidied
from pytest_loadperf.service.running import RunningService
from pytest_loadperf.service.spec import ComposeSpec
from pytest_loadperf.service.sweep import KEPT, PREFIX, PROJECT, sweep

_LAST_LINES = 20


@contextmanager
def in_compose(
    spec: ComposeSpec, engine: Engine, *, keep: bool, say: Callable[[str], None]
) -> Iterator[RunningService]:
    """The service, ready to be loaded; the whole project is gone when the context ends, unless it is to be kept."""
    client = engine.client
    sweep(client, say)
    project = Project(spec, keep)
    with _removed(project, client, keep, say):
        project.up(owner.labels(keep), say)
        started = time.monotonic()
        containers = project.containers(client)
        service = ContainerService(containers, spec.port, _record(spec, engine, containers), _secrets(containers))
        service.wait_ready(spec.ready, spec.timeout_s, started, hint_for(spec.port))
        with service.watched(client.api, f"{PROJECT}={project.name}"):
            yield service


class Project:
    """A compose file under a name that only this run uses."""

    def __init__(self, spec: ComposeSpec, keep: bool = False) -> None:
        if not spec.file.is_file():
            raise ServiceError(f"{spec.name} was not started: there is no {spec.file}. Correct file=")
        self._spec = spec
        self.name = f"{KEPT if keep else PREFIX}{owner.Owner.me().mark}-{secrets.token_hex(3)}"
        self._command = [*_compose(), "--ansi", "never", "-p", self.name, "-f", str(spec.file)]
        self._services = self._read_services()

    def _read_services(self) -> list[str]:
        run = subprocess.run([*self._command, "config", "--services"], capture_output=True, text=True, check=False)
        if run.returncode:
            raise _failed(f"reading {self._spec.file}", run.stderr.splitlines())
        names = run.stdout.split()
        if self._spec.service not in names:
            known = ", ".join(sorted(names))
            raise ServiceError(f"{self._spec.file} has no service {self._spec.service!r}; it has {known}")
        return names

    def up(self, labels: dict[str, str], say: Callable[[str], None]) -> None:
        """Build and start the service and what it depends on, labelled, with the output as it comes."""
        say(f"loadperf: starting {self._spec.name}")
        services: dict[str, dict[str, object]] = {name: {"labels": labels} for name in self._services}
        services[self._spec.service]["ports"] = [f"127.0.0.1::{self._spec.port}"]  # a free one of this machine's own
        with own_folder("compose") as folder:
            override = folder / "override.json"
            override.write_text(json.dumps({"services": services}))  # JSON is YAML
            words = ["-f", str(override), "up", "-d", "--build", self._spec.service]
            self._run(words, f"starting {self._spec.name}", say)

    def down(self) -> None:
        """Remove containers, networks and volumes; nothing in them is worth a slow stop."""
        self._run(["down", "-v", "--remove-orphans", "-t", "0"], f"removing {self._spec.name}", lambda _: None)

    def _run(self, words: list[str], doing: str, say: Callable[[str], None]) -> None:
        lines = []
        with subprocess.Popen(
            [*self._command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is pytest's to handle
        ) as run:
            assert run.stdout is not None
            try:
                for line in filter(str.strip, run.stdout):
                    lines.append(redact(line.rstrip(), named_secrets(os.environ)))
                    say(f"  {lines[-1]}")
            except BaseException:
                run.terminate()
                raise
        if run.returncode:
            raise _failed(doing, lines)

    def removal(self) -> str:
        """The command with which a user removes the project."""
        return shlex.join([*self._command, "down", "-v", "-t", "0"])

    def containers(self, client: DockerClient) -> list[Container]:
        """The containers of the service that is loaded, one per replica."""
        labels = [f"{PROJECT}={self.name}", f"com.docker.compose.service={self._spec.service}"]
        with in_words(f"looking for the containers of {self._spec.name}"):
            found: list[Container] = client.containers.list(all=True, filters={"label": labels})
        return sorted(found, key=lambda container: container.name or "")

    def name_images(self, client: DockerClient) -> None:
        """Give what was built a name that the next run's build finds, in place of one that only this run has."""
        for image in client.images.list(filters={"reference": f"{self.name}*"}):
            # The same layers may have names of other projects, too.
            for own in filter(lambda tag: tag.startswith(self.name), image.tags):
                service = own.rpartition(":")[0].removeprefix(self.name)[1:]
                tag = stable_tag(self._spec.file, service)
                with tidied(client, tag):
                    image.tag(*tag.split(":"))
                    client.images.remove(own)


@contextmanager
def _removed(project: Project, client: DockerClient, keep: bool, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    finally:
        with deferred():
            _end(project, client, keep, say)


def _end(project: Project, client: DockerClient, keep: bool, say: Callable[[str], None]) -> None:
    try:
        with in_words("naming the images that were built"):
            project.name_images(client)
    finally:  # whatever becomes of the names
        if keep:
            say(Notice(f"loadperf: the project {project.name} stays up; remove it with `{project.removal()}`"))
        else:
            project.down()


def _compose() -> list[str]:
    """Compose as a plugin of the docker command, else as a command of its own."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise ServiceError(
        "there is neither `docker compose` nor `docker-compose`, which a compose_service needs. Install Docker's "
        "Compose plugin, or start the image itself with docker_service"
    )


def _failed(doing: str, lines: Sequence[str]) -> ServiceError:
    error = ServiceError(f"{doing} failed. Correct the compose file or what it builds")
    error.add_note(
        "the end of Compose's output:\n" + redact("\n".join(lines[-_LAST_LINES:]), named_secrets(os.environ))
    )
    return error


def _record(spec: ComposeSpec, engine: Engine, containers: Sequence[Container]) -> ServiceRecord:
    """The limits are the compose file's, read from what the engine made of it."""
    host = containers[0].attrs["HostConfig"]
    limits = {
        "cpus": f"{host['NanoCpus'] / 1e9:g}" if host.get("NanoCpus") else None,
        "memory": str(host["Memory"]) if host.get("Memory") else None,
        "cpuset": host.get("CpusetCpus") or None,
        "replicas": str(len(containers)) if len(containers) > 1 else None,
    }
    return ServiceRecord(
        kind="compose",
        name=spec.name,
        digest=digest(containers[0].image) if containers[0].image else None,
        limits={name: value for name, value in limits.items() if value is not None},
        backend=engine.backend,
    )


def _secrets(containers: Sequence[Container]) -> list[str]:
    """Values of the environment that the compose file, not the image, gave, and secrets of our own."""
    given = set(named_secrets(os.environ))
    for container in containers:
        own = container.attrs["Config"].get("Env") or []
        images = container.image.attrs["Config"].get("Env") or [] if container.image else []
        given |= {entry.partition("=")[2] for entry in set(own) - set(images)}
    return sorted(given)
