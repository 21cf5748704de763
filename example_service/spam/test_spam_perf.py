"""How many replicas do 192,000 calls an hour need, and does anybody wait while they come and go?

480 users come, two a second, and stay for a minute and a half; then most of them leave.
`pytest --loadperf --loadperf-scale 1 example_service/spam`
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
    Stage("morning", users=480, spawn_rate=2, duration="240s", measured=False),  # in which replicas come
    Stage("192,000 an hour", users=480, duration="90s"),
    Stage("evening", users=25, duration="45s", measured=False),  # in which they go
)


@pytest.mark.loadperf("failure_rate < 1%", "p90 < 1s", "rps > 50/s")
def test_senders_do_not_wait(senders: LoadResult) -> None:
    # Once more, for a small run, in which thresholds are only shown, and for the stages in which replicas come and go.
    stages = senders.stages.values()
    failures, calls = sum(stage.failures for stage in stages), sum(stage.requests for stage in stages)
    assert failures < 0.01 * calls, f"{failures} of {calls} calls failed: {[stage.errors for stage in stages]}"


def test_there_could_have_been_another_replica(senders: LoadResult) -> None:
    assert senders.service.replicas < 5, "all were needed: nothing is left for a busier hour"
