"""What a user sees of a run: outcomes, lines, and what is kept."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from projects import ANSWERING, BRIEF, ONE_SECOND, Project, python

RUSH = f"rush_hour = load(Shopper, {BRIEF})\n"
HOLDS = RUSH + '@pytest.mark.loadperf("p95 < 5s", "failure_rate < 1%")\ndef test_rush(rush_hour): pass\n'


def record(project: Project, number: int = -1) -> dict[str, object]:
    files = sorted(path for path in (project.path / ".loadperf/runs").glob("*.json"))
    read: dict[str, object] = json.loads(files[number].read_text())
    return read


def test_without_the_option_load_tests_are_skipped_and_others_run(pytester: pytest.Pytester, project: Project) -> None:
    project.module(
        "test_it",
        HOLDS + "def test_uses(rush_hour): pass\ndef test_calls(loadperf): pass\ndef test_ordinary(): pass\n",
    )
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["SKIPPED *needs --loadperf"])
    assert not (project.path / ".loadperf").exists()


def test_a_load_runs_once_for_all_tests_of_its_module(project: Project) -> None:
    project.module(
        "test_it",
        f"rush_hour = load(Shopper, {ONE_SECOND})\n"
        + """
seen = []
def test_one(rush_hour): seen.append(rush_hour)
def test_two(rush_hour):
    assert rush_hour is seen[0]
    assert rush_hour.requests == rush_hour["search"].requests + rush_hour["GET cart"].requests > 0
    assert rush_hour.stages["rush"]["search"].p50_ms == rush_hour["search"].p50_ms
    assert 5 < rush_hour["search"].p50_ms < 50
    assert rush_hour.status_codes == {"200": rush_hour.requests}
    assert rush_hour.p50_ms <= rush_hour.p75_ms <= rush_hour.p90_ms <= rush_hour.p95_ms <= rush_hour.percentile_ms(99.9)
    assert (rush_hour.failures, rush_hour.failure_rate, rush_hour.errors) == (0, 0.0, {})
    assert rush_hour.rps == pytest.approx(rush_hour.requests, rel=0.1)
    assert rush_hour.bytes_mean == 2
    assert rush_hour.service.memory_mb > 5
    assert not rush_hour.generator.saturated
    frame = rush_hour.frame()
    assert frame["requests"].sum() == rush_hour.requests
    with pytest.raises(KeyError, match="no request of 'nothing' was measured; there are 'GET cart', 'GET search'"):
        rush_hour["nothing"]
""",
    )
    result = project.run("--loadperf-json", "conftest.py/run.json")
    result.assert_outcomes(passed=2)
    unwritten = "the JSON document could not be written to */conftest.py/run.json: File exists; *"
    result.stdout.fnmatch_lines(["saved *.loadperf/runs/*.json", unwritten, "report *.loadperf/report.html"])


def test_thresholds_that_hold_are_told_with_what_was_observed(project: Project) -> None:
    project.module("test_it", HOLDS)
    result = project.run("--loadperf-json", "out/run.json")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"rush_hour · rush: up to 4 users for 0.5 s",
            r"test_it\.py::rush_hour  \(process .*answering\.py --port '\{port\}'\)",
            r"  stage +users +requests +req/s +failed +p50 +p95 +p99 +max +cpu +memory",
            r"  rush +4 +\d+ +[\d.]+ +0% ",
            r"    GET cart ",
            r"    GET search ",
            r"  ok  rush_hour  p95 < 5s +[\d.]+ ms",
            r"  ok  rush_hour  failure_rate < 1%  0% +\(narrowly: \d+ requests leave up to \d[\d.]*% possible\)",
            r"first run in this history: trends and baselines start with the next one",
            r"json    .*/out/run\.json",
            r"report  .*",
        ]
    )
    assert json.loads((project.path / "out/run.json").read_text())["loads"][0]["verdict"] == "ok"


def test_what_does_not_hold_fails_the_test_in_its_call_phase_with_all_that_broke(project: Project) -> None:
    project.module(
        "test_it",
        RUSH
        + """
