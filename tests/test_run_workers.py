"""What a user of pytest sees of a load with workers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from elsewhere import TOKEN, worker
from projects import BRIEF, Project, python

from pytest_loadperf.plan import Crew
from pytest_loadperf.settings import LoadperfConfig

MARKED = '@pytest.mark.loadperf("p95 < 5s")\n'
LOSING = """
import os, signal
from locust import events

@events.test_start.add_listener
def lose_one(environment, **_):
    if getattr(environment.runner, "worker_index", None) == 1:
        import gevent
        gevent.spawn_later(1, os.kill, os.getpid(), signal.SIGKILL)
"""


def fingerprints(project: Project) -> list[str]:
    (kept,) = (project.path / ".loadperf" / "runs").glob("*.json")
    return [load["fingerprint"]["workers"] for load in json.loads(kept.read_text())["loads"]]


def test_a_load_with_workers_runs_like_any_other(project: Project) -> None:
    project.module(
        "test_it", f"rush = load(Shopper, {BRIEF})\n{MARKED}def test_it(rush):\n    assert rush.requests > 50\n"
    )
    project.run("--loadperf-workers", "2").assert_outcomes(passed=1)
    assert fingerprints(project) == ["2 here"]


def test_the_ini_file_may_ask_for_workers_under_xdist_too(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_workers = 3\n")
    project.module("test_it", f"rush = load(Shopper, {BRIEF})\n{MARKED}def test_it(rush): assert rush.requests\n")
    project.run("-n2").assert_outcomes(passed=1)
    assert fingerprints(project) == ["3 here"]


@pytest.mark.parametrize(
    ("load", "option", "expected", "crew"),
    [
        (None, None, 0, None),
        (None, 1, 0, None),
        (None, 3, 0, Crew(3)),
        (2, 3, 0, Crew(2)),
        (1, 3, 0, None),
        (None, None, 4, Crew(0, 4, "127.0.0.1", 5557, root="/")),
        (1, None, 4, Crew(1, 4, "127.0.0.1", 5557, root="/")),
        (None, 2, 4, Crew(2, 4, "127.0.0.1", 5557, root="/")),
    ],
)
def test_the_load_wins_over_the_options(load: int | None, option: int | None, expected: int, crew: Crew | None) -> None:
    assert LoadperfConfig(Path("/"), workers=option, expect_workers=expected).crew(load) == crew


def test_a_lost_worker_makes_a_verdict_inconclusive(project: Project) -> None:
    stage = 'Stage("rush", users=4, duration="3s")'
    project.module(
        "test_it",
        f"{LOSING}rush = load(Shopper, {stage}, workers=2)\n{MARKED}def test_it(rush):\n"
        "    (lost,) = rush.generator.lost_workers\n    assert lost.startswith('worker ')\n",
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [r".*inconclusive.*worker \d \(pid \d+\) was lost 1 s into the load: it was killed by SIGKILL.*"]
    )


def test_a_run_waits_for_workers_from_elsewhere(project: Project, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("LOADPERF_TOKEN", TOKEN)
    project.module("test_it", f"rush = load(Shopper, {BRIEF})\n{MARKED}def test_it(rush): pass\n")
    with worker(port, project.path / "away"):
        result = project.run("--loadperf-master", f":{port}", "--loadperf-expect-workers", "1")
    result.assert_outcomes(passed=1)
    assert fingerprints(project) == ["0 here, 1 from elsewhere"]


def test_all_loads_of_a_run_take_the_token_that_it_made_and_no_other_and_keep_it_nowhere(
    project: Project, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.delenv("LOADPERF_TOKEN", raising=False)
    tests = "\n".join(f"load_{n} = load(Shopper, {BRIEF})\n{MARKED}def test_{n}(load_{n}): pass\n" for n in "ab")
    project.module("test_it", tests)
    command = python("-m", "pytest", "--loadperf", "--loadperf-expect-workers", "1", "--loadperf-master", f":{port}")
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        hint = next(line for line in run.stdout if "waiting for workers" in line)
        (token,) = re.findall(r"run `LOADPERF_TOKEN=(\S{43}) pytest-loadperf worker", hint)
        with worker(port, project.path / "other"):
            refused = next(line for line in run.stdout if "refused" in line)
        with worker(port, project.path / "away", token=token) as away:
            rest = run.stdout.read()
            away.expect("the load is over", times=2)
    assert run.returncode == 0, rest
    assert refused == "load_a: refused 127.0.0.1, who has not shown this run's token (LOADPERF_TOKEN)\n"
    assert token not in rest
    for file in filter(Path.is_file, project.path.rglob("*")):
        assert token.encode() not in file.read_bytes(), file
