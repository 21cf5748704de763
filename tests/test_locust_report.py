"""Locust's own page of each trial: --loadperf-locust-report."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import BRIEF, Project
from test_generator import Run, plan

from pytest_loadperf.generator.protocol import LocustPage
from pytest_loadperf.report.locust_page import LocustPages

OFTEN = "from locust import stats\nstats.HISTORY_STATS_INTERVAL_SEC = 0.2\n"  # else every five seconds
SHAPED = f"""
from locust import FastHttpUser, LoadTestShape, constant, task
{OFTEN}
class Telling(FastHttpUser):
    wait_time = constant(0.02)

    def on_start(self):
        self.client.get("/status/503?of=geheim")

    @task
    def ask(self):
        self.client.get(f"/anything?number={{id(self)}}")

    @task
    def fail(self):
        with self.client.get("/anything", name="</script>", catch_response=True) as answer:
            answer.failure("token verschlossen at 0x7f00")
        raise ValueError("it was verschlossen")

class Shape(LoadTestShape):
    def tick(self):
        return (3, 30) if self.get_run_time() < 0.9 else None
"""


def told(html: str) -> dict[str, Any]:
    """What the page's scripts show."""
    found = re.search(r"window\.templateArgs = (.*)", html)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def requests(page: dict[str, Any]) -> dict[str, int]:
    return {f"{entry['method']} {entry['name']}": entry["num_requests"] for entry in page["requests_statistics"]}


def users(page: dict[str, Any]) -> list[int]:
    """How many there were, in the chart over time."""
    return [point["user_count"][1] for point in page["history"]]


def test_the_page_holds_what_the_record_holds_and_no_secret(server: str, tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(SHAPED)
    asked = plan(server.replace("//", "//user:geheim@"), stages=(), secrets=("verschlossen",), locust_page=True)
    run = Run(replace(asked, locustfile=str(tmp_path / "locustfile.py")))
    html = run.page.html
    assert "geheim" not in html
    assert "verschlossen" not in html
    page = told(html)
    assert page["host"] == server.replace("//", "//***@")
    assert page["locustfile"] == "locustfile.py"
    assert requests(page) == {**run.endpoints(), " Aggregated": run.end.requests}
    failures: Counter[str] = Counter()
    for window in run.collector.windows():
        failures.update(window.errors)
    assert {error["error"]: error["occurrences"] for error in page["failures_statistics"]} == failures
    (raised,) = page["exceptions_statistics"]
    assert {f"ValueError: {raised['msg']}": raised["count"]} == run.end.user_errors
    assert page["tasks"]["per_class"]["Telling"]["ratio"] == 1
    assert max(users(page)) == 3


def test_a_run_keeps_the_page_of_users_in_several_processes(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_locust_report = pages\n")
    stage = 'Stage("rush", users=4, duration="1s")'
    project.module("test_it", f"{OFTEN}rush = load(Shopper, {stage}, workers=2)\ndef test_rush(rush): pass\n")
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["locust  *pages"])
    page = told((project.path / "pages" / "test_it.py_rush.html").read_text())
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    (load,) = json.loads(kept.read_text())["loads"]
    assert requests(page)[" Aggregated"] == load["trials"][0]["generator"]["requests"]
    assert max(users(page)) == 4


def test_a_page_that_locust_can_not_make_costs_no_load_its_result(project: Project) -> None:
    project.module(
        "test_it",
        "from locust import stats\nstats.PERCENTILES_TO_CHART = 95\n"
        f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): pass\n",
    )
    result = project.run("--loadperf-locust-report", "pages")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "saved   *",
            "Locust's own page of rush could not be made: TypeError: 'int' object is not iterable; the load is judged "
            "without it. The likely cause is user code that gives locust.stats what Locust can't chart",
        ]
    )
    result.stdout.no_fnmatch_line("locust  *")


def test_each_trial_has_a_page_of_its_own(tmp_path: Path) -> None:
    pages = LocustPages(tmp_path, pytest.fail)
    for title in ("rush trial 1/2", "rush trial 2/2", "Rush trial 2/2", "rush pair 1/5, nginx:1.27"):
        pages.keep("tests/test_it.py", title, LocustPage(title))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "tests_test_it.py_rush_trial_1_2.html": "rush trial 1/2",
        "tests_test_it.py_rush_trial_2_2.html": "rush trial 2/2",
        "tests_test_it.py_Rush_trial_2_2-2.html": "Rush trial 2/2",
        "tests_test_it.py_rush_pair_1_5_nginx_1.27.html": "rush pair 1/5, nginx:1.27",
    }


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said: list[str] = []
    LocustPages(tmp_path / "taken", said.append).keep("test_it.py", "rush", LocustPage("it"))
    assert said == [
        f"Locust's own pages could not be written to {tmp_path / 'taken'}: File exists; make it writable, or give "
        "another folder"
    ]
