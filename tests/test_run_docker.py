"""Whole runs with the service in Docker."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from docker_engine import BASE_IMAGE, the_engine
from projects import Project, python

from pytest_loadperf.service.engine import Engine

pytestmark = pytest.mark.docker

CONFTEST = f"""
from pytest_loadperf import docker_service, process_service

loadperf_service = docker_service(
    image={BASE_IMAGE!r}, command="python3 -m http.server 8000", port=8000, cpus=1, memory="128m",
    env={{"KEY": "geheimnis"}},
    fallback=process_service("python3 -m http.server {{port}} --bind 127.0.0.1"),
)
"""

# Its tenth visitor costs more memory than there is: of a child, which the engine alone hears of.
SERVER = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Shop(BaseHTTPRequestHandler):
    visitors = 0

    def do_GET(self):
        Shop.visitors += 1
        if Shop.visitors == 10:
            print("a large order of geheimnis", flush=True)
            subprocess.run([sys.executable, "-c", "bytearray(2**30).find(1)"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

print("open", flush=True)
ThreadingHTTPServer(("0.0.0.0", 8000), Shop).serve_forever()
"""

TESTS = """
import pytest
from locust import HttpUser, constant, task
from pytest_loadperf import Stage, load

class Visitor(HttpUser):
    wait_time = constant(0.05)

    @task
    def visit(self):
        self.client.get("/")

visit = load(Visitor, Stage("visit", users=2, duration="{duration}"))

@pytest.mark.loadperf("p95 < 5s", "service.memory < 128MiB")
def test_visit(visit):
    assert visit.service.cpu_percent > 0
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def visited(project: Project) -> Project:
    (project.path / "conftest.py").write_text(CONFTEST)
    (project.path / "test_it.py").write_text(TESTS.format(duration="2s"))
    return project


def ours(engine: Engine) -> list[str]:
    found = engine.client.api.containers(all=True, filters={"label": "pytest-loadperf=1"})
    return [container["Names"][0].lstrip("/") for container in found]


def test_a_container_is_started_loaded_sampled_recorded_and_removed(visited: Project, engine: Engine) -> None:
    before = set(ours(engine))
    result = visited.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [f"test_it.py::visit  (docker {BASE_IMAGE}, cpus 1, memory 128m)", "*ok*service.memory*"]
    )
    assert set(ours(engine)) <= before
    (kept,) = (visited.path / ".loadperf/runs").glob("*.json")
    service = json.loads(kept.read_text())["loads"][0]["service"]
    assert service["digest"].startswith("sha256:")
    assert service["limits"] == {"cpus": "1", "memory": "128m"}
    for file in (visited.path / ".loadperf").rglob("*.*"):
        assert not file.is_file() or b"geheimnis" not in file.read_bytes()


def test_what_befell_the_container_and_what_it_wrote_then_is_told_where_a_threshold_breaks(
    visited: Project, engine: Engine
) -> None:
    conftest = CONFTEST.replace('"python3 -m http.server 8000"', repr(["python3", "-c", SERVER]))
    (visited.path / "conftest.py").write_text(conftest)
    (visited.path / "test_it.py").write_text(TESTS.format(duration="1s").replace("p95 < 5s", "max < 1ms"))
    visited.run().assert_outcomes(failed=1)
    (kept,) = (visited.path / ".loadperf/runs").glob("*.json")
    record = json.loads(kept.read_text())
    (event,) = record["loads"][0]["trials"][0]["events"]
    assert (event["action"], event["container"]) == ("oom", "")
    assert 0 < event["at_s"] < 1
    (log,) = record["tests"][0]["service_logs"]
    assert "\na large order of ***\n" in f"\n{log['text']}\n"
    assert '"GET / HTTP/1.1" 200' in log["text"]
    assert re.search(r"^(at|from) .* UTC; at .*, second \d of the load, max was [\d.]+ ms$", log["when"])
    page = (visited.path / ".loadperf/report.html").read_text()
    assert re.search(r"Most likely: <bdi[^>]*>the service ran out of memory \d s after the load began", page)


def test_where_no_engine_answers_the_fallback_runs_and_is_told(
    visited: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    result = visited.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*no Docker engine answers (*", "test_it.py::visit  (process python3 -m http.server*"])


def test_where_docker_is_demanded_a_missing_engine_is_an_error(
    visited: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    result = visited.run("--loadperf-backend", "docker")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no Docker engine answers*"])


def test_runs_on_different_backends_are_never_compared(
    visited: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = TESTS.format(duration="2s").replace('"p95 < 5s"', '"p50 < baseline + 500%"')
    (visited.path / "test_it.py").write_text(tests)
    visited.run("--loadperf-backend", "process").assert_outcomes(passed=1)
    result = visited.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r".*no_baseline .*no comparable run.*service was 'process', is 'docker \d+'"])


def test_the_next_run_removes_what_a_killed_run_left_and_says_so(visited: Project, engine: Engine) -> None:
    (visited.path / "test_it.py").write_text(TESTS.format(duration="60s"))
    output = visited.path / "output.txt"
    with (
        output.open("w") as file,
        subprocess.Popen(python("-m", "pytest", "--loadperf"), cwd=visited.path, stdout=file, stderr=file) as process,
    ):
        deadline = time.monotonic() + 120  # another load on this machine comes first
        while "up to 2 users" not in output.read_text():
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        (left,) = [name for name in ours(engine) if f"-{process.pid}-" in name]
        process.kill()
    assert left in ours(engine)
    (visited.path / "test_it.py").write_text(TESTS.format(duration="1s"))
    result = visited.run("-q")  # where this is told all the same
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*removed*{left}*left behind by a run that was killed*{process.pid}*"])
    assert left not in ours(engine)


def test_a_service_may_stay_up_and_the_run_says_how_to_remove_it(visited: Project, engine: Engine) -> None:
    (visited.path / "test_it.py").write_text(TESTS.format(duration="1s"))
    result = visited.run("--loadperf-keep-service")
    result.assert_outcomes(passed=1)
    (line,) = [line for line in result.outlines if "docker rm -f" in line]
    name = line.rpartition("`")[0].rpartition(" ")[2]
    assert name in ours(engine)
    engine.client.api.remove_container(name, force=True, v=True)
