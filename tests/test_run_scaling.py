"""A whole run whose service gets more replicas as it gets busy, and fewer when it is no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from docker_engine import BASE_IMAGE, the_engine
from projects import Project

from pytest_loadperf.service.engine import Engine

pytestmark = pytest.mark.docker

SERVER = """
import socket, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Busy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/health":
            end = time.thread_time() + 0.015
            while time.thread_time() < end:
                pass
        body = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

print("open", flush=True)
ThreadingHTTPServer(("0.0.0.0", 8000), Busy).serve_forever()
"""

CONFTEST = f"""
from pytest_loadperf import Autoscale, docker_service

loadperf_service = docker_service(
    image={BASE_IMAGE!r}, command={["python3", "-c", SERVER]!r}, port=8000, ready="/health", cpus=0.3,
    autoscale=Autoscale(max=3, up="2s", down="4s"),
)
"""

TESTS = """
import pytest
from locust import FastHttpUser, constant, task
from pytest_loadperf import Stage, load

class Visitor(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def visit(self):
        with self.client.get("/", catch_response=True) as answer:
            answer.request_meta["name"] = answer.text  # who answered

rush = load(Visitor, Stage("many", users=6, duration="15s"), Stage("one", users=1, duration="14s"))

@pytest.mark.loadperf("failure_rate <= 0%")
def test_rush(rush, loadperf_service):
    assert loadperf_service.replicas == [0]  # every load begins alike
    assert len(loadperf_service.urls) == 1
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


def ours(engine: Engine) -> list[str]:
    """The containers of this test: others may be up."""
    found = engine.client.api.containers(all=True, filters={"label": "pytest-loadperf=1"})
    return [container["Id"] for container in found if "class Busy" in container["Command"]]


def test_a_busy_service_gets_replicas_that_answer_and_loses_them_when_it_is_idle(
    project: Project, engine: Engine
) -> None:
    (project.path / "conftest.py").write_text(CONFTEST)
    (project.path / "test_it.py").write_text(TESTS)
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"loadperf: .* was scaled from 1 to 2 replicas: CPU \d+%, 75% wanted",
            r"loadperf: .* was scaled from \d to 1 replica: CPU \d+%, 75% wanted",
            r".*\(docker .*, cpus 0\.3, autoscale 1 to 3 replicas at 75% CPU, up after 2 s, down after 4 s\)",
        ]
    )
    assert ours(engine) == []
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    load = json.loads(kept.read_text())["loads"][0]
    (trial,) = load["trials"]
    events = trial["events"]
    assert {(event["container"], event["action"]) for event in events} == {("", "scale")}  # and none ended, or so
    assert events[0]["detail"] == "1 to 2 replicas"
    assert events[-1]["detail"].endswith(" to 1 replica")
    many, one = trial["stages"]
    assert len(many["summary"]["endpoints"]) > 1
    assert many["cpu_percent"] > 30 > one["cpu_percent"]  # of one replica's 30
    page = (project.path / ".loadperf/report.html").read_text()
    assert "the service was scaled from 1 to 2 replicas" in page
    assert re.search(r"replicas 1 to [23]; over", page)
