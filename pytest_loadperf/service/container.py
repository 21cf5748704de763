"""Containers as a running service, whoever started them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from docker import APIClient
from docker.errors import NotFound
from docker.models.containers import Container

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.model import Sample, ServiceEvent
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.redact import redact
from pytest_loadperf.service.container_log import lines_between
from pytest_loadperf.service.engine import in_words
from pytest_loadperf.service.events import EventLog
from pytest_loadperf.service.log import LogLine
from pytest_loadperf.service.running import RunningService, with_log
from pytest_loadperf.service.sampler import sampled
from pytest_loadperf.service.stats import StatsMeter

_COMPOSE_SERVICE = "com.docker.compose.service"
_LOOK_EVERY_S = 0.25  # the engine's beat is its own: each answer is taken soon after it came
_ANSWER_S = 3.0  # the engine answers once a second, later on a busy machine


class ContainerService(RunningService):
    """One container per replica."""

    def __init__(
        self, containers: Sequence[Container], port: int, record: ServiceRecord, secrets: Sequence[str]
    ) -> None:
        self.record = record
        self.urls = ()
        self._containers = containers
        self._port = port
        self.secrets = secrets
        self._meters: list[StatsMeter] = []
        self._restarts: dict[str, int] = {}
        self._events: EventLog | None = None
        self.check()

    def check(self) -> None:
        """Raise ServiceError when a container ended or was restarted, with exit code, OOM flag and log."""
        for container in self._containers:
            with in_words(f"looking at the container {container.name}"):
                try:
                    container.reload()
                except NotFound:
                    raise ServiceError(f"the container {container.name} was removed while it was in use") from None
            if why := self._gone(container):
                text = redact(f"the container {container.name} ({self.record.name}) {why}", self.secrets)
                raise with_log(ServiceError(text), self._log(container, 50))
        self.urls = tuple(_url(container, self._port) for container in self._containers)

    def _gone(self, container: Container) -> str | None:
        state = container.attrs["State"]
        # Before it is ready, a restart policy may bring it through; afterwards a restart breaks the measurement.
        restarts = container.attrs.get("RestartCount", 0)
        if restarts > self._restarts.get(container.id or "", restarts):
            return f"was restarted after it ended with exit code {state['ExitCode']}"
        if state["Running"] or state["Restarting"]:
            return None
        if state["OOMKilled"]:
            limit = container.attrs["HostConfig"]["Memory"]
            allowed = f"its limit of {limit / 2**20:.0f} MiB" if limit else "what the machine had left"
            return f"ended with exit code {state['ExitCode']}: OOMKilled, it needed more memory than {allowed}"
        said = f" ({state['Error']})" if state["Error"] else ""
        return f"ended with exit code {state['ExitCode']}{said}"

    def log_tail(self, lines: int = 50) -> str:
        """The last lines that each container wrote."""
        if len(self._containers) == 1:
            return self._log(self._containers[0], lines)
        return "\n".join(f"{container.name}:\n{self._log(container, lines)}" for container in self._containers)

    def _log(self, container: Container, lines: int) -> str:
        with in_words(f"reading the log of {container.name}"):
            return redact(container.logs(tail=lines).decode(errors="replace").rstrip(), self.secrets)

    def log_between(self, since: float, until: float) -> dict[str, list[LogLine]]:
        """What each container wrote between two moments, read as far as is bounded."""
        return {
            self._called(container.id): lines_between(container, since, until, self.secrets)
            for container in self._containers
        }

    def look(self) -> None:
        """See what happened to the containers, before the engine forgets it."""
        if self._events is not None:
            self._events.look()

    def events_between(self, since: float, until: float) -> list[ServiceEvent]:
        """What happened to the containers, and to those that were started with them."""
        return [] if self._events is None else self._events.between(since, until, self._called_by_engine)

    def _called_by_engine(self, actor: dict[str, Any]) -> str:
        given = actor["Attributes"]
        return self._called(actor["ID"], given.get(_COMPOSE_SERVICE) or given["name"])

    def _called(self, container: str | None, otherwise: str = "") -> str:
        """Which replica a container is, where there are several: 'replica 2'; `otherwise` where it is none."""
        own = [each.id for each in self._containers]
        if container not in own:
            return otherwise
        return f"replica {own.index(container) + 1}" if len(own) > 1 else ""

    def sampling(self, began: float) -> AbstractContextManager[list[Sample]]:
        """Samples of each container, at the engine's beat."""
        return sampled(self._meters, began, _LOOK_EVERY_S, _ANSWER_S)

    def pause(self) -> None:
        """Freeze the containers; one that has ended is reported as such."""
        self.check()
        for container in self._containers:
            with in_words(f"pausing the container {container.name}"):
                container.pause()

    def resume(self) -> None:
        """Let those go on that are frozen."""
        for container in self._containers:
            with in_words(f"resuming the container {container.name}"):
                container.reload()
                if container.attrs["State"]["Paused"]:
                    container.unpause()

    @contextmanager
    def watched(self, api: APIClient, label: str) -> Iterator[None]:
        """From now on it is ready: its use is measured, and a restart counts as its end.

        The label is that of all containers that were started with it.
        """
        self._watch(api, label)
        try:
            yield
        finally:
            self._unwatch()

    def _watch(self, api: APIClient, label: str) -> None:
        self._events = EventLog(api, label)
        self._restarts = {container.id or "": container.attrs.get("RestartCount", 0) for container in self._containers}
        self._meters = [StatsMeter(api, container.id or "") for container in self._containers]
        for meter in self._meters:
            meter.await_answer(_ANSWER_S)

    def _unwatch(self) -> None:
        self._restarts = {}
        for meter in self._meters:
            meter.close()


def _url(container: Container, port: int) -> str:
    """Where the container's port is published on this machine's loopback."""
    if container.attrs["State"]["Restarting"]:
        return "http://127.0.0.1:0"  # nowhere, until it is up again
    for published in container.ports.get(f"{port}/tcp") or ():
        if published["HostIp"] == "127.0.0.1":
            return f"http://127.0.0.1:{published['HostPort']}"
    raise ServiceError(f"the engine published no port of {container.name} for {port}/tcp")


def hint_for(port: int) -> str:
    """What most often keeps a container that runs from answering."""
    return f"In a container the service has to listen on 0.0.0.0:{port}; on 127.0.0.1 nobody outside reaches it."
