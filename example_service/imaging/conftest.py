"""What the load tests load: each framework with each encoding; in Docker, or as local processes."""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from picture_server import serving

from pytest_loadperf import docker_service, process_service

env = {"PICTURE_HOSTS": ""}  # filled in by picture_url, before any service starts


def served_by(command: str) -> Any:
    """The service in Docker, or as local processes where no engine answers; HOST and PORT stand for either's."""
    local = process_service(command.replace("HOST", "127.0.0.1").replace("PORT", "{port}"), ready="/health", env=env)
    command = command.replace("HOST", "0.0.0.0").replace("PORT", "8000")
    return docker_service(build=".", command=command, port=8000, ready="/health", env=env, memory="1g", fallback=local)


flask = served_by("gunicorn --bind=HOST:PORT imaging_flask:app")
aiohttp = served_by("gunicorn --bind=HOST:PORT --worker-class=aiohttp.GunicornWebWorker imaging_aiohttp:app")
fastapi = served_by(
    "uvicorn --host=HOST --port=PORT --workers=2 --timeout-keep-alive=30 --no-access-log imaging_fastapi:app"
)


@pytest.fixture(scope="session")
def picture_url() -> Iterator[str]:
    """Where the services find the picture."""
    with serving() as url:
        env["PICTURE_HOSTS"] = urlsplit(url).netloc
        yield url


@pytest.fixture(scope="session", params=["imageurl", "base64", "multipart"])
def encoding(request: pytest.FixtureRequest) -> Any:
    """Each in its turn: how the users send the picture."""
    return request.param


@pytest.fixture(scope="session", params=["flask", "fastapi", "aiohttp"])
def loadperf_service(request: pytest.FixtureRequest, encoding: str, picture_url: str) -> Any:
    """Each framework in its turn, with each encoding: what uses this fixture, loads included, is run nine times."""
    # The users run in a process of their own, and inherit this environment.
    os.environ.update(ENCODING=encoding, PICTURE_URL=picture_url)
    return request.getfixturevalue(request.param)
