"""Docker for the tests that need it: without it they skip, or fail where LOADPERF_REQUIRE_DOCKER=1 says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from pytest_loadperf.service.engine import Engine, EngineMissing, connect

BASE_IMAGE = "python:3.11-slim-bookworm"
TRACE = "LABEL pytest-loadperf.tests=1"  # in a Dockerfile, by which the leavings of failed builds are found


def require_engine() -> Engine:
    """The engine, or the end of the test that asks for it."""
    try:
        return connect()
    except EngineMissing as missing:
        raise _without(str(missing)) from None


def require_compose() -> None:
    """Go on, or end the test that asks for it."""
    plugin = (
        shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    )
    if not plugin and not shutil.which("docker-compose"):
        raise _without("there is neither `docker compose` nor `docker-compose`")


def _without(text: str) -> BaseException:
    if os.environ.get("LOADPERF_REQUIRE_DOCKER") == "1":
        return pytest.fail.Exception(f"LOADPERF_REQUIRE_DOCKER=1, but {text}", pytrace=False)
    return pytest.skip.Exception(text)


def the_engine() -> Iterator[Engine]:
    """What a fixture yields from."""
    engine = require_engine()
    yield engine
    engine.client.close()


def remove_traces(engine: Engine, repository: str) -> None:
    """Remove the images of a test, and what its failed builds left."""
    api = engine.client.api
    trace = {"label": "pytest-loadperf.tests=1"}
    for container in api.containers(all=True, filters={**trace, "status": "exited"}):
        api.remove_container(container["Id"])
    for image in (*api.images(repository), *api.images(filters={**trace, "dangling": True})):
        api.remove_image(image["Id"], force=True)
