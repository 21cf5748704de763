"""Secrets that are planted wherever a load has any: none of them is seen afterwards, in no file and on no screen."""

from __future__ import annotations

import gzip
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import psutil
import pytest
from docker_engine import BASE_IMAGE, TRACE, remove_traces, the_engine
from projects import ANSWERING, Project

from pytest_loadperf.service.engine import Engine

PLANTED = {
    place: f"geheim-{place}-4711"
    for place in ("service", "environment", "query", "bearer", "cookie", "basic", "field", "form", "url", "build")
}
BASIC = b64encode(f"me:{PLANTED['basic']}".encode()).decode()

USERS = """
import json
import os
from pathlib import Path
from locust import HttpUser, constant, task

PLANTED = json.loads(Path("planted.json").read_text())

class Careless(HttpUser):
    wait_time = constant(0.05)

    def ask(self, path, **given):
        with self.client.post(path, name=path, catch_response=True, **given) as answer:
            sent = answer.request
            answer.failure(f"{answer.status_code} {answer.text} for {sent.url} {dict(sent.headers)} {sent.body} {{}}")

    @task
    def query(self):
        self.ask(f"/status/401?token={PLANTED['query']}")

    @task
    def path(self):
        self.ask(f"/anything/{PLANTED['service']}/{os.environ['CI_TOKEN']}")

    @task
    def headers(self):
        self.ask("/headers", headers={"Authorization": f"Bearer {PLANTED['bearer']}"})
        self.ask("/headers", cookies={"session": PLANTED["cookie"]})
        self.ask("/headers", auth=("me", PLANTED["basic"]))

    @task
    def bodies(self):
        headers = {"X-Auth-Token": PLANTED["bearer"], "Cookie": f"session={PLANTED['cookie']}"}
        self.ask("/anything", json={"user": "it's me", "password": PLANTED["field"]}, headers=headers)
        self.ask("/anything", data={"user": "me", "password": PLANTED["form"]})

    @task
    def words(self):
        print("asked with", PLANTED["service"], os.environ["CI_TOKEN"])
        raise ValueError(f"{os.environ['CI_TOKEN']} is not {PLANTED['service']}")
"""

TEST = """
import pytest
from users_of_it import Careless
from pytest_loadperf import Stage, load

careless = load(Careless, Stage("rush", users=4, duration="2s"), abort=None, workers={workers})

@pytest.mark.loadperf("failure_rate < 1%", "p95 < 1ms")
def test_it(careless):
    assert not careless.errors, careless.errors
"""

EVERYWHERE = (
    *("--junitxml=junit.xml", "--loadperf-summary=summary.md", "--loadperf-json=all.json", "--loadperf-csv=csv"),
    *("--loadperf-locust-report=locust", "-rA", "-vv"),
)


@contextmanager
def watched(look: Callable[[], Iterable[str]]) -> Iterator[set[str]]:
    """All that can be seen meanwhile, a few times a second."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.update(look())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def telling_processes() -> Iterator[str]:
    """The command lines of this machine's processes that show a planted secret, as anybody may list them."""
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if any(secret in line for secret in PLANTED.values()) and "--loadperf-url" not in line:  # as was typed
            yield line


def shown(project: Project, result: pytest.RunResult) -> Mapping[str, bytes]:
    """All that a run has written, by where."""
    kept = [path for path in project.path.rglob("*") if path.is_file() and path.name != "planted.json"]
    files = {str(path.relative_to(project.path)): path.read_bytes() for path in kept}
    screen = {"stdout": result.stdout.str().encode(), "stderr": result.stderr.str().encode()}
    series = {f"{name}, read": gzip.decompress(text) for name, text in files.items() if name.endswith(".gz")}
    return {**files, **screen, **series}


def found(texts: Mapping[str, bytes]) -> list[str]:
    """Which secret is where."""
    secrets = {**PLANTED, "basic, as it is sent": BASIC}
    return [f"{name} in {place}" for place, text in texts.items() for name in secrets if secrets[name].encode() in text]


