"""Eight worker containers beside the service, as the README's compose file says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from docker_engine import BASE_IMAGE, TRACE, remove_traces, the_engine
from elsewhere import TOKEN, expecting, free_port
from example_images import ROOT, WORKER_IMAGE, build_worker
from test_generator import Run, plan

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.service.compose import _compose
from pytest_loadperf.service.engine import Engine

pytestmark = pytest.mark.docker

README = (ROOT / "README.md").read_text()
WORKERS = 8
SHARED = {"LOADPERF_TOKEN": TOKEN}
DOCKERFILE = f"""
FROM {BASE_IMAGE}
{TRACE}
COPY answering.py /
CMD ["python", "/answering.py", "--host", "0.0.0.0", "--port", "8000", "--log", "/dev/stdout"]
"""
CONFTEST = """
from pytest_loadperf import docker_service

loadperf_service = docker_service(build=".", port=8000)  # in whose place --loadperf-url is loaded
"""
TESTS = """
    import os
    import pytest
    from names import name_of
    from locust import FastHttpUser, constant, task
    from pytest_loadperf import Stage, load

    class Visitor(FastHttpUser):
        wait_time = constant(0.05)

        @task
        def visit(self):
            self.client.get(f"/anything?worker={os.uname().nodename}", name=name_of("visit"))

    visit = load(Visitor, Stage("visit", users=24, duration="4s"))

    @pytest.mark.loadperf("requests > 500", "failures <= 0")
    def test_visit(visit):
        assert visit.generator.unfinished_users == 0
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def image(engine: Engine) -> str:
    """The worker's image, as it is built now."""
    if not (ROOT / "worker").is_dir():
        pytest.skip("there is no checkout to build the image from")
    build_worker(engine)
    return WORKER_IMAGE


@pytest.fixture
def folder(engine: Engine, image: str, tmp_path: Path) -> Iterator[Path]:
    """The project of a user with the README's compose file."""
    folder = tmp_path / "visitors"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)  # the image's user writes the record into it
    compose = re.findall(r"```yaml\n(# compose\.yml.*?)```", README, re.DOTALL)[0]
    (folder / "compose.yml").write_text(compose.replace("loadperf-worker", image))
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "names.py").write_text("def name_of(name): return f'the {name}'\n")
    (folder / "test_it.py").write_text(textwrap.dedent(TESTS))
    shutil.copy(ROOT / "tests" / "answering.py", folder)
    yield folder
    run(folder, "down", "--volumes", "--rmi", "local")
    remove_traces(engine, "loadperf-tests/none")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*_compose(), "-f", "compose.yml", *arguments]
    environment = {**os.environ, **SHARED}
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=120, env=environment)


def log_of_service(engine: Engine) -> str:
    labels = ["com.docker.compose.project=visitors", "com.docker.compose.service=service"]
    (container,) = engine.client.containers.list(all=True, filters={"label": labels})
    return container.logs().decode()


def test_every_request_that_the_service_saw_is_in_the_result(folder: Path, engine: Engine) -> None:
    done = run(folder, "up", "--build", "--scale", f"worker={WORKERS}", "--exit-code-from", "pytest")
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = (folder / ".loadperf" / "runs").glob("*.json")
    (record,) = json.loads(kept.read_text())["loads"]
    served = re.findall(r"/anything\?worker=(\w+)", log_of_service(engine))
    assert len(set(served)) == WORKERS
    (trial,) = record["trials"]
    assert trial["generator"]["requests"] == len(served) > 500
    assert record["fingerprint"]["workers"] == "0 here, 8 from elsewhere"
    assert list(trial["stages"][0]["summary"]["endpoints"]) == ["GET the visit"]


def test_an_address_that_leads_nowhere_from_a_container_is_refused(server: str, engine: Engine, image: str) -> None:
    network, *_ = engine.client.networks.get("bridge").attrs["IPAM"]["Config"]
    gateway = next(ip_network(network["Subnet"]).hosts())  # not every engine tells it before it was started anew
    port = free_port()
    container = engine.client.containers.run(image, ["--master", f"{gateway}:{port}"], environment=SHARED, detach=True)
    try:
        with pytest.raises(GeneratorError) as caught:
            Run(replace(plan(server, "Fast"), crew=expecting(joined=1, host="0.0.0.0", port=port, come_s=20.0)))
        assert re.search(
            rf"{server} is the service's address on this machine only, but the worker on \w+ \(pid \d+\) is on "
            r"another one, or in a container\. Put service and workers into one network, .*: --loadperf-url",
            str(caught.value),
        )
        container.wait(timeout=10)
        assert "pytest-loadperf: the generator does not want this worker" in container.logs().decode()
    finally:
        container.remove(force=True)


def test_two_containers_in_the_network_of_their_host_are_two_workers(server: str, engine: Engine, image: str) -> None:
    port = free_port()
    command = ["--master", f"127.0.0.1:{port}"]
    containers = [
        engine.client.containers.run(image, command, network_mode="host", environment=SHARED, detach=True)
        for _ in range(2)
    ]
    try:
        end = Run(replace(plan(server, "Fast"), crew=expecting(joined=2, port=port, come_s=30.0))).end
        for container in containers:
            assert re.search(r"as worker [12] of 2\nthe load begins\n", container.logs().decode())
    finally:
        for container in containers:
            container.remove(force=True)
    assert end.requests == end.locust_requests > 100
    assert end.lost_workers == ()
