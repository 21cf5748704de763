"""The spam filter: what it learns, what its API answers, and how it refuses to start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from bayes import NaiveBayes
from example_images import healthy
from fastapi import FastAPI
from messages import messages
from spam import EXAMPLES, LARGEST_BODY, LONGEST_MESSAGE, create_app

FOLDER = Path(__file__).parents[1] / "example_service" / "spam"
TOKEN = "a-secret-token"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("API_TOKEN", TOKEN)
        return create_app()


def send(app: FastAPI, request: httpx.Request) -> httpx.Response:
    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.send(request)

    return asyncio.run(answered())


def post(app: FastAPI, content: bytes, **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Bearer {TOKEN}", **JSON, **headers}
    return send(app, httpx.Request("POST", "http://spam/check", content=content, headers=sent))


def ask(app: FastAPI, message: object) -> httpx.Response:
    content = httpx.Request("POST", "http://spam", json={"message": message}).content
    return post(app, content)


def test_messages_are_the_same_for_a_seed_and_each_is_another() -> None:
    first = list(messages(1_000, seed=2))
    assert first == list(messages(1_000, seed=2))
    assert len({text for text, _ in first}) == 1_000
    assert sum(spam for _, spam in first) == 500
    assert all(7 <= text.count("\n\n") <= 11 for text, _ in first)
    assert all(len(text) <= LONGEST_MESSAGE for text, _ in first)


@pytest.fixture(scope="module")
def learned() -> NaiveBayes:
    return NaiveBayes(messages(EXAMPLES, seed=1))


def test_all_messages_of_the_load_test_are_told_apart(learned: NaiveBayes) -> None:
    asked = list(messages(1_000, seed=2))
    assert [learned.score(text) > 0.5 for text, _ in asked] == [spam for _, spam in asked]


def test_a_disguised_word_keeps_most_of_its_evidence(learned: NaiveBayes) -> None:
    assert learned.score("Cheap prescr1ption pillz, ＮＯ ＣＲＥＤＩＴ ＣＡＲＤ required!!!") > 0.9
    assert learned.score("The printer on the 2nd floor is waiting for its technicians.") < 0.1


@pytest.mark.parametrize("text", ["", "   ", "\N{GRINNING FACE}"])
def test_a_text_of_which_nothing_is_known_is_neither(learned: NaiveBayes, text: str) -> None:
    assert learned.score(text) == 0.5


def test_a_long_text_is_no_surer_than_a_short_one(learned: NaiveBayes) -> None:
    scores = [learned.score("Act now, or visit the museum. " * times) for times in (1, 10, 300)]
    assert max(scores) - min(scores) < 0.1


@pytest.mark.parametrize("number", [0, 1])
def test_a_message_gets_its_verdict_and_a_score_that_agrees(app: FastAPI, number: int) -> None:
    message, spam = list(messages(2, seed=3))[number]
    answer = ask(app, message)
    assert answer.status_code == 200
    assert set(answer.json()) == {"spam", "score"}
    assert answer.json()["spam"] is spam
    assert (answer.json()["score"] > 0.5) is spam


def test_the_longest_message_is_read_whatever_its_characters(app: FastAPI) -> None:
    assert ask(app, "\N{GRINNING FACE}" * LONGEST_MESSAGE).status_code == 200


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{}", "message: Field required"),
        (b"[]", "body: Input should be a valid dictionary or object to extract fields from"),
        (b'{"message": 3}', "message: Input should be a valid string"),
        (b'{"message": " \\n"}', "message: String should have at least 1 character"),
        (b'{"message": "' + b"x" * 10_001 + b'"}', "message: String should have at most 10000 characters"),
        (b'{"message": "\\ud800"}', "message: Input should be a valid string, unable to parse raw data as a unicode"),
        (b"{", "1: JSON decode error"),
    ],
)
def test_what_is_no_message_is_unprocessable_and_not_sent_back(app: FastAPI, content: bytes, detail: str) -> None:
    answer = post(app, content)
    assert answer.status_code == 422
    assert set(answer.json()) == {"detail"}
    assert answer.json()["detail"].startswith(detail)
    assert len(answer.content) < 200


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_bad_request(app: FastAPI, content: bytes) -> None:
    assert post(app, content).status_code == 400


async def chunks() -> AsyncIterator[bytes]:
    yield b"{}"


def test_a_body_that_is_too_large_or_of_unknown_size_is_refused_before_it_is_read(app: FastAPI) -> None:
    answer = post(app, b"x" * (LARGEST_BODY + 1))
    assert (answer.status_code, answer.json()["detail"]) == (413, "the body is larger than 131072 bytes")
    headers = {"Authorization": f"Bearer {TOKEN}", "Transfer-Encoding": "chunked", **JSON}
    answer = send(app, httpx.Request("POST", "http://spam/check", content=chunks(), headers=headers))
    assert (answer.status_code, answer.json()["detail"]) == (411, "say how long the body is, with Content-Length")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer another-token", f"Basic {TOKEN}", TOKEN, f"Bearer  {TOKEN}", "Bearer schlüssel"],
)
def test_without_the_token_nothing_is_read(app: FastAPI, authorization: str) -> None:
    headers = {b"Authorization": authorization.encode()}
    answer = send(app, httpx.Request("POST", "http://spam/check", content=b"not even JSON", headers=headers))
    assert answer.status_code == 401
    assert answer.json() == {"detail": "send the token: Authorization: Bearer …"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("host", ["spam/health?", "spam/health#", "spam:80/health?"])
def test_no_host_header_leads_past_the_token(app: FastAPI, host: str) -> None:
    request = httpx.Request("POST", "http://spam/check", json={"message": "hello"}, headers={"Host": host})
    assert send(app, request).status_code == 401


def test_a_token_may_have_any_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "schlüssel")
    headers = {b"Authorization": "bearer schlüssel".encode()}
    request = httpx.Request("POST", "http://spam/check", json={"message": "hello"}, headers=headers)
    assert send(create_app(), request).status_code == 200


def test_the_health_needs_no_token(app: FastAPI) -> None:
    assert send(app, httpx.Request("GET", "http://spam/health")).json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_there_is_no_documentation_that_a_browser_could_not_open(app: FastAPI, path: str) -> None:
    request = httpx.Request("GET", f"http://spam{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert send(app, request).status_code == 404


def test_without_a_token_it_does_not_start_and_says_why() -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "spam:create_app", "--port=0"]
    env = {**os.environ, "API_TOKEN": ""}
    done = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("spam: API_TOKEN is not set; give the token that clients must send")


@pytest.mark.docker
def test_the_image_finds_itself_healthy_and_runs_without_rights() -> None:
    with healthy(FOLDER, {"API_TOKEN": TOKEN}) as container:
        assert container.exec_run("id -un").output == b"spam\n"
        assert b"ERROR" not in container.logs()
