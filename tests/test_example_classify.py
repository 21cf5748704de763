"""The classifier: what it has learnt, what it answers, what it remembers, and how it starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests
import topics
from asgi import served
from classify import LARGEST_BODY, LONGEST_TEXT, create_app
from example_images import healthy
from sentences import sentences
from sklearn.pipeline import Pipeline

FOLDER = Path(__file__).parents[1] / "example_service" / "classify"
TOPICS = {"business", "health", "science", "sport", "travel"}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / topics.MODEL.name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topics, "MODEL", file)
        topics.train_if_needed()
    return file


@pytest.fixture(autouse=True)
def service(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MODEL", model)
    monkeypatch.delenv("CACHE", raising=False)


@pytest.fixture
def url() -> Iterator[str]:
    with served(create_app()) as url:
        yield url


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Quarterly profits rose although wages and taxes are higher.", "business"),
        ("She went to see a doctor because of the pain in her knees.", "health"),
        ("Biologists have published what they found in the cells of a fossil.", "science"),
        ("Two goals in the last ten minutes, and we are champions!", "sport"),
        ("We missed the train and had to find another hotel near the beach.", "travel"),
        ("  Teh gaolkeeper svaed a penalty.\n", "sport"),
    ],
)
def test_a_text_that_it_has_never_seen_gets_its_topic(url: str, text: str, label: str) -> None:
    answer = requests.post(f"{url}/classify", timeout=20, json={"text": text})
    assert answer.status_code == 200
    assert answer.json()["label"] == label
    probabilities = answer.json()["probabilities"]
    assert set(probabilities) == TOPICS
    assert sum(probabilities.values()) == pytest.approx(1)
    assert max(probabilities, key=probabilities.__getitem__) == label


def test_it_knows_what_it_has_learnt() -> None:
    texts, labels = zip(*sentences(learnt=True), strict=True)
    assert topics.load().score(texts, labels) > 0.99


def test_what_the_load_test_asks_about_it_has_not_learnt_but_can_tell() -> None:
    assert set(sentences(learnt=False)).isdisjoint(sentences(learnt=True))
    assert len(sentences(learnt=True)) > 3 * len(sentences(learnt=False)) > 500
    texts, labels = zip(*sentences(learnt=False), strict=True)
    assert topics.load().score(texts, labels) == 1


def test_users_need_no_scikit_learn_to_know_what_to_ask() -> None:
    code = "import sys, sentences; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=FOLDER, check=False).returncode == 0


def test_the_longest_text_is_read_whatever_its_characters(url: str) -> None:
    assert (
        requests.post(f"{url}/classify", timeout=20, json={"text": "\N{GRINNING FACE}" * LONGEST_TEXT}).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "Field required"),
        (b'{"text": 3}', "Input should be a valid string"),
        (b'{"text": " \\n"}', "String should have at least 1 character"),
        (json.dumps({"text": "x" * (LONGEST_TEXT + 1)}).encode(), "String should have at most 2000 characters"),
        (b"{", "JSON decode error"),
    ],
)
def test_what_is_no_text_is_refused_in_words(url: str, body: bytes, said: str) -> None:
    answer = requests.post(f"{url}/classify", data=body, timeout=20, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert fault["msg"] == said
    shape = requests.get(f"{url}/openapi.json", timeout=20).json()["components"]["schemas"]["ValidationError"]
    assert fault.keys() >= set(shape["required"])


def test_a_body_that_is_too_large_or_of_unknown_size_is_refused_before_it_is_read(url: str) -> None:
    answer = requests.post(f"{url}/classify", data=b"x" * (LARGEST_BODY + 1), timeout=20)
    assert (answer.status_code, answer.json()["detail"]) == (413, "the body is larger than 32768 bytes")
    answer = requests.post(f"{url}/classify", data=iter([b"{}"]), timeout=20)
    assert (answer.status_code, answer.json()["detail"]) == (411, "say how long the body is, with Content-Length")


def test_half_a_character_is_refused(url: str) -> None:
    answer = requests.post(f"{url}/classify", data=b'{"text": "\\ud800"}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


@pytest.mark.parametrize(("cache", "predictions"), [("", 4), ("0", 4), ("1", 3), ("2", 2)])
def test_it_remembers_its_answers_to_so_many_texts(
    monkeypatch: pytest.MonkeyPatch, cache: str, predictions: int
) -> None:
    asked: list[str] = []

    def predict(self: Pipeline, texts: list[str]) -> object:
        asked.extend(texts)
        return predicted(self, texts)

    predicted = Pipeline.predict_proba
    monkeypatch.setattr(Pipeline, "predict_proba", predict)
    if cache:
        monkeypatch.setenv("CACHE", cache)
    texts = ("a match", "a match", "a bank", "a match")
    with served(create_app()) as url:
        answers = [requests.post(f"{url}/classify", timeout=20, json={"text": text}).json() for text in texts]
    assert answers[0] == answers[1] == answers[3] != answers[2]
    assert len(asked) == predictions


def test_the_documentation_shows_what_to_send_and_what_comes(url: str) -> None:
    assert requests.get(f"{url}/docs", timeout=20).status_code == 200
    shapes = requests.get(f"{url}/openapi.json", timeout=20).json()["components"]["schemas"]
    sent, answered = shapes["Text"]["properties"], shapes["Topic"]["properties"]
    (example,) = sent["text"]["examples"]
    answer = requests.post(f"{url}/classify", timeout=20, json={"text": example}).json()
    assert [answer["label"]] == answered["label"]["examples"]
    assert answered["probabilities"]["examples"] == [
        {topic: pytest.approx(chance, abs=0.01) for topic, chance in answer["probabilities"].items()}
    ]


def test_it_is_trained_where_the_model_is_missing_or_older_than_its_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(topics, "MODEL", tmp_path / "model")
    monkeypatch.setattr(topics, "train", lambda: "a model")
    topics.train_if_needed()
    assert topics.load() == "a model"
    monkeypatch.setattr(topics, "train", lambda: "a newer one")
    topics.train_if_needed()
    assert topics.load() == "a model"
    os.utime(topics.MODEL, (0, 0))
    topics.train_if_needed()
    assert topics.load() == "a newer one"


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "classify.py"],
        cwd=FOLDER,
        env={**os.environ, "PORT": str(free), "WORKERS": "2", "CACHE": "10"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield free
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_as_a_process_it_trains_itself_and_answers(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            assert connection.getresponse().read() == b'{"status":"ok"}'
            break
    connection.close()


@pytest.mark.docker
def test_the_image_finds_itself_healthy_and_runs_without_rights() -> None:
    with healthy(FOLDER) as container:
        assert container.exec_run("id -un").output == b"classify\n"
        assert b"ERROR" not in container.logs()
