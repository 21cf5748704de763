"""Under xdist: each load once, alone, and one record."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from itertools import pairwise

import psutil
import pytest
from projects import BRIEF, SHOPPER, Project, generators, python

from pytest_loadperf.distribution import ungrouped

pytest.importorskip("xdist")

# Every test and every measured second leaves its span of the machine's monotonic clock in a file.
SPANS = """
import os, time
from contextlib import contextmanager

@contextmanager
def span(kind):
    begin = time.monotonic()
    yield
    with open(os.environ["SPANS"], "a") as file:
        file.write(f"{kind} {begin} {time.monotonic()}\\n")
"""

LOADS = """
from spans import span
import time
from locust import events

@events.test_start.add_listener
def begin(**_):
    global began
    began = time.monotonic()

@events.test_stop.add_listener
def end(**_):
    import os
    with open(os.environ["SPANS"], "a") as file:
        file.write(f"load {began} {time.monotonic()}\\n")

first = load(Shopper, Stage("first", users=2, duration="300ms"))
second = load(Shopper, Stage("second", users=2, duration="300ms"))

@pytest.mark.loadperf("p95 < 10s")
def test_first(first): pass
def test_first_again(first): pass
@pytest.mark.loadperf("p95 < 10s")
def test_second(second): pass
"""

ORDINARY = """
import pytest, time
from spans import span

@pytest.mark.parametrize("number", range(25))
def test_ordinary(number):
    with span("ordinary"):
        time.sleep(0.05)
