"""What the load tests load: the classifier with 1, 2 and 4 processes, and with a cache."""

from typing import Any

import pytest

from pytest_loadperf import docker_service, process_service


def classifier(**env: str) -> Any:
    """The service in Docker, or as local processes where no engine answers."""
    local = process_service("python classify.py", ready="/health", env=env)
    return docker_service(build=".", port=8000, ready="/health", env=env, memory="1g", fallback=local)


one_worker = classifier(WORKERS="1")
two_workers = classifier(WORKERS="2")
four_workers = classifier(WORKERS="4")
two_workers_and_cache = classifier(WORKERS="2", CACHE="1000")


@pytest.fixture(scope="session", params=["one_worker", "two_workers", "four_workers", "two_workers_and_cache"])
def loadperf_service(request: pytest.FixtureRequest) -> Any:
    """Each of them in its turn: what uses this fixture, loads included, is run once with each."""
    return request.getfixturevalue(request.param)