@pytest.fixture
def careless(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CI_TOKEN", PLANTED["environment"])
    (project.path / "planted.json").write_text(json.dumps(PLANTED))
    (project.path / "users_of_it.py").write_text(USERS)
    return project


@pytest.mark.parametrize("workers", [1, 2])
def test_no_secret_of_a_load_is_shown(careless: Project, workers: int) -> None:
    conftest = (careless.path / "conftest.py").read_text()
    planted = 'json.loads(Path("planted.json").read_text())'
    imports = "import json\nfrom pathlib import Path\n"
    given = conftest.replace("ready=", f'env={{"API_KEY": {planted}["service"]}}, ready=')
    (careless.path / "conftest.py").write_text(imports + given)
    (careless.path / "test_it.py").write_text(TEST.format(workers=workers))
    with watched(telling_processes) as seen:
        result = careless.run(*EVERYWHERE)
    result.assert_outcomes(failed=1)
    texts = shown(careless, result)
    assert {"stdout", "junit.xml", "summary.md", "all.json", ".loadperf/report.html"} <= texts.keys()
    whole = b"".join(texts.values())
    for said in (b"password", b"Authorization", b"Cookie", b"/status/401", b"ValueError"):
        assert said in whole, said  # else nothing would have been there to hide
    assert found(texts) == []
    assert seen == set()


def test_no_secret_of_an_address_is_shown(careless: Project, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", PLANTED["service"])  # which nobody gives the service here
    (careless.path / "test_it.py").write_text(TEST.format(workers=1))
    address = server.replace("//", f"//me:{PLANTED['url']}@")
    with watched(telling_processes) as seen:
        result = careless.run("--loadperf-url", address, *EVERYWHERE)
    result.assert_outcomes(failed=1)
    assert found(shown(careless, result)) == []
    assert seen == set()


SERVICE = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Telling(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        print("knows", os.environ["CI_TOKEN"], os.environ["API_KEY"], flush=True)
        os._exit(3)

HTTPServer(("127.0.0.1", int(sys.argv[1])), Telling).serve_forever()
"""


def test_no_secret_of_a_service_that_tells_it_and_ends_is_shown(careless: Project) -> None:
    (careless.path / "serve.py").write_text(SERVICE)
    (careless.path / "conftest.py").write_text(
        "import json, os, sys\nfrom pathlib import Path\nfrom pytest_loadperf import process_service\n"
        'planted = json.loads(Path("planted.json").read_text())\n'
        'command = [sys.executable, "serve.py", "{port}", os.environ["CI_TOKEN"]]\n'
        'loadperf_service = process_service(command, env={"API_KEY": planted["service"]})\n'
    )
    (careless.path / "test_it.py").write_text(TEST.format(workers=1))
    result = careless.run(*EVERYWHERE)
    result.assert_outcomes(errors=1)
    texts = shown(careless, result)
    assert b"knows *** ***" in texts["stdout"]
    assert found(texts) == []


engine = pytest.fixture(the_engine)


def containers(engine: Engine) -> Iterator[str]:
    """The names, labels and commands of those of the service."""
    for container in engine.client.api.containers(filters={"name": "loadperf-keeping-secrets"}):
        yield json.dumps([container["Names"], container["Labels"], container["Command"]])


@pytest.mark.docker
@pytest.mark.parametrize("breaks", [False, True], ids=["built", "broken"])
def test_no_secret_of_a_build_is_shown(careless: Project, engine: Engine, breaks: bool) -> None:
    folder = careless.path / "keeping_secrets"
    folder.mkdir()
    (folder / "answering.py").write_bytes(ANSWERING.read_bytes())
    (folder / "Dockerfile").write_text(
        f"FROM {BASE_IMAGE}\n{TRACE}\nARG INDEX_TOKEN\n"
        "RUN echo Looking in indexes: https://me:${INDEX_TOKEN}@index.example/simple, token ${INDEX_TOKEN}"
        f"{' && false' if breaks else ''}\n"
        'COPY answering.py /\nCMD ["python", "/answering.py", "--host", "0.0.0.0", "--port", "8000"]\n'
    )
    (careless.path / "conftest.py").write_text(
        "import json\nfrom pathlib import Path\nfrom pytest_loadperf import docker_service\n"
        'planted = json.loads(Path("planted.json").read_text())\n'
        'loadperf_service = docker_service(build="keeping_secrets", port=8000, ready="/anything", '
        'build_args={"INDEX_TOKEN": planted["build"]}, env={"API_KEY": planted["service"]})\n'
    )
    (careless.path / "test_it.py").write_text(TEST.format(workers=1))
    try:
        with watched(partial(containers, engine)) as labels:
            result = careless.run(*EVERYWHERE)
    finally:
        remove_traces(engine, "loadperf/keeping-secrets")
    result.assert_outcomes(errors=int(breaks), failed=int(not breaks))
    texts = {**shown(careless, result), "labels": "".join(labels).encode()}
    assert b"Looking in indexes" in texts["stdout"] + texts["stderr"]
    assert bool(labels) is not breaks
    assert found(texts) == []
