"""Much of everything: users, endpoints and texts of errors, in loads that are run."""

from __future__ import annotations

import pytest
from projects import Project

from pytest_loadperf.history.store import open_store

CROWD = """
from pytest_loadperf import LeanHttpUser

class Visitor(LeanHttpUser):
    wait_time = constant(10)

    @task
    def visit(self):
        self.client.get("/anything", name="visit")

crowd = load(
    Visitor,
    Stage("arrival", users=10_000, spawn_rate=2_000, duration="6s", measured=False),
    Stage("crowd", users=10_000, duration="3s"),
)

def test_crowd(crowd):
    stages = crowd.stages.values()
    assert sum(stage.failures for stage in stages) == 0
    assert sum(stage.requests for stage in stages) >= 10_000
"""
VARIETY = """
from itertools import count
from pytest_loadperf import LeanHttpUser

NUMBERS = count()

class Finder(LeanHttpUser):
    @task
    def find(self):
        number = next(NUMBERS)
        with self.client.get("/anything", name=f"/{number % 200}", catch_response=True) as answer:
            if number % 2:
                answer.failure(f"order {number % 2000} is unknown")

variety = load(Finder, Stage("rush", users=4, requests=4_000))

def test_variety(variety): pass
"""


def test_ten_thousand_users_come_and_are_all_there(project: Project) -> None:
    project.module("test_it", CROWD)
    project.run().assert_outcomes(passed=1)
    (load,) = open_store(".loadperf", project.path).records(pytest.fail)[-1].loads
    assert load.trials[0].stages[1].users == 10_000


def test_of_a_thousand_texts_of_errors_a_hundred_are_told_and_the_rest_are_counted(project: Project) -> None:
    project.module("test_it", VARIETY)
    project.run().assert_outcomes(passed=1)
    (load,) = open_store(".loadperf", project.path).records(pytest.fail)[-1].loads
    whole = load.trials[0].stages[0].summary
    assert len(whole.endpoints) == 200
    assert len(whole.errors) == 101
    assert sum(whole.errors.values()) == whole.failures == whole.requests / 2
    assert whole.errors["(other errors)"] > whole.failures / 2
