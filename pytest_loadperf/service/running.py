"""A service while it runs, wherever it runs."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from pytest_loadperf.errors import LoadperfError, ServiceError
from pytest_loadperf.model import Sample, ServiceEvent
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service.log import LogLine
from pytest_loadperf.service.ready import NotReady, wait_ready

_BREATH_EVERY_S = 5.0
_BREATH_S = 0.1


class RunningService(ABC):
    """What is loaded: where it answers, whether it lives, and what it uses."""

    urls: tuple[str, ...]  # one per replica
    record: ServiceRecord
    secrets: Sequence[str] = ()  # what no text may show
    counterpart: Counterpart | None = None  # what it is measured beside, where that was asked for
    scales = False  # whether replicas come and go while a load runs

    @property
    def url(self) -> str:
        """The first replica's address."""
        return self.urls[0]

    @abstractmethod
    def check(self) -> None:
        """Raise ServiceError, with the end of the log as a note, when the service is gone."""

    @abstractmethod
    def log_tail(self, lines: int = 50) -> str:
        """The last lines that the service wrote, secrets redacted."""

    @abstractmethod
    def sampling(self, began: float) -> AbstractContextManager[list[Sample]]:
        """Adds a Sample per replica and second to the list; `began` is the load's begin by `time.monotonic()`."""

    def look(self) -> None:  # noqa: B027 # of a service elsewhere nothing is seen
        """See what nobody could be asked for later; a load calls this every second."""

    def log_between(self, since: float, until: float) -> dict[str, list[LogLine]]:  # noqa: ARG002 # the interface's
        """What each replica wrote between two moments of `time.time()`, by its name, from the beginning, bounded."""
        return {}

    def events_between(self, since: float, until: float) -> list[ServiceEvent]:  # noqa: ARG002
        """What happened to it between two moments of `time.time()`, of which the first is the load's begin."""
        return []

    def scaling(self, move: Callable[[Sequence[str]], None]) -> AbstractContextManager[Scaling]:  # noqa: ARG002
        """While a load runs: replicas that come and go, of whose addresses `move` is told; here, none do."""
        return nullcontext(Scaling())

    def stays(self, began: float) -> dict[int, tuple[float, float]]:  # noqa: ARG002
        """Of each replica that came or went during the load that began then, when it was there, in seconds of that."""
        return {}

    def pause(self) -> None:  # noqa: B027 # where there is nothing to hold, it goes on
        """Let it have no CPU until it is resumed."""

    def resume(self) -> None:  # noqa: B027
        """Let it go on; harmless where it was not paused."""

    def restart(self) -> None:  # noqa: B027 # side by side, what can't be started anew is refused
        """Start it anew, and wait until it is ready; it may have another address then."""

    def wait_ready(self, ready: str, timeout_s: float, started: float, advice: str = "") -> None:
        """Wait until every replica answers, `timeout_s` at most for each, and record how long it took all."""
        self.wait_for_answer(ready, timeout_s, advice)
        self.record = replace(self.record, started_in_s=round(time.monotonic() - started, 3))

    def wait_for_answer(self, ready: str, timeout_s: float, advice: str = "") -> None:
        """The same, without a record of it."""
        for replica in range(len(self.urls)):
            try:
                wait_ready(
                    partial(self._address, replica, ready), timeout_s, self.check, self.record.name, advice=advice
                )
            except NotReady as error:
                raise with_log(error, self.log_tail()) from None

    def _address(self, replica: int, path: str) -> str:
        return self.urls[replica] + path  # of the moment: a container that was restarted has another port


class Scaling:
    """What a load knows of replicas that come and go: nothing, where none do."""

    def begin(self, began: float, samples: Sequence[Sample]) -> None:
        """Go by these samples, of a load that began at that moment of `time.monotonic()`."""

    def told(self) -> list[str]:
        """What was done since this was asked last, in words; raises ServiceError when something went wrong."""
        return []

    def stop(self) -> None:
        """Scale no more."""


@dataclass(frozen=True)
class Counterpart:
    """The baseline beside a candidate."""

    name: str  # "git:main (ab12cd3)", or an image
    service: RunningService


@contextmanager
def asleep(
    service: RunningService,
    every_s: float = _BREATH_EVERY_S,
    blamed: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """The service has next to no CPU while the context lasts.

    Every few seconds it breathes: servers end workers that were not heard of for half a minute, and would end them all
    when they wake. (Those that wait in select(2), whose clock stands still with them, are not saved by that.) If it
    has died, `blamed` says whose it is.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_breathe, args=(service, every_s, stop), name="loadperf-asleep", daemon=True)

    def wake() -> None:
        stop.set()
        if thread.ident is not None:
            thread.join()
        service.resume()

    try:
        with blamed():
            service.pause()
        thread.start()
        yield
    except BaseException:  # also where the pause was cut short: one of several replicas may be frozen by then
        with suppress(ServiceError):
            wake()
        raise
    with blamed():
        wake()


def _breathe(service: RunningService, every_s: float, stop: threading.Event) -> None:
    with suppress(ServiceError):  # it has died: whoever loads it next is told
        while not stop.wait(every_s):
            service.resume()
            stop.wait(_BREATH_S)
            service.pause()


@contextmanager
def named(baseline: str) -> Iterator[None]:
    """What goes wrong with a baseline says whose it is, lest the candidate be looked into."""
    try:
        yield
    except LoadperfError as error:
        error.args = (f"the baseline {baseline}: {error}",)
        raise


def with_log(error: ServiceError, log: str) -> ServiceError:
    """The error with the end of the service's log as a note."""
    error.add_note(f"the end of its log:\n{log}" if log.strip() else "it wrote no log")
    return error
