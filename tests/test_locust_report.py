"""Locust's own page of a load."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from test_generator import Run, plan

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