@pytest.mark.loadperf("p95 < 1ms", "failure_rate < 1%", "rps > 1000000/s")
def test_broken(rush_hour): pass

@pytest.mark.xfail
@pytest.mark.loadperf("p95 < 1ms")
def test_expected(rush_hour): pass

@pytest.mark.loadperf("p95 < 1ms")
def test_own(rush_hour): assert "own" == "words"

@pytest.mark.loadperf("p95[checkout] < 1s", "p95@calm < 1s")
def test_absent(rush_hour): pass
""",
    )
    result = project.run()
    result.assert_outcomes(failed=3, xfailed=1)
    result.stdout.fnmatch_lines(["*own*words*", "*broken threshold p95 < 1ms*"])
    result.stdout.re_match_lines(
        [
            r"  BROKEN  rush_hour  p95 < 1ms +[\d.]+ ms",
            r"  BROKEN  rush_hour  rps > 1000000/s +[\d.]+/s",
            r"  ok      rush_hour  failure_rate < 1%  +0%",
            r"  BROKEN  rush_hour  p95\[checkout\] < 1s +no data",
            r"  BROKEN  rush_hour  p95@calm < 1s +no data",
            r"FAILED test_it\.py::test_broken - p95 < 1ms: [\d.]+ ms, and 1 more broken",
        ]
    )
    assert "judging.py" not in result.stdout.str()
    kept: Any = record(project)
    (expected,) = [test for test in kept["tests"] if test["nodeid"] == "test_it.py::test_expected"]
    assert (expected["outcome"], expected["verdicts"][0]["status"]) == ("xfailed", "broken")


def test_a_marked_test_that_uses_no_load_fails(project: Project) -> None:
    project.module("test_it", '@pytest.mark.loadperf("p95 < 1s")\ndef test_nothing(): pass\n')
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*marked with thresholds, but used no load fixture, so there is nothing to judge*"])


def test_a_threshold_may_name_one_of_several_loads(project: Project) -> None:
    project.module(
        "test_it",
        RUSH
        + f"calm = load(Shopper, {BRIEF})\n"
        + '@pytest.mark.loadperf("rush_hour.p50 < 5s", "calm.p95 < 1ms")\ndef test_both(rush_hour, calm): pass\n',
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"  BROKEN  calm  +calm\.p95 < 1ms", r"  ok  +rush_hour  rush_hour\.p50 < 5s"])


def test_the_loadperf_fixture_runs_a_load_inside_a_test(project: Project) -> None:
    project.module(
        "test_it",
        f"""
@pytest.mark.loadperf("p95 < 5s")
def test_call(loadperf):
    first = loadperf(Shopper, {BRIEF})
    second = loadperf(Shopper, {BRIEF}, name="again")
    assert first.requests > 0 and second.requests > 0
""",
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_call::loadperf *", "*ok  loadperf  p95 < 5s*", "test_it.py::test_call::again *"]
    )


def test_trials_are_measured_one_by_one_and_together(project: Project) -> None:
    project.module(
        "test_it",
        f"""
thrice = load(Shopper, {BRIEF}, trials=3)
def test_trials(thrice):
    assert len(thrice.trials) == 3
    assert sum(trial.requests for trial in thrice.trials) == thrice.requests
    assert thrice.duration_s == pytest.approx(1.5, abs=0.2)
""",
    )
    project.run().assert_outcomes(passed=1)


def test_unmeasured_stages_are_shown_but_do_not_count(project: Project) -> None:
    project.module(
        "test_it",
        """
both = load(Shopper, Stage("warm-up", users=1, duration="1s", measured=False), Stage("rush", users=4, duration="1s"))
def test_both(both):
    assert both.requests == both.stages["rush"].requests
    assert both.stages["warm-up"].requests > 0
