"""How many replicas do so many calls an hour need? `pytest --loadperf example_service/spam` tries it out, small.

With `--loadperf-scale 1` it is asked in full: 480 users come, two a second, in four minutes; then most of them leave.
"""

import os
from itertools import cycle

import pytest
from locust import FastHttpUser, between, task
from messages import messages

from pytest_loadperf import LoadResult, Stage, load

MESSAGES = cycle(messages(1_000, seed=2))  # not those that the filter has learned from


class Sender(FastHttpUser):
    wait_time = between(6, 12)  # 9 s on average: a user makes 400 calls an hour

    @task
    def check(self) -> None:
        message, spam = next(MESSAGES)
        headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
        with self.client.post("/check", json={"message": message}, headers=headers, catch_response=True) as answer:
            if answer.status_code == 200 and answer.json()["spam"] != spam:
                answer.failure("a message was misjudged")  # a wrong answer is a failure, however fast it came


senders = load(
    Sender,
    Stage("10,000 an hour", users=25, spawn_rate=2, duration="12.5s"),
    Stage("100,000 an hour", users=250, spawn_rate=2, duration="112.5s"),
    Stage("192,000 an hour", users=480, spawn_rate=2, duration="115s"),
    Stage("evening", users=25, duration="45s", measured=False),  # in which replicas go
)


@pytest.mark.loadperf(
    "failure_rate < 1%",
    "p75@10,000 an hour < 500ms",  # thirty calls, which have no p95
    "p95@100,000 an hour < 1s",
    "p95@192,000 an hour < 1s",
)
def test_senders_do_not_wait(senders: LoadResult) -> None:
    # Once more, for the small run, in which thresholds are only shown.
    assert senders.failure_rate < 0.01, f"{senders.failures} of {senders.requests} calls failed: {senders.errors}"
