"""What a user sees of a load whose numbers can't be believed, and of one that can."""

from __future__ import annotations

import json

from projects import Project

BURNING = """
import time

class Burning(FastHttpUser):
    @task
    def burn(self):
        self.client.get("/anything", name="ask")
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass

burning = load(Burning, Stage("rush", users=4, duration="3s"))

@pytest.mark.loadperf("p95 < 10s", "p50 < 1ms", "failure_rate < 1%")
def test_burning(burning):
    assert burning.generator.saturated
    assert burning.generator.saturated_s > 1.5
    assert burning.frame()["saturated"].sum() >= 2
    assert burning.generator.cpu_percent > 30  # of what a busy machine leaves it
"""

FAILING = """
@pytest.mark.loadperf("p50 < 1ms")
def test_assertion(burning):
    assert burning.p99_ms < 1
"""

CALM = """
calm = load(Shopper, Stage("calm", users=4, duration="3s"))

@pytest.mark.loadperf("p95 < 10s")
def test_calm(calm):
    assert not calm.generator.saturated
    assert calm.generator.cpu_percent < 80
    assert calm.arrivals is None
"""

OPEN = """
class Quick(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/delay/200", name="ask")

open_model = load(
    Quick,
    Stage("wide", rate="20/s", duration="1s"),
    Stage("narrow", rate="20/s", duration="2s", max_users=1),
)

@pytest.mark.loadperf("p50@wide < 10s", "failure_rate@narrow < 50%", "p95@narrow < 300ms")
def test_open(open_model):
    assert open_model.arrivals.due == 60
    assert open_model.stages["wide"].arrivals.started == 20
    assert open_model.stages["narrow"].arrivals.waiting > 20
"""


def test_a_generator_out_of_cpu_makes_verdicts_inconclusive(project: Project) -> None:
    project.module("test_it", BURNING)
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"  in doubt: stage 'rush': the generator was the bottleneck: out of CPU in [234] of [34] s; CPU \d.*, its "
            r"loop late .*; machine: .*; use LeanHttpUser, more workers",
            r"  inconclusive  burning  p95 < 10s +.*\(stage 'rush': the generator was the bottleneck",
            r"  inconclusive  burning  p50 < 1ms",
            r"  inconclusive  burning  failure_rate < 1%",
        ]
    )


def test_an_inconclusive_verdict_may_fail_the_test_and_an_assertion_that_fails_says_the_doubt(project: Project) -> None:
    project.module("test_it", BURNING + FAILING)
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_fail_on = inconclusive, no_baseline\n")
    result = project.run()
    result.assert_outcomes(failed=2)
    result.stdout.re_match_lines(
        [
            r"  BROKEN  burning  p95 < 10s +.*\(inconclusive: stage 'rush': the generator was the bottleneck"
            r".*\(--loadperf-fail-on\)\)"
        ]
    )
    result.stdout.re_match_lines([r".*burning is in doubt: stage 'rush': the generator was the bottleneck: out of CPU"])


def test_a_calm_load_is_in_no_doubt(project: Project) -> None:
    project.module("test_it", CALM)
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*in doubt*")
    result.stdout.fnmatch_lines(["  ok  calm  p95 < 10s*"])


def test_an_open_load_tells_how_its_arrivals_went(project: Project) -> None:
    project.module("test_it", OPEN)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"open_model · wide \(1/2\): 20/s by up to 20 users for 1 s",
            r"  wide: 20 of 20 arrivals began, late by [\d.]+ ms \(p50\), [\d.]+ ms \(p99\), 0 still waited",
            r"  narrow: \d+ of 40 arrivals began, late by \d+ ms \(p50\), \d+ ms \(p99\), \d+ still waited",
            r"  in doubt: stage 'narrow': the rate was not reached: \d+ of 40 arrivals began; \d+ had no "
            r"user when it ended; raise max_users \(1\) unless the service is to blame",
            r"  ok +open_model  p50@wide < 10s",
            r"  inconclusive +open_model  failure_rate@narrow < 50% .*\(stage 'narrow': the rate was not reached",
            r"  BROKEN +open_model  p95@narrow < 300ms .*\(stage 'narrow': the rate was not reached",
        ]
    )
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    wide = json.loads(kept.read_text())["loads"][0]["trials"][0]["stages"][0]
    assert (wide["arrivals"]["due"], wide["stage"]["rate"]) == (20, "20/s")
    assert "Arrivals of stages with a rate" in (project.path / ".loadperf/report.html").read_text()