""",
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  warm-up (not measured)  *"])


def test_an_aborted_load_fails_its_tests_and_is_no_baseline(project: Project) -> None:
    project.module(
        "test_it",
        """
class Failing(HttpUser):
    wait_time = constant(0.01)
    @task
    def ask(self):
        self.client.get("/status/500")

broken = load(Failing, Stage("rush", users=2, duration="60s"), abort="failure_rate > 50% for 1s")

@pytest.mark.loadperf("p95 < baseline + 20%")
def test_rush(broken): pass
""",
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*BROKEN*the load runs as asked*stopped after 1 s by abort='failure_rate > 50% for 1s': 100% was seen*"]
    )
    project.run().stdout.fnmatch_lines(["*no_baseline*p95 < baseline + 20%*"])


def test_the_second_run_is_compared_with_the_first(project: Project) -> None:
    project.module("test_it", RUSH + '@pytest.mark.loadperf("p50 < baseline + 500%")\ndef test_rush(rush_hour): pass\n')
    first = project.run()
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["*no_baseline*p50 < baseline + 500%*"])
    second = project.run()
    second.assert_outcomes(passed=1)
    second.stdout.re_match_lines(
        [
            r"  no_baseline  rush_hour  p50 < baseline \+ 500%  .*\([+-][\d.]+%; a verdict needs 5 comparable runs; "
            r"limit < .*, 1 run, "
        ]
    )


def test_a_missing_baseline_fails_where_it_is_required(project: Project) -> None:
    project.module("test_it", RUSH + '@pytest.mark.loadperf("p50 < baseline")\ndef test_rush(rush_hour): pass\n')
    result = project.run("--loadperf-require-baseline")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BROKEN*p50 < baseline*--loadperf-require-baseline*"])


def test_the_record_and_junits_properties_hold_what_was_run_and_measured(project: Project) -> None:
    project.module("test_it", HOLDS)
    project.run("--junitxml=junit.xml").assert_outcomes(passed=1)
    kept = json.dumps(record(project))
    for expected in ('"format": 1', "test_it.py::rush_hour", '"rush"', "GET search", '"passed"', "fingerprint"):
        assert expected in kept
    found = ElementTree.parse(project.path / "junit.xml").findall(".//property")
    properties = {entry.get("name"): entry.get("value") or "" for entry in found}
    assert float(properties["loadperf.rush_hour.p95_ms"]) > 1
    assert properties["loadperf.rush_hour.verdict p95 < 5s"].startswith("ok: ")


def test_no_save_keeps_nothing(project: Project) -> None:
    project.module("test_it", HOLDS)
    result = project.run("--loadperf-no-save")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["not saved: --loadperf-no-save"])
    assert not (project.path / ".loadperf/runs").exists()


def test_a_smoke_run_judges_and_saves_nothing(project: Project) -> None:
    project.module(
        "test_it",
        'slow = load(Shopper, Stage("rush", users=40, duration="20s"))\n'
        '@pytest.mark.loadperf("p95 < 1ms")\ndef test_rush(slow): assert slow.stages["rush"].duration_s < 1.5\n',
    )
    result = project.run("--loadperf-scale", "0.05")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*inconclusive  slow  p95 < 1ms * (shown, not judged: --loadperf-scale 0.05)",
            "not saved: --loadperf-scale 0.05 judges nothing",
        ]
    )


def test_a_scale_of_one_takes_back_a_smaller_one(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\naddopts = --loadperf-scale=0.1\n")
    project.module(
        "test_it",
        f'quick = load(Shopper, {BRIEF})\n@pytest.mark.loadperf("p95 < 1ms")\ndef test_rush(quick): pass\n',
    )
    result = project.run("--loadperf-scale", "1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BROKEN*quick*p95 < 1ms*", "saved *"])


def test_a_summary_is_written_where_it_is_asked_for(project: Project) -> None:
    project.module("test_it", HOLDS)
    project.run("--loadperf-summary", "summary.md").stdout.fnmatch_lines(["summary *summary.md"])
    assert "The load test passed" in (project.path / "summary.md").read_text()


def test_paths_may_stand_in_the_ini_file_and_ci_may_name_the_summarys(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "step.md"))
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_history = kept\nloadperf_report = out/page.html\n")
    project.module("test_it", HOLDS)
    project.run().assert_outcomes(passed=1)
    assert len(list((project.path / "kept/runs").glob("*.json"))) == 1
    assert "rush_hour" in (project.path / "out/page.html").read_text()
    assert "The load test passed" in (project.path / "step.md").read_text()


@pytest.mark.parametrize("arguments", [["-q"], ["-qq", "-n1"]])
def test_what_stays_on_the_machine_is_told_under_q_too(project: Project, arguments: list[str]) -> None:
    project.module("test_it", HOLDS)
    result = project.run("--loadperf-keep-service", *arguments)
    assert result.ret == 0
    assert "up to 4 users" not in result.stdout.str()
    (pid,) = re.findall(r"loadperf: `.*` stays up at http://.*; end it with `kill (\d+)`", result.stdout.str())
    os.kill(int(pid), signal.SIGTERM)


def test_a_long_stage_tells_how_it_goes(project: Project) -> None:
    with (project.path / "conftest.py").open("a") as file:
        file.write("from pytest_loadperf.report import progress\nprogress._EVERY_S = 1.0\n")
    stages = 'Stage("hold", users=2, duration="2s"), Stage("count", users=2, requests=9999, duration="2s")'
    project.module("test_it", f"long = load(Shopper, {stages})\ndef test_long(long): pass\n")
    project.run().stdout.re_match_lines(
        [
            r"long · hold \(1/2\): up to 2 users for 2 s",
            r"long · hold \(1/2\): [12] s, 2 users, \d+ req/s, p95 [\d.]+ ms, 0 failed",
            r"long · count \(2/2\): up to 2 users for 9999 requests, 2 s at most",
            r"long · count \(2/2\): [12] s, \d+ of 9999 requests, 2 users, \d+ req/s, p95 [\d.]+ ms, 0 failed",
            r"  in doubt: stage 'count': only \d+ of 9999 requests were made; the others did not come within 2 s, or ",
        ]
    )


def test_a_shape_tells_as_it_goes(project: Project) -> None:
    (project.path / "locustfile.py").write_text(
        "from locust import HttpUser, LoadTestShape, constant, task\n"
        "class Shopper(HttpUser):\n    wait_time = constant(0.1)\n"
        "    @task\n    def ask(self): self.client.get('/anything')\n"
        "class Wave(LoadTestShape):\n    def tick(self): return (3, 3) if self.get_run_time() < 2 else None\n"
    )
    (project.path / "test_it.py").write_text(
        "from pytest_loadperf import load\nwave = load('locustfile.py')\n"
        "def test_wave(wave):\n    assert wave.stages['Wave'].requests > 10\n"
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"wave · Wave: as the shape says", r"  Wave +3 "])


def test_a_terminal_shows_a_bar(project: Project) -> None:
    stages = 'Stage("hold", users=2, duration="2s"), Stage("count", users=2, requests=9999, duration="1200ms")'
    project.module("test_it", f"bar = load(Shopper, {stages})\ndef test_bar(bar): pass\n")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = python("-m", "pytest", "--loadperf", "-p", "no:cacheprovider")
    with subprocess.Popen(command, cwd=project.path, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = _read(master)
    assert process.returncode == 0
    assert re.search(r"bar · hold \(1/2\) █+.* 1/2 s, 2 users, \d+ req/s, p95 [\d.]+ ms, 0 failed", shown)
    assert re.search(r"bar · count \(2/2\) .* \d+/9999 requests, 2 users, \d+ req/s", shown)


def _read(terminal: int) -> str:
    shown = b""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    return shown.decode()


def test_variants_of_a_parametrised_service_are_series_of_their_own(project: Project) -> None:
    answering = re.search(r"'(/[^']*answering\.py)'", (project.path / "conftest.py").read_text())
    assert answering is not None
    (project.path / "conftest.py").write_text(
        (project.path / "conftest.py").read_text().replace("loadperf_service", "one_service")
        + """
