"""Locustfiles as people have them: what Locust offers them works when a load test runs them."""

from __future__ import annotations

import os

import pytest
from projects import Project

HOOKS = """
from pathlib import Path
from locust import FastHttpUser, constant, events, task
from locust.runners import LocalRunner

def tell(line):
    with Path(__file__).with_name("told.txt").open("a") as file:
        file.write(line + "\\n")

@events.init_command_line_parser.add_listener
def declare(parser):
    parser.add_argument("--tenant", env_var="TENANT", default="nobody")
    parser.add_argument("--depth", type=int, default=3)

@events.init.add_listener
def init(environment, runner, web_ui, **others):
    tell(f"init, web_ui {web_ui}, local {isinstance(runner, LocalRunner)}")
    seen = []

    @environment.events.request.add_listener
    def request(**asked):
        seen.append(asked["name"])

    @environment.events.quitting.add_listener
    def quitting(environment, **others):
        tell(f"quitting after {len(seen)} requests")

for name in ("test_start", "test_stopping", "test_stop", "quit"):
    getattr(events, name).add_listener(lambda name=name, **others: tell(name))

class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    def on_start(self):
        tell("on_start")

    @task
    def visit(self):
        options = self.environment.parsed_options
        self.client.get("/anything", name=f"{options.tenant} {options.depth}")

    def on_stop(self):
        tell("on_stop")
"""

JOURNEYS = """
from catalogue import PAGE
from locust import FastHttpUser, SequentialTaskSet, TaskSet, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput(100)

    @task
    class Shop(TaskSet):
        @task(3)
        def browse(self):
            self.client.get(PAGE, name="browse")

        @task
        class Checkout(SequentialTaskSet):
            def on_start(self):
                self.client.post(PAGE, name="cart")

            @task
            def address(self):
                self.client.put(PAGE, name="address")

            @task
            def pay(self):
                self.client.post(PAGE, name="pay")
                self.interrupt()

class Passer(FastHttpUser):
    @task
    def pass_by(self):
        self.client.get(PAGE, name="never chosen")
"""

CROWD = """
from locust import FastHttpUser, HttpUser, between, constant_pacing, task

class Starting:
    def on_start(self):
        self.client.get("/anything", name=f"a {type(self).__name__} starts")

class Paced(Starting, FastHttpUser):
    weight = 3
    wait_time = constant_pacing(0.2)

    @task
    def ask(self):
        self.client.get("/anything", name="paced")

class Unhurried(Starting, HttpUser):
    def wait_time(self):
        return 0.1

    @task
    def ask(self):
        self.client.get("/anything", name="unhurried")

class Checking(Starting, HttpUser):
    fixed_count = 1
    wait_time = between(0.01, 0.03)

    @task
    def check(self):
        with self.client.get("/anything", name="empty", catch_response=True) as answer:
            if "welcome" not in answer.text:
                answer.failure("nobody is welcomed")
        with self.client.get("/status/404", name="absent", catch_response=True) as answer:
            if answer.status_code == 404:
                answer.success()
"""

WAVE = """
from locust import FastHttpUser, LoadTestShape, constant, task

class Early(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/anything", name=type(self).__name__)

class Late(Early):
    pass

class Wave(LoadTestShape):
    def tick(self):
        run_time = self.get_run_time()
        if run_time < 1:
            return 1, 1, [Early]
        return (3, 3, [Late]) if run_time < 2 else None
"""

FUNCTIONS = """
import time

def test_browse(session):
    session.get("/anything", name="browse").raise_for_status()
    time.sleep(0.02)

def test_search(fastsession):
    with fastsession.get("/anything", name="search", catch_response=True) as answer:
        answer.failure("nothing found")
    time.sleep(0.02)
"""

# Locust's word on whether a file is a locustfile is `locust --list`: it imports it and names its users, without a load.
EXAMPLES = """
import subprocess, sys
from pytest_loadperf.errors import GeneratorError, HostRefused

@pytest.mark.parametrize("file", FILES)
def test_example(loadperf, file):
    command = [sys.executable, "-m", "locust", "-f", file, "--list"]
    try:
        listed = "\\n    " in subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    except subprocess.TimeoutExpired:
        pytest.skip("a script, not a locustfile")
    try:
        result = loadperf(file, Stage("short", users=3, duration="2s"))
    except HostRefused:
        pytest.skip("it loads a host of its own")
    except GeneratorError as error:
        if not listed:
            pytest.skip("Locust does not load it either")
        said = "\\n".join([str(error), *getattr(error, "__notes__", ())])
        if "no request was answered" in said or f'File "{file}"' in said:
            pytest.skip("it makes no request here, or its own code raises")
        raise
    assert listed
    if result.record.faults:
        pytest.skip(f"its own code raises: {result.record.faults[0]}")
"""


