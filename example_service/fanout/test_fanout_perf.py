"""Does it stand 200 requests at once? As `ab -c 200 -n 10000` would ask.

`pytest --loadperf --loadperf-scale 1 example_service/fanout`
"""

import pytest
from locust import task

from pytest_loadperf import LeanHttpUser, LoadResult, Stage, load


class Asker(LeanHttpUser):
    @task
    def first(self) -> None:
        with self.client.get("/first?timeout=4", name="first", catch_response=True) as answer:
            if answer.status_code in (502, 504):
                answer.failure(answer.text or "")  # which upstreams failed, and how


askers = load(
    Asker,
    Stage("warm-up", users=20, requests=200, measured=False),
    Stage("all at once", users=200, requests=10_000),
    abort="failure_rate > 50% for 5s",
)


@pytest.mark.loadperf("failure_rate < 0.1%", "p95 < 3s")
def test_two_hundred_at_once_are_answered(askers: LoadResult) -> None:
    # Once more, for the small run, in which thresholds are only shown: errors are fast, and would look like success.
    assert askers.failure_rate < 0.001, f"{askers.failures} of {askers.requests} requests failed: {askers.errors}"
    assert askers.status_codes.get("200") == askers.requests - askers.failures  # nothing else is a success
