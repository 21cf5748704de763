"""The examples' images, built and run as their Dockerfiles say, and that of the workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from docker.models.containers import Container
from docker_engine import the_engine

from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.image import tidied

ROOT = Path(__file__).parents[1]
WORKER_IMAGE = "loadperf-tests/worker"


@contextmanager
def healthy(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Container]:
    """A container of the image that is built from the folder, once it finds itself healthy."""
    tag = f"loadperf-tests/{folder.name}"
    with contextmanager(the_engine)() as engine:
        engine.client.images.build(path=str(folder), tag=tag, rm=True)
        container = engine.client.containers.create(
            tag, environment=dict(environment or {}), healthcheck={"interval": 10**9}
        )
        try:
            container.start()
            deadline = time.monotonic() + 30
            while container.health != "healthy":
                assert time.monotonic() < deadline, container.logs().decode()
                time.sleep(0.2)
                container.reload()
            yield container
        finally:
            container.remove(force=True)
            engine.client.images.remove(tag)


def build_worker(engine: Engine) -> None:
    """Build the workers' image as it is now; it is kept, so that whoever builds it next finds its layers."""
    with tidied(engine.client, WORKER_IMAGE):
        engine.client.images.build(path=str(ROOT), dockerfile="worker/Dockerfile", tag=WORKER_IMAGE, rm=True)
