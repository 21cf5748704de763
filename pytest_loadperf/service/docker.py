"""A service in Docker: containers of one image, gone when the run is."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from docker import APIClient, DockerClient
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image

from pytest_loadperf import owner
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.notice import Notice
from pytest_loadperf.quantity import size_bytes
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service.container import ContainerService, hint_for
from pytest_loadperf.service.engine import Engine, in_words
from pytest_loadperf.service.image import digest, image_for, slug
from pytest_loadperf.service.running import RunningService, Scaling
from pytest_loadperf.service.scaling import Make, scaled
from pytest_loadperf.service.spec import DockerSpec
from pytest_loadperf.service.sweep import sweep

_SERVICE = "pytest-loadperf.service"  # the label that all replicas of one service share


@contextmanager
def in_docker(spec: DockerSpec, engine: Engine, *, keep: bool, say: Callable[[str], None]) -> Iterator[RunningService]:
    """The containers, ready to be loaded; they are gone when the context ends, unless they are to be kept."""
    client = engine.client
    sweep(client, say)
    name = f"loadperf-{slug(spec.name)}-{os.getpid()}-{secrets.token_hex(3)}"
    with image_for(spec, client, say) as image, _removed(client, name, keep, say):
        started = time.monotonic()

        def make(number: int) -> Container:
            # An interrupt in between would leave one that the engine has made and nobody knows of yet.
            with deferred(), in_words(f"starting {spec.name}", secrets=spec.secrets):
                return _start(spec, client, image, f"{name}-{number + 1}", keep)

        record = ServiceRecord(
            kind="docker", name=spec.name, digest=digest(image), limits=spec.limits, backend=engine.backend
        )
        service = _DockerService(spec, client.api, make, record, f"{_SERVICE}={name}")
        service.wait_ready(spec.ready, spec.timeout_s, started, hint_for(spec.port))
        with service.watched(client.api, service.label):
            yield service


class _DockerService(ContainerService):
    """Containers that are made here, and may be made anew."""

    def __init__(self, spec: DockerSpec, api: APIClient, make: Make, record: ServiceRecord, label: str) -> None:
        super().__init__([make(number) for number in range(spec.first_replicas)], spec.port, record, spec.secrets)
        self.scales = spec.autoscale is not None
        self._spec = spec
        self._api = api
        self._make = make
        self.label = label

    def restart(self) -> None:
        """Put new containers of the same image in the place of these."""
        self._unwatch()
        for container in self._containers:
            with in_words(f"removing the container {container.name}"), suppress(NotFound):
                container.remove(force=True, v=True)
        self.take_over([self._make(number) for number in range(self._spec.first_replicas)])
        self.wait_for_answer(self._spec.ready, self._spec.timeout_s, hint_for(self._spec.port))
        self._watch(self._api, self.label)

    def scaling(self, move: Callable[[Sequence[str]], None]) -> AbstractContextManager[Scaling]:
        """Where that was asked for, replicas come and go."""
        if self._spec.autoscale is None:
            return super().scaling(move)
        return scaled(self, self._spec, self._spec.autoscale, self._make, move)


def _start(spec: DockerSpec, client: DockerClient, image: Image, name: str, keep: bool) -> Container:
    memory = None if spec.memory is None else size_bytes(spec.memory, "memory")
    container = client.containers.create(
        image,
        spec.command,
        name=name,
        environment=dict(spec.env),
        labels={**owner.labels(keep), _SERVICE: name.rpartition("-")[0]},
        ports={f"{spec.port}/tcp": ("127.0.0.1", 0)},  # a free port, and for this machine only
        init=True,  # a command that is process 1 gets no signals and buries no orphans
        nano_cpus=None if spec.cpus is None else round(spec.cpus * 1e9),
        mem_limit=memory,
        memswap_limit=memory,  # else as much again in swap, where latency is lost and no limit is met
        cpuset_cpus=spec.cpuset,
    )
    container.start()
    return container


@contextmanager
def _removed(client: DockerClient, service: str, keep: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Removes the service's containers at the end: by their label, since an interrupt may come before we know one."""
    try:
        yield
    finally:
        doing, next_run = ("looking for", "") if keep else ("removing", "The next run removes them")
        with deferred(), in_words(f"{doing} the containers of {service}", next_run):
            left = client.api.containers(all=True, filters={"label": f"{_SERVICE}={service}"})
            if not keep:
                for container in left:
                    with suppress(NotFound):
                        client.api.remove_container(container["Id"], force=True, v=True)
            elif left:
                names = " ".join(sorted(container["Names"][0].lstrip("/") for container in left))
                say(Notice(f"loadperf: {service} stays up; remove it with `docker rm -f -v {names}`"))
