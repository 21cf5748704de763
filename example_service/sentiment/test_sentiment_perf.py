"""Load tests of the sentiment API: `pytest --loadperf example_service/sentiment`."""

import os

import pytest
from locust import FastHttpUser, between, task

from pytest_loadperf import LoadResult, Stage, load

HEADLINE = "Lovely little café, and the friendliest staff in town!"
REVIEW = "The room was cold, the breakfast awful, and nobody at the desk cared when we complained. " * 8


class Reader(FastHttpUser):
    wait_time = between(0.1, 0.3)

    @task(4)
    def headline(self) -> None:
        self.judge("headline", HEADLINE, "positive")

    @task
    def review(self) -> None:
        self.judge("review", REVIEW, "negative")

    def judge(self, name: str, text: str, label: str) -> None:
        auth = ("api", os.environ["API_KEY"])
        with self.client.post("/sentiment", json={"text": text}, auth=auth, name=name, catch_response=True) as answer:
            if answer.status_code == 200 and answer.json()["label"] != label:
                answer.failure(f"expected {label}")  # a wrong answer is a failure, however fast it came


readers = load(
    Reader,
    Stage("warm-up", users=5, duration="3s", measured=False),
    Stage("rush", users=40, spawn_rate=20, duration="12s"),
)


@pytest.mark.loadperf("p95 < 150ms", "failure_rate < 1%", "p95[review] < 200ms", "p95 < baseline + max(50%, 10ms)")
def test_readers_do_not_wait(readers: LoadResult) -> None:
    assert readers["review"].p50_ms < 10 * readers["headline"].p50_ms  # a plain assertion works as well


def test_every_text_is_judged(readers: LoadResult) -> None:  # the load ran once, for both tests
    assert readers.status_codes == {"200": readers.requests}