def test_listeners_and_arguments_of_a_locustfile_are_effective(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANT", "acme")
    (project.path / "hooks.py").write_text(HOOKS)
    project.module(
        "test_hooks",
        """
from pathlib import Path
hooks = load("hooks.py", Stage("visits", users=2, duration="1s"))
def test_hooks(hooks):
    assert hooks.endpoints.keys() == {"GET acme 3"}
    seen = hooks.record.trials[0].generator.requests
    assert f"quitting after {seen} requests" in Path("told.txt").read_text()
""",
    )
    project.run().assert_outcomes(passed=1)
    told = (project.path / "told.txt").read_text().splitlines()
    assert [line.split(" ")[0] for line in told] == [
        "init,",
        "test_start",
        *("on_start", "on_start"),
        "test_stopping",
        *("on_stop", "on_stop"),
        "test_stop",
        "quitting",
        "quit",
    ]
    assert told[0] == "init, web_ui None, local True"


def test_tasks_weights_wait_times_and_checks_are_those_of_the_locustfile(project: Project) -> None:
    (project.path / "catalogue.py").write_text('PAGE = "/anything"\n')
    (project.path / "journeys.py").write_text(JOURNEYS)
    (project.path / "crowd.py").write_text(CROWD)
    project.module(
        "test_tasks",
        """
journeys = load("journeys.py:Shopper", Stage("one", users=1, duration="1s"))
crowd = load("crowd.py", Stage("five", users=5, duration="1s"))

def test_task_sets_are_nested_and_run_in_sequence(journeys):
    counts = {name: endpoint.requests for name, endpoint in journeys.endpoints.items()}
    assert counts.keys() == {"GET browse", "POST cart", "PUT address", "POST pay"}
    assert counts["POST cart"] >= counts["PUT address"] >= counts["POST pay"] >= counts["POST cart"] - 1

def test_users_come_by_fixed_count_and_weight(crowd):
    assert [crowd[f"a {user} starts"].requests for user in ("Checking", "Paced", "Unhurried")] == [1, 3, 1]

def test_users_wait_as_they_say(crowd):
    assert 8 <= crowd["paced"].requests <= 18
    assert 4 <= crowd["unhurried"].requests <= 10
    assert crowd["empty"].requests <= 50

def test_responses_are_judged_by_the_locustfile(crowd):
    assert crowd["empty"].failure_rate == 1
    assert crowd["empty"].errors == {"CatchResponseError('nobody is welcomed')": crowd["empty"].requests}
    assert crowd["absent"].failures == 0
    assert crowd["absent"].status_codes == {"404": crowd["absent"].requests}
""",
    )
    project.run().assert_outcomes(passed=4)


def test_a_shape_of_the_locustfile_is_run_where_no_stage_is_given(project: Project) -> None:
    (project.path / "wave.py").write_text(WAVE)
    project.module(
        "test_shape",
        """
shaped = load("wave.py")
staged = load("wave.py", Stage("own", users=2, duration="1s"))

def test_shaped(shaped):
    assert shaped.stages.keys() == {"Wave"}
    assert shaped.duration_s == pytest.approx(2, abs=0.3)
    assert shaped.endpoints.keys() == {"GET Early", "GET Late"}
    assert shaped.frame()["users"].max() == 3

def test_staged(staged):
    assert staged.stages.keys() == {"own"}
    assert staged.frame()["users"].max() == 2
""",
    )
    project.run().assert_outcomes(passed=2)


def test_functions_with_the_fixtures_of_locust_are_users(project: Project) -> None:
    (project.path / "functions.py").write_text(FUNCTIONS)
    project.module(
        "test_functions",
        """
functions = load("functions.py", Stage("two", users=2, duration="1s"))
def test_functions(functions):
    assert functions["browse"].requests > 10 < functions["search"].requests
    assert functions.failures == functions["search"].failures == functions["search"].requests
""",
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.skipif(
    "LOADPERF_LOCUST_EXAMPLES" not in os.environ, reason="LOADPERF_LOCUST_EXAMPLES names no folder of locustfiles"
)
def test_every_locustfile_of_a_folder_is_run_as_it_is(project: Project, request: pytest.FixtureRequest) -> None:
    folder = request.config.invocation_params.dir / os.environ["LOADPERF_LOCUST_EXAMPLES"]
    files = sorted(str(file) for file in folder.rglob("*.py"))
    assert files, f"{folder} holds no Python file"
    project.module("test_examples", f"FILES = {files!r}\n{EXAMPLES}")
    result = project.run("--loadperf-no-save", "-rs")
    outcomes = result.parseoutcomes()
    assert (outcomes.get("failed", 0), outcomes.get("errors", 0)) == (0, 0)
    assert outcomes["passed"] > 0
