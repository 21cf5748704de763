"""Replicas added and removed while a load runs, without an engine: what is done when, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from projects import ONE_SECOND, Project

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.model import Sample
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service import scaling
from pytest_loadperf.service.autoscale import Autoscale
from pytest_loadperf.service.running import Scaling
from pytest_loadperf.service.spec import DockerSpec

QUICK = Autoscale(max=2, up="50ms", down="50ms")


class Replica:
    """A container as far as it is started, stopped and removed."""

    def __init__(self, number: int, done: list[str]) -> None:
        self.name = f"shop-{number + 1}"
        self.number = number
        self.done = done

    def stop(self, timeout: int) -> None:
        self.done.append(f"stop {self.name}")

    def remove(self, **_: object) -> None:
        self.done.append(f"remove {self.name}")


class Service:
    """A service whose replicas are such."""

    def __init__(self) -> None:
        self.record = ServiceRecord("docker", "shop")
        self.done: list[str] = []
        self.there = [Replica(0, self.done)]

    @property
    def replicas(self) -> list[int]:
        return [replica.number for replica in self.there]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(replica.name for replica in self.there)

    def begin_scaling(self) -> None:
        self.done.append("begin")

    def next_numbers(self, count: int) -> list[int]:
        return list(range(1, 1 + count))

    def adopt(self, containers: Sequence[Replica]) -> None:
        self.there += containers

    def release(self, count: int) -> list[Replica]:
        staying = len(self.there) - max(0, count)
        self.there, leaving = self.there[:staying], self.there[staying:]
        return leaving

    def check_container(self, container: Replica) -> None:
        """It lives."""

    def log_of(self, container: Replica, lines: int) -> str:
        return "no database"

    def keep_log(self, container: Replica) -> None:
        """Nothing was written."""

    def note_scaled(self, change: str) -> None:
        self.done.append(change)


@contextmanager
def scaled(
    service: Service, cpu_percent: float, make: Callable[[int], Replica] | None = None, timeout: str = "10s"
) -> Iterator[tuple[Scaling, list[Sample]]]:
    """The service while its replicas use so much of a core."""
    spec = DockerSpec(image="shop", port=80, ready="/health", timeout=timeout, autoscale=QUICK)
    stand_in: Any = service
    made: Any = make or (lambda number: Replica(number, service.done))
    samples = [Sample(1e9, replica, cpu_percent, 1) for replica in (0, 1)]
    with scaling.scaled(stand_in, spec, QUICK, made, lambda urls: service.done.append(" ".join(urls))) as running:
        running.begin(time.monotonic(), samples)
        yield running, samples


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(scaling, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(scaling, "_DRAIN_S", 0.3)
    monkeypatch.setattr(scaling, "url_of", lambda *_: f"{server}/status/200?")


def lines(running: Scaling, wanted: int = 1) -> list[str]:
    """What is told, once so much is."""
    found: list[str] = []
    deadline = time.monotonic() + 5
    while len(found) < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
        found += running.told()
    return found


def test_a_replica_gets_users_when_it_is_ready_and_loses_them_before_it_is_removed() -> None:
    service = Service()
    with scaled(service, 93.2) as (running, samples):
        assert lines(running) == ["shop was scaled from 1 to 2 replicas: CPU 93%, 75% wanted"]
        samples += [Sample(1e9, replica, 12.0, 1) for replica in (0, 1)]
        assert lines(running) == ["shop was scaled from 2 to 1 replica: CPU 12%, 75% wanted"]
        assert service.done == ["begin", "shop-1 shop-2", "1 to 2 replicas", "shop-1", "2 to 1 replica"]
        time.sleep(0.6)
        assert service.done[5:] == ["stop shop-2", "remove shop-2"]


def test_at_the_end_there_are_as_many_as_at_first() -> None:
    service = Service()
    with scaled(service, 93.2) as (running, _):
        lines(running)
        running.stop()
        time.sleep(0.1)
        assert service.replicas == [0, 1]
    assert service.replicas == [0]
    assert service.done[-1] == "remove shop-2"


def test_what_is_on_its_way_when_the_load_ends_is_removed_at_once(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(scaling, "url_of", lambda *_: f"{server}/status/503?")
    service = Service()
    with scaled(service, 93.2):
        time.sleep(0.3)
        ended = time.monotonic()
    assert time.monotonic() - ended < 1
    assert service.done == ["begin", "remove shop-2"]


def test_what_cannot_be_started_is_an_error_of_the_load() -> None:
    def make(number: int) -> Replica:
        raise ServiceError("starting shop failed: no such image")

    with (
        pytest.raises(ServiceError, match=r"^scaling from 1 to 2 replicas: starting shop failed: no such image$"),
        scaled(Service(), 93.2, make) as (running, _),
    ):
        lines(running)


def test_also_where_nobody_asks_any_more() -> None:
    def make(number: int) -> Replica:
        raise ServiceError("starting shop failed")

    with pytest.raises(ServiceError, match=r"^scaling from 1 to 2 replicas: starting"), scaled(Service(), 93.2, make):
        time.sleep(0.3)


def test_one_that_does_not_get_ready_is_an_error_with_its_log(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(scaling, "url_of", lambda *_: f"{server}/status/503?")
    service = Service()
    with (
        pytest.raises(
            ServiceError, match=r"^scaling from 1 to 2 replicas: shop was not ready within 0\.2 s: "
        ) as caught,
        scaled(service, 93.2, timeout="200ms") as (running, _),
    ):
        lines(running)
    assert caught.value.__notes__ == ["the end of its log:\nno database"]
    assert service.done == ["begin", "remove shop-2"]


SCALING = """
from contextlib import contextmanager
import pytest
from pytest_loadperf.service.running import Scaling
from pytest_loadperf.service.spec import UrlSpec
from pytest_loadperf.service.url import UrlService

class Telling(Scaling):
    def told(self):
        return ["shop was scaled from 1 to 2 replicas: CPU 93%, 75% wanted"]

class Scaled(UrlService):
    scales = True

    @contextmanager
    def scaling(self, move):
        yield Telling()

@pytest.fixture
def loadperf_service():
    return Scaled(UrlSpec({server!r}))
"""


def test_it_is_told_while_the_load_runs(project: Project, server: str) -> None:
    (project.path / "conftest.py").write_text(SCALING.replace("{server!r}", repr(server)))
    project.module("test_it", f"rush = load(Shopper, {ONE_SECOND}, scope='function')\ndef test_it(rush): pass\n")
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["loadperf: shop was scaled from 1 to 2 replicas: CPU 93%, 75% wanted"])


def test_workers_are_refused_since_their_users_would_not_be_told(project: Project, server: str) -> None:
    (project.path / "conftest.py").write_text(SCALING.replace("{server!r}", repr(server)))
    project.module("test_it", f"rush = load(Shopper, {ONE_SECOND}, scope='function')\ndef test_it(rush): pass\n")
    result = project.run("--loadperf-workers", "2")
    result.assert_outcomes(errors=1)
    told = (
        f"the load rush has its users in 2 workers, which are not told of replicas that come and go: {server} has "
        "autoscale=. Run it without workers (workers=1, no --loadperf-workers), or give the service replicas= instead"
    )
    result.stdout.fnmatch_lines([f"*{told}"])
