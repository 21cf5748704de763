"""Containers as a running service, whoever started them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from docker import APIClient
from docker.models.containers import Container

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.model import Sample, ServiceEvent
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.redact import redact
from pytest_loadperf.service.container_log import lines_between
from pytest_loadperf.service.engine import in_words
from pytest_loadperf.service.events import EventLog
from pytest_loadperf.service.lives import Lives
from pytest_loadperf.service.log import LogLine
from pytest_loadperf.service.running import RunningService, with_log
from pytest_loadperf.service.sampler import sampled
from pytest_loadperf.service.stats import StatsMeter

_COMPOSE_SERVICE = "com.docker.compose.service"
_LOOK_EVERY_S = 0.25  # the engine's beat is its own: each answer is taken soon after it came
_ANSWER_S = 3.0  # the engine answers once a second, later on a busy machine
_LEAVING = ("kill", "die", "stop")  # what the engine tells of a container that is removed
_MOST_LOGS = 16  # of containers that are gone


@dataclass(frozen=True)
class _Log:
    """What a replica that is gone wrote."""

    replica: str
    lines: Sequence[LogLine]


class ContainerService(RunningService):
    """One container per replica."""

    def __init__(
        self, containers: Sequence[Container], port: int, record: ServiceRecord, secrets: Sequence[str]
    ) -> None:
        self.record = record
        self.urls = ()
        self._port = port
        self.secrets = secrets
        self._meters: dict[int, StatsMeter] = {}
        self._lives = Lives()
        self._events: EventLog | None = None
        self._meant: set[tuple[str, str]] = set()  # events of this run's own making: a container's id, and the action
        self._scaled: list[tuple[float, str]] = []  # when, and '1 to 2 replicas'
        self._stays: dict[int, tuple[float, float]] = {}  # by `time.monotonic()`, of those that came or went
        self._left: deque[_Log] = deque(maxlen=_MOST_LOGS)
        self.take_over(containers)
        self.check()

    def take_over(self, containers: Sequence[Container]) -> None:
        """From now on it is these containers."""
        self._containers = tuple(containers)
        self._numbers = {container.id or "": number for number, container in enumerate(containers)}

    def check(self) -> None:
        """Raise ServiceError when a container ended or was restarted, with exit code, OOM flag and log."""
        for container in self._containers:
            try:
                self.check_container(container)
            except ServiceError:
                if container in self._containers:  # else it was taken away meanwhile
                    raise
        self._locate()

    def _locate(self) -> None:
        self.urls = tuple(url_of(container, self._port) for container in self._containers)

    def check_container(self, container: Container) -> None:
        """The same of one container."""
        if why := self._lives.end_of(container):
            text = redact(f"the container {container.name} ({self.record.name}) {why}", self.secrets)
            raise with_log(ServiceError(text), self.log_of(container, 50))

    def log_tail(self, lines: int = 50) -> str:
        """The last lines that each container wrote."""
        if len(self._containers) == 1:
            return self.log_of(self._containers[0], lines)
        return "\n".join(f"{container.name}:\n{self.log_of(container, lines)}" for container in self._containers)

    def log_of(self, container: Container, lines: int) -> str:
        """The last lines that one container wrote."""
        with in_words(f"reading the log of {container.name}"):
            return redact(container.logs(tail=lines).decode(errors="replace").rstrip(), self.secrets)

    def log_between(self, since: float, until: float) -> dict[str, list[LogLine]]:
        """What each container wrote between two moments, read as far as is bounded."""
        found = {
            self._called(container.id): lines_between(container, since, until, self.secrets)
            for container in self._containers
        }
        for log in self._left:
            if lines := [line for line in log.lines if since <= line.at <= until]:
                found[log.replica] = lines
        return found

    def look(self) -> None:
        """See what happened to the containers, before the engine forgets it."""
        if self._events is not None:
            self._events.look()

    def events_between(self, since: float, until: float) -> list[ServiceEvent]:
        """What happened to the containers, and to those that were started with them."""
        if self._events is None:
            return []
        happened = self._events.between(since, until, self._called_by_engine, self._meant)
        scaled = [(at, change) for at, change in self._scaled if since <= at <= until]
        happened += [ServiceEvent(round(at - since, 3), "", "scale", change) for at, change in scaled]
        return sorted(happened, key=lambda event: event.at_s)

    def _called_by_engine(self, actor: dict[str, Any]) -> str:
        given = actor["Attributes"]
        return self._called(actor["ID"], given.get(_COMPOSE_SERVICE) or given["name"])

    def _called(self, container: str | None, otherwise: str = "") -> str:
        """Which replica a container is, where there are several: 'replica 2'; `otherwise` where it is none."""
        number = self._numbers.get(container or "")
        if number is None:
            return otherwise
        return f"replica {number + 1}" if self.scales or len(self._numbers) > 1 else ""

    @property
    def replicas(self) -> list[int]:
        """The numbers of those that are there; one that comes later in a load has another than any before it."""
        return [self._numbers[container.id or ""] for container in self._containers]

    def next_numbers(self, count: int) -> list[int]:
        """Numbers for so many more replicas."""
        first = max(self._numbers.values()) + 1
        return list(range(first, first + count))

    def begin_scaling(self) -> None:
        """Forget those that came and went in an earlier load."""
        self.take_over(self._containers)
        self._stays, self._scaled = {}, []

    def adopt(self, containers: Sequence[Container]) -> None:
        """Replicas more, which are ready: from now on they are measured, and have to live."""
        for container, number in zip(containers, self.next_numbers(len(containers)), strict=True):
            known = container.id or ""
            self._meant.add((known, "start"))
            self._numbers[known] = number
            self._lives.know(container)
            self._stays[number] = (time.monotonic(), math.inf)
            self._meters[number] = StatsMeter(self._api, known)
        self._containers = (*self._containers, *containers)
        self._locate()

    def release(self, count: int) -> Sequence[Container]:
        """Replicas fewer, the newest first: those that are given back may end from now on."""
        staying = len(self._containers) - max(0, count)
        self._containers, leaving = self._containers[:staying], self._containers[staying:]
        for container in leaving:
            known = container.id or ""
            number = self._numbers[known]
            self._meant |= {(known, action) for action in _LEAVING}
            self._stays[number] = (self._stays.get(number, (-math.inf,))[0], time.monotonic())
            self._meters.pop(number).close()
        self._locate()
        return leaving

    def note_scaled(self, change: str) -> None:
        """It has another number of replicas from now on: '1 to 2 replicas'."""
        self._scaled.append((time.time(), change))

    def keep_log(self, container: Container) -> None:
        """What a container that is about to be removed wrote, for whoever asks later."""
        if container.id not in self._numbers:  # no request went there yet
            return
        with suppress(ServiceError):  # it is gone already
            lines = lines_between(container, self._watched_at, time.time(), self.secrets)
            self._left.append(_Log(self._called(container.id), lines))

    def stays(self, began: float) -> dict[int, tuple[float, float]]:
        """When those replicas were there that came or went, in seconds of a load."""
        return {number: (came - began, went - began) for number, (came, went) in self._stays.items()}

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
        self._api = api
        self._watched_at = time.time()
        self._events = EventLog(api, label)
        for container in self._containers:
            self._lives.know(container)
        self._meters = {number: StatsMeter(api, known) for known, number in self._numbers.items()}
        for meter in self._meters.values():
            meter.await_answer(_ANSWER_S)

    def _unwatch(self) -> None:
        self._lives.forget()
        for meter in self._meters.values():
            meter.close()


def url_of(container: Container, port: int) -> str:
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
