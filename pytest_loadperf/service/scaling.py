"""Adds and removes replicas of a service in Docker while a load runs, and undoes it when the load is over."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from docker.errors import NotFound
from docker.models.containers import Container

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.model import Sample
from pytest_loadperf.quantity import show_rate_percent
from pytest_loadperf.service.autoscale import Autoscale, Rule, change_in_words, fresh_cpu, mean
from pytest_loadperf.service.container import ContainerService, hint_for, url_of
from pytest_loadperf.service.engine import in_words
from pytest_loadperf.service.ready import NotReady, wait_ready
from pytest_loadperf.service.running import Scaling, with_log
from pytest_loadperf.service.spec import DockerSpec

_LOOK_EVERY_S = 1.0
_DRAIN_S = 3.0  # from when no new request goes to a replica until it is told to end
_END_S = 5  # until it is killed

Make = Callable[[int], Container]  # starts the replica with that number


class _LoadIsOver(Exception):
    """Nobody needs the replica that is waited for any more."""


@contextmanager
def scaled(
    service: ContainerService, spec: DockerSpec, asked: Autoscale, make: Make, move: Callable[[Sequence[str]], None]
) -> Iterator[Scaling]:
    """While the context lasts and once it is begun, the service has as many replicas as the rule says.

    At its end there are as many as at first. `move` is told of their addresses. Raises ServiceError when that fails.
    """
    service.begin_scaling()
    scaling = _Scaling(service, spec, asked, make, move)
    try:
        yield scaling
    finally:
        scaling.undo()
    scaling.told()


class _Scaling(Scaling):
    """A thread, since to start a container takes a second or two, in which the load goes on.

    It shares the engine's client with the load, as the meters do: what it keeps between requests is locked.
    """

    def __init__(
        self,
        service: ContainerService,
        spec: DockerSpec,
        asked: Autoscale,
        make: Make,
        move: Callable[[Sequence[str]], None],
    ) -> None:
        self._service = service
        self._spec = spec
        self._asked = asked
        self._make = make
        self._move = move
        self._rule = Rule(asked)
        self._limit_percent = (spec.cpus or 1.0) * 100
        self._began = 0.0
        self._samples: Sequence[Sample] = ()
        self._coming: list[Container] = []
        self._leaving: list[tuple[float, Container]] = []  # from when on it may be removed
        self._lines: deque[str] = deque()
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loadperf-scaling", daemon=True)

    def begin(self, began: float, samples: Sequence[Sample]) -> None:
        """Go by these samples, of a load that began at that moment of `time.monotonic()`."""
        self._began, self._samples = began, samples
        self._thread.start()

    def stop(self) -> None:
        """Scale no more; does not wait for what is being done."""
        self._ended.set()

    def told(self) -> list[str]:
        """What was done since this was asked last, in words; raises what went wrong, once."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def undo(self) -> None:
        """End the thread, and remove what it has started; nobody sends requests there any more."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()
        surplus = self._service.release(len(self._service.replicas) - self._asked.min)
        for container in (*self._coming, *surplus, *(container for _, container in self._leaving)):
            self._remove(container)

    def _run(self) -> None:
        try:
            while not self._ended.wait(_LOOK_EVERY_S):
                self._look()
        except _LoadIsOver:
            return
        except BaseException as error:  # it is raised where the load waits
            self._failure = error

    def _look(self) -> None:
        now = time.monotonic()
        while self._leaving and self._leaving[0][0] <= now:
            self._end(self._leaving.pop(0)[1])
        there = self._service.replicas
        used = fresh_cpu(self._samples, there, now - self._began)
        shares = [None if percent is None else percent / self._limit_percent for percent in used]
        wanted = self._rule.decide(now - self._began, shares)
        if wanted == len(there):
            return
        change = change_in_words(len(there), wanted)
        with _blamed(change):
            if wanted > len(there):
                self._add(wanted - len(there))
            else:
                self._take_away(len(there) - wanted)
        self._service.note_scaled(change)
        used_now = show_rate_percent(mean([share for share in shares if share is not None]), 2)
        why = f"CPU {used_now}, {show_rate_percent(self._asked.target_cpu)} wanted"
        self._lines.append(f"{self._service.record.name} was scaled from {change}: {why}")

    def _add(self, count: int) -> None:
        for number in self._service.next_numbers(count):
            self._coming.append(self._make(number))
        for container in self._coming:
            self._await(container)
        if self._ended.is_set():
            raise _LoadIsOver
        coming, self._coming = self._coming, []
        self._service.adopt(coming)
        self._move(self._service.urls)

    def _await(self, container: Container) -> None:
        spec = self._spec

        def check() -> None:
            if self._ended.is_set():
                raise _LoadIsOver
            self._service.check_container(container)

        def address() -> str:
            return url_of(container, spec.port) + spec.ready

        try:
            wait_ready(address, spec.timeout_s, check, self._service.record.name, advice=hint_for(spec.port))
        except NotReady as error:
            raise with_log(error, self._service.log_of(container, 50)) from None

    def _take_away(self, count: int) -> None:
        leaving = self._service.release(count)
        self._move(self._service.urls)
        due = time.monotonic() + _DRAIN_S
        self._leaving += [(due, container) for container in leaving]

    def _end(self, container: Container) -> None:
        """Let it finish what it is doing, as far as it does on SIGTERM."""
        with in_words(f"stopping the container {container.name}"), suppress(NotFound):
            container.stop(timeout=_END_S)
        self._remove(container)

    def _remove(self, container: Container) -> None:
        self._service.keep_log(container)
        with in_words(f"removing the container {container.name}"), suppress(NotFound):
            container.remove(force=True, v=True)


@contextmanager
def _blamed(change: str) -> Iterator[None]:
    """What goes wrong says what was being done."""
    try:
        yield
    except LoadperfError as error:
        error.args = (f"scaling from {change}: {error}",)
        raise
