"""Does the classifier fail in a minute of ever more users, and how much longer do they wait then?

`pytest --loadperf --loadperf-scale 1 example_service/classify`; the table at its end and the report have a row for each
step.
"""

import random

import pytest
from locust import between, task
from sentences import sentences

from pytest_loadperf import LeanHttpUser, LoadResult, Stage, load

SENTENCES = sentences(learnt=False)
TRENDING = random.Random(1).sample(SENTENCES, 50)  # what many ask about: a cache soon knows all of it


class Reader(LeanHttpUser):
    wait_time = between(0.1, 0.5)

    @task(2)
    def trending(self) -> None:
        self.classify("trending", *random.choice(TRENDING))

    @task
    def letter(self) -> None:
        _, about = random.choice(SENTENCES)
        lines = random.sample([text for text, topic in SENTENCES if topic == about], 5)
        self.classify("letter", " ".join(lines), about)  # nobody has sent the same one before

    def classify(self, name: str, text: str, about: str) -> None:
        with self.client.post("/classify", json={"text": text}, name=name, catch_response=True) as answer:
            if answer.status_code == 200 and answer.json()["label"] != about:
                answer.failure(f"expected {about}")  # a wrong answer is a failure, however fast it came


ramp = load(
    Reader,
    Stage("warm-up", users=10, duration="5s", measured=False),
    *(Stage(f"step {step}", users=50 * step, spawn_rate=25, duration="10s") for step in range(1, 7)),
)


@pytest.mark.loadperf("failures <= 0", "p90@step 1 < 100ms", "p95 < baseline + max(50%, 10ms)")
def test_no_step_of_the_ramp_fails(ramp: LoadResult) -> None:
    assert ramp.status_codes == {"200": ramp.requests}