import pytest
@pytest.fixture(scope="session", params=["left", "right"])
def loadperf_service(one_service, request):
    return one_service
"""
    )
    project.module("test_it", HOLDS)
    result = project.run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_it.py::rush_hour[[]left]  *", "test_it.py::rush_hour[[]right]  *"])


def test_a_load_fixture_of_a_conftest_may_serve_the_whole_session(project: Project) -> None:
    (project.path / "shop.py").write_text(
        "from locust import HttpUser, task\n"
        "class Shopper(HttpUser):\n    @task\n    def ask(self): self.client.get('/delay/5')\n"
    )
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            "from pytest_loadperf import Stage, load\nfrom shop import Shopper\n"
            f"all_day = load(Shopper, {BRIEF}, scope='session')\n"
        )
    for name in ("test_a", "test_b"):
        (project.path / f"{name}.py").write_text("def test_it(all_day): assert all_day.requests\n")
    result = project.run()
    result.assert_outcomes(passed=2)
    assert len(record(project)["loads"]) == 1  # type: ignore[arg-type]


def test_users_may_bring_their_own_host(project: Project, server: str) -> None:
    project.module(
        "test_it",
        f"""
class Elsewhere(Shopper):
    host = {server!r}

own = load(Elsewhere, {BRIEF}, service=None)
def test_own(own): assert own.requests > 0
""",
    )
    project.run().assert_outcomes(passed=1)


def test_a_running_service_is_loaded_where_its_url_is_given(project: Project, server: str) -> None:
    project.module("test_it", HOLDS)
    result = project.run("--loadperf-url", server)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"test_it.py::rush_hour  (url {server})"])


def test_test_modules_in_packages_are_found_by_the_generator(project: Project) -> None:
    package = project.path / "pkg" / "sub"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "paths.py").write_text("PATH = '/delay/5'\n")
    project.module("test_it", HOLDS.replace("rush_hour =", "from .paths import PATH\nrush_hour ="))
    Path(project.path / "test_it.py").rename(package / "test_it.py")
    for mode in ("prepend", "importlib"):
        project.run(f"--import-mode={mode}").assert_outcomes(passed=1)


def test_where_a_threshold_breaks_what_the_service_wrote_is_kept(project: Project) -> None:
    code = (
        "import os, runpy, sys; print('the cache is cold,', os.environ['KEY'], flush=True); "
        f"sys.argv[0] = {str(ANSWERING)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    (project.path / "conftest.py").write_text(
        "import sys\nfrom pytest_loadperf import process_service\n"
        f"loadperf_service = process_service([sys.executable, '-c', {code!r}, '--port', '{{port}}'], "
        "ready='/anything', env={'KEY': 'correct-horse'})\n"
    )
    project.module(
        "test_it",
        RUSH + '@pytest.mark.loadperf("p95 < 1ms")\ndef test_broken(rush_hour): pass\n'
        '@pytest.mark.loadperf("p95 < 10s")\ndef test_held(rush_hour): pass\n',
    )
    project.run().assert_outcomes(failed=1, passed=1)
    (kept,) = (project.path / ".loadperf/runs").glob("*.json")
    broken, held = json.loads(kept.read_text())["tests"]
    (log,) = broken["service_logs"]
    assert log["text"].startswith("the cache is cold, ***")
    time = r"\d\d:\d\d:\d\d"
    assert re.fullmatch(
        rf"(at {time}|from {time} to {time}) UTC; at {time}, second \d of the load, p95 was [\d.]+ ms", log["when"]
    )
    assert "service_logs" not in held
    page = (project.path / ".loadperf/report.html").read_text()
    assert page.count(f"What the service wrote {log['when']}") == 1
    assert "the cache is cold, ***" in page