"""


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("SPANS", str(project.path / "spans.txt"))
    (project.path / "spans.py").write_text(SPANS)
    for name in ("test_load_a", "test_load_b"):
        project.module(name, LOADS)
    for name in ("test_ordinary_a", "test_ordinary_b"):
        (project.path / f"{name}.py").write_text(ORDINARY)
    return project


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (["-n2"], 2),
        (["-n4", "--dist", "load"], 2),
        (["-n2", "--dist", "loadfile", "-k", "load_a or ordinary_a"], 1),
    ],
)
def test_each_load_runs_once_and_alone_and_one_record_comes_out(
    shop: Project, arguments: list[str], modules: int
) -> None:
    result = shop.run(*arguments)
    result.assert_outcomes(passed=28 * modules)
    rows = [line.split() for line in (shop.path / "spans.txt").read_text().splitlines()]
    spans = sorted((float(begin), float(end), kind) for kind, begin, end in rows)
    loads = [(begin, end) for begin, end, kind in spans if kind == "load"]
    ordinary = [(begin, end) for begin, end, kind in spans if kind == "ordinary"]
    assert (len(loads), len(ordinary)) == (2 * modules, 25 * modules)
    assert all(before[1] <= after[0] for before, after in pairwise(loads))
    assert not [(one, load) for one in ordinary for load in loads if one[0] < load[1] and one[1] > load[0]]
    (kept,) = (shop.path / ".loadperf/runs").glob("*.json")
    assert len(json.loads(kept.read_text())["loads"]) == 2 * modules
    assert len(list((shop.path / ".loadperf").glob("*.html"))) == 1
    result.stdout.fnmatch_lines(["test_load_?.py::first *", "saved *.json", "report *report.html"])


def test_a_broken_threshold_is_told_by_the_controller(project: Project) -> None:
    project.module(
        "test_it",
        'rush_hour = load(Shopper, Stage("rush", users=2, duration="1s"))\n'
        '@pytest.mark.loadperf("p95 < 1ms")\ndef test_rush(rush_hour): pass\n',
    )
    result = project.run("-n2", "--loadperf-json", "run.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BROKEN  rush_hour  p95 < 1ms*", "FAILED test_it.py::test_rush - broken threshold*"])
    told = json.loads((project.path / "run.json").read_text())
    assert [(test["outcome"], test["verdicts"][0]["status"]) for test in told["tests"]] == [("failed", "broken")]


def test_a_running_load_tells_how_it_goes(project: Project) -> None:
    project.module("test_it", 'calm = load(Shopper, Stage("calm", users=2, duration="3s"))\ndef test_it(calm): pass\n')
    command = python("-m", "pytest", "--loadperf", "-n2", "-p", "no:cacheprovider")
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [(line.rstrip(), time.monotonic()) for line in process.stdout]
    begun, ended = (moment for line, moment in told if "calm · calm: up to 2 users for 3 s" in line or "passed" in line)
    assert ended - begun > 1


def test_what_is_written_wrongly_is_a_usage_error_here_too(project: Project) -> None:
    project.module("test_it", '@pytest.mark.loadperf("p95 < 250")\ndef test_rush(loadperf): pass\n')
    result = project.run("-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: test_it.py::test_rush: bad threshold: a latency needs its unit"])


def test_running_every_load_on_each_worker_is_refused_in_words(pytester: pytest.Pytester, shop: Project) -> None:
    each = ("--dist", "each", "--tx", "2*popen")
    result = shop.run(*each)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --loadperf does not go with --dist each, which runs every load once on each worker: one record "
            "would hold several loads of the same name. Run `pytest --loadperf` once for each Python or machine, or "
            "use another --dist"
        ]
    )
    assert not (shop.path / "spans.txt").exists()
    pytester.runpytest_subprocess(*each).assert_outcomes(passed=100, skipped=12)


def test_without_the_option_xdist_runs_as_ever(pytester: pytest.Pytester, shop: Project) -> None:
    result = pytester.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=50, skipped=6)


def test_nothing_is_left_in_the_temporary_folder(
    shop: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tmp")
    monkeypatch.setenv("TMPDIR", str(folder))
    shop.run("-n2", "-k", "ordinary").assert_outcomes(passed=50)
    assert list(folder.glob("pytest-loadperf-*/xdist-*")) == []


def test_load_tests_share_their_loads_and_services_however_they_ask_for_them(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # on which only one instance of the service can run
    conftest = project.path / "conftest.py"
    text = conftest.read_text().replace('ready="/anything")', f'ready="/anything", port={port})')
    (project.path / "shop.py").write_text(SHOPPER)
    session = f"from shop import *\nall_day = load(Shopper, {BRIEF}, scope='session')\n"
    conftest.write_text(text + session)
    asking = {
        "by_its_fixture": "def test_it(all_day): assert all_day.requests",
        "by_its_fixture_too": "def test_it(all_day): assert all_day.requests",
        "by_a_call": f"def test_it(loadperf): assert loadperf(Shopper, {BRIEF}).requests",
        "as_it_runs": '@pytest.mark.loadperf("p95 < 10s")\n'
        'def test_it(request): assert request.getfixturevalue("all_day").requests',
    }
    for name, test in asking.items():
        (project.path / f"test_{name}.py").write_text(f"from shop import *\n{test}\n")
    project.run("-n3", "--dist", "load").assert_outcomes(passed=4)
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    assert [load["name"] for load in json.loads(kept.read_text())["loads"]] in (
        ["all_day", "loadperf"],
        ["loadperf", "all_day"],
    )


@pytest.mark.parametrize(
    ("nodeid", "without"),
    [
        ("test_it.py::test_it@shop", "test_it.py::test_it"),
        ("test_it.py::test_it[a@b]@shop_night", "test_it.py::test_it[a@b]"),
        ("tests/test@v2.py::test_it[a@b]", "tests/test@v2.py::test_it[a@b]"),
        ("tests/test@v2.py", "tests/test@v2.py"),
    ],
)
def test_a_group_is_no_part_of_an_id(nodeid: str, without: str) -> None:
    assert ungrouped(nodeid) == without


def test_a_series_is_the_same_with_and_without_groups(project: Project) -> None:
    project.module(
        "test_it",
        """
@pytest.mark.xdist_group("shop")
@pytest.mark.loadperf("p95 < 10s")
@pytest.mark.parametrize("kind", ["a@b"])
def test_it(loadperf, kind):
    assert loadperf(Shopper, Stage(users=2, duration="1s")).requests
""",
    )
    project.run("-n2", "--dist", "loadgroup").assert_outcomes(passed=1)
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    record = json.loads(kept.read_text())
    assert record["loads"][0]["key"] == "test_it.py::test_it[a@b]::loadperf"
    (test,) = record["tests"]
    assert test["nodeid"] == test["verdicts"][0]["test"] == "test_it.py::test_it[a@b]"


def test_nothing_lives_on_when_the_controller_is_killed(project: Project) -> None:
    project.module(
        "test_it", 'long = load(Shopper, Stage("hold", users=2, duration="60s"))\ndef test_long(long): pass\n'
    )
    command = python("-m", "pytest", "--loadperf", "-n2", "-p", "no:cacheprovider")
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        tree = _loading_tree(process.pid)
        process.kill()
    assert psutil.wait_procs(tree, timeout=3)[1] == []


def _loading_tree(pid: int) -> list[psutil.Process]:
    """The processes of a run, once its generator loads."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(process.num_threads() > 1 for process in generators(pid)):
            time.sleep(1)
            return psutil.Process(pid).children(recursive=True)
        time.sleep(0.1)
    raise TimeoutError
