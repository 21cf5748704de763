"""The sentiment API: what it answers, what it logs, and how it refuses to start."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from docker_engine import require_compose, the_engine
from example_images import ROOT, build_worker, healthy
from flask.testing import FlaskClient
from sentiment import LARGEST_BODY, LONGEST_TEXT, create_app
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
from werkzeug.test import TestResponse

from pytest_loadperf.service.compose import _compose

FOLDER = Path(__file__).parents[1] / "example_service" / "sentiment"
CREDENTIALS = ("api", "a-secret-key")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_USER", raising=False)
    monkeypatch.setenv("API_KEY", CREDENTIALS[1])


@pytest.fixture
def client() -> FlaskClient:
    return create_app().test_client()


def ask(client: FlaskClient, text: object) -> TestResponse:
    return client.post("/sentiment", json={"text": text}, auth=CREDENTIALS)


@pytest.mark.parametrize(
    ("text", "label"),
    [("What a lovely day!", "positive"), ("The worst coffee ever.", "negative"), ("It opens at nine.", "neutral")],
)
def test_a_text_gets_its_label_and_a_score_that_agrees(client: FlaskClient, text: str, label: str) -> None:
    answer = ask(client, text)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["label"] == label
    assert {"positive": 1, "negative": -1, "neutral": 0}[label] * answer.json["score"] >= 0


def test_the_longest_text_is_read_whatever_its_characters(client: FlaskClient) -> None:
    assert ask(client, "\N{GRINNING FACE}" * LONGEST_TEXT).status_code == 200
    assert ask(client, "bad \ud800").status_code == 200


def refused(answer: TestResponse, status: int, error: str) -> str:
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert answer.json is not None
    assert set(answer.json) == {"error", "detail"}
    assert answer.json["error"] == error
    return str(answer.json["detail"])


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, 'text is missing; expected {"text": "…"}'),
        ([], 'text is missing; expected {"text": "…"}'),
        ({"text": 3}, "text is not a string"),
        ({"text": None}, 'text is missing; expected {"text": "…"}'),
        ({"text": " \n"}, "text is empty"),
    ],
)
def test_json_without_a_text_is_unprocessable(client: FlaskClient, body: object, detail: str) -> None:
    answer = client.post("/sentiment", json=body, auth=CREDENTIALS)
    assert refused(answer, 422, "Unprocessable Entity") == detail


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 10_000])
def test_a_body_that_is_not_json_is_a_bad_request(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/sentiment", data=body, content_type="application/json", auth=CREDENTIALS)
    assert refused(answer, 400, "Bad Request").startswith("the body is not JSON: ")


def test_a_form_is_an_unsupported_media_type(client: FlaskClient) -> None:
    answer = client.post("/sentiment", data={"text": "fine"}, auth=CREDENTIALS)
    assert refused(answer, 415, "Unsupported Media Type") == "send JSON, with Content-Type: application/json"


def test_too_long_a_text_is_too_large(client: FlaskClient) -> None:
    detail = refused(ask(client, "x" * (LONGEST_TEXT + 1)), 413, "Request Entity Too Large")
    assert detail == "text has 1001 characters; at most 1000 are read"


def test_a_large_body_is_refused_before_it_is_read(client: FlaskClient) -> None:
    refused(ask(client, "x" * LARGEST_BODY), 413, "Request Entity Too Large")


def basic(user: str, key: str) -> dict[str, Any]:
    return {"auth": (user, key)}


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        basic("api", "another-key"),
        basic("someone", CREDENTIALS[1]),
        basic("", ""),
        {"headers": {"Authorization": f"Bearer {CREDENTIALS[1]}"}},
        {"headers": {"Authorization": "Basic ?"}},
    ],
)
def test_without_the_right_user_and_key_nothing_is_read(client: FlaskClient, credentials: dict[str, Any]) -> None:
    answer = client.post("/sentiment", data=b"not even JSON", **credentials)
    detail = refused(answer, 401, "Unauthorized")
    assert detail == "send the user and the key with HTTP basic authentication"
    assert answer.headers["WWW-Authenticate"] == "Basic realm=sentiment"


def test_the_user_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_USER", "jörg")
    monkeypatch.setenv("API_KEY", "schlüssel")
    client = create_app().test_client()
    assert client.post("/sentiment", json={"text": "gut"}, auth=("jörg", "schlüssel")).status_code == 200
    assert client.post("/sentiment", json={"text": "gut"}, auth=("api", "schlüssel")).status_code == 401


def test_an_unknown_path_and_a_wrong_method_are_answered_in_json(client: FlaskClient) -> None:
    refused(client.get("/nowhere"), 404, "Not Found")
    answer = client.get("/sentiment")
    refused(answer, 405, "Method Not Allowed")
    assert "POST" in answer.headers["Allow"]


def test_the_health_needs_no_key(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok"}


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_answer_is_one_json_line_without_text_or_credentials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = create_app().test_client()
    client.post("/sentiment?note=aside", json={"text": "What a lovely day!"}, auth=CREDENTIALS)
    (line,) = log_lines(capsys)
    assert line.pop("time").endswith("+00:00")
    assert 0 < line.pop("ms") < 1000
    expected = {"level": "info", "message": "request", "method": "POST", "path": "/sentiment", "status": 200}
    assert line == expected


def test_a_fault_of_the_service_says_where_in_the_log_and_nothing_in_the_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def quote(_: SentimentIntensityAnalyzer, text: str) -> None:
        raise ValueError(f"cannot judge {text}")

    monkeypatch.setattr(SentimentIntensityAnalyzer, "polarity_scores", quote)
    answer = ask(create_app().test_client(), "My dearest secret")
    assert "judge" not in refused(answer, 500, "Internal Server Error")
    fault, request = log_lines(capsys)
    assert (fault["level"], fault["error"]) == ("error", "ValueError")
    assert "in quote" in fault["trace"][-1]
    assert request["status"] == 500
    assert "dearest" not in json.dumps(fault)


def gunicorn(port: int, **environment: str) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("API_")}
    return subprocess.Popen(
        # A worker that is still booting does not hear that it is to end: it is ended after that time.
        [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--graceful-timeout=2"],
        cwd=FOLDER,
        env={**own, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_a_key_it_does_not_start_and_says_why() -> None:
    process = gunicorn(0, API_KEY="")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("sentiment: API_KEY is not set; give the key that clients must send")
    assert out == ""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    process = gunicorn(free, API_KEY=CREDENTIALS[1])
    try:
        yield free
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_until_healthy(port: int) -> HTTPConnection:
    deadline = time.monotonic() + 20
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            assert connection.getresponse().read() == b'{"status":"ok"}\n'
            return connection


def test_gunicorn_keeps_a_connection_open_between_requests(port: int) -> None:
    connection = wait_until_healthy(port)
    first = connection.sock
    connection.request("POST", "/sentiment", body=b"{}", headers={"Content-Type": "application/json"})
    assert connection.getresponse().status == 401
    assert connection.sock is first is not None
    connection.close()


@pytest.mark.docker
def test_workers_in_containers_load_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADPERF_TOKEN", "of-these-tests-alone")
    if not (ROOT / "worker").is_dir():
        pytest.skip("there is no checkout to build the image from")
    require_compose()
    with contextmanager(the_engine)() as engine:
        build_worker(engine)  # whose layers those of the compose file are
    compose = [*_compose(), "-p", "loadperf-tests-sentiment", "-f", str(FOLDER / "workers.yml")]
    load = ["--loadperf", "--loadperf-scale=0.2", "--loadperf-backend=process", "--loadperf-expect-workers=2"]
    tests = [f"--loadperf-report={tmp_path}/report.html", f"{FOLDER}/test_sentiment_perf.py"]
    try:
        subprocess.run([*compose, "up", "--build", "--detach", "--scale", "worker=2"], check=True, capture_output=True)
        run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *load, *tests]
        done = subprocess.run(run, capture_output=True, text=True, timeout=100, check=False)
    finally:
        subprocess.run([*compose, "down", "--rmi", "local"], check=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.docker
def test_the_image_finds_itself_healthy_and_runs_without_rights() -> None:
    with healthy(FOLDER, {"API_KEY": CREDENTIALS[1]}) as container:
        assert container.exec_run("id -un").output == b"sentiment\n"
        assert b"[ERROR]" not in container.logs()
