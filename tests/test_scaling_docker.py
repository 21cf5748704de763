"""Replicas that a real engine adds and removes, whatever they use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
from docker_engine import BASE_IMAGE, the_engine
from owning import TELLING
from service_asking import told

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.model import Sample
from pytest_loadperf.service.autoscale import Autoscale
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.container import ContainerService
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.spec import DockerSpec

pytestmark = pytest.mark.docker

SPEC = DockerSpec(
    image=BASE_IMAGE,
    command=["python", "-c", TELLING.read_text(), "8000"],
    port=8000,
    autoscale=Autoscale(max=2, up="100ms", down="100ms"),
)
BUSY = [Sample(1e9, replica, 100.0, 1) for replica in range(4)]
IDLE = [Sample(1e9, replica, 1.0, 1) for replica in range(4)]


@pytest.fixture(autouse=True)
def engine() -> Iterator[Engine]:
    yield from the_engine()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(engine: Engine) -> list[str]:
    """Of the containers that this test has up: how each ends, which is its number from 1."""
    found = engine.client.api.containers(all=True, filters={"label": "pytest-loadperf=1"})
    ours = [one["Names"][0] for one in found if one["Labels"]["pytest-loadperf.owner"].startswith(f"{os.getpid()}_")]
    return sorted(name.rpartition("-")[2] for name in ours)


def test_replicas_come_and_go_are_measured_and_have_to_live_while_they_are_there(engine: Engine) -> None:
    with start(SPEC, say=print) as service:
        assert isinstance(service, ContainerService)
        began, monotonic, moved, samples = time.time(), time.monotonic(), list[tuple[str, ...]](), list(BUSY)
        with (
            service.scaling(lambda urls: moved.append(tuple(urls))) as scaling,
            service.sampling(monotonic) as measured,
        ):
            scaling.begin(monotonic, samples)
            until(lambda: len(moved) == 1)
            assert moved[0] == service.urls
            assert [told(url)["argv"] for url in service.urls] == [["8000"], ["8000"]]
            until(lambda: {sample.replica for sample in measured} == {0, 1})
            samples += IDLE
            until(lambda: names(engine) == ["1"])
            service.check()
            assert moved[1:] == [service.urls]
            samples += BUSY
            until(lambda: len(moved) == 3)
            scaling.stop()
            assert service.replicas == [0, 2]
            assert list(service.stays(monotonic)) == [1, 2]
            until(lambda: len(service.events_between(began, time.time())) == 3)
            assert [str(event) for event in service.events_between(began, time.time())] == [
                "the service was scaled from 1 to 2 replicas",
                "the service was scaled from 2 to 1 replica",
                "the service was scaled from 1 to 2 replicas",
            ]
            (container,) = engine.client.containers.list(filters={"name": f"-{os.getpid()}-.*-3$"})
            container.kill()
            container.wait()
            with pytest.raises(ServiceError, match=r"^the container \S+-3 \(\S+\) ended with exit code 137"):
                service.check()
        assert names(engine) == ["1"]
        service.check()
        assert "telling nothing" in [line.text for line in service.log_between(began, time.time())["replica 2"]]
