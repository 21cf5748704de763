"""What is written wrongly ends the run with exit status 4, in words, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import BRIEF, Project

from pytest_loadperf.settings import LoadperfConfig

RUSH = f"rush_hour = load(Shopper, {BRIEF})\n"


def refused(project: Project, *arguments: str) -> str:
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (project.path / ".loadperf").exists()
    return result.stdout.str() + "\n" + result.stderr.str()


def test_a_bad_threshold_is_shown_with_a_caret(project: Project) -> None:
    project.module("test_it", RUSH + '@pytest.mark.loadperf("p95 < 250")\ndef test_it(rush_hour): pass\n')
    assert refused(project).strip().splitlines()[-4:] == [
        "ERROR: test_it.py::test_it: bad threshold: a latency needs its unit",
        "  p95 < 250",
        "           ^",
        "  expected ms or s, as in 250ms",
    ]


def test_every_fault_of_every_module_is_said_at_once(project: Project) -> None:
    project.module("test_a", 'x = load(Shopper, Stage("calm", users=2, duration="2"))\n')
    project.module(
        "test_b",
        RUSH
        + """
@pytest.mark.loadperf("nothing < 3", "calm.p95 < 1s", 7, limit=3)
def test_it(rush_hour): pass
""",
    )
    text = refused(project)
    for expected in (
        "ERROR: test_a.py:16: Stage('calm'): duration is '2'; expected a duration with its unit",
        "ERROR: test_b.py::test_it: the loadperf marker knows no limit=; it takes thresholds as texts",
        "ERROR: test_b.py::test_it: bad threshold: there is no metric 'nothing'",
        "ERROR: test_b.py::test_it: 'calm.p95 < 1s' names 'calm', but the test uses no load fixture of that name",
        "ERROR: test_b.py::test_it: 7 is no threshold; expected a text like 'p95 < 250ms'",
    ):
        assert expected in text
    assert "Traceback" not in text


def test_a_user_class_inside_a_function_is_refused(project: Project) -> None:
    project.module(
        "test_it",
        f"""
def make():
    class Local(Shopper): pass
    return Local

x = load(make(), {BRIEF})
""",
    )
    assert "the class make.<locals>.Local is not at module level" in refused(project)


def test_a_locustfile_with_a_syntax_error_is_shown_once(project: Project) -> None:
    (project.path / "locustfile.py").write_text("class Shopper(:\n")
    project.module("test_it", f'x = load("locustfile.py", {BRIEF})\ndef test_it(x): pass\ndef test_2(x): pass\n')
    text = refused(project)
    assert text.count("SyntaxError") == 1
    assert "class Shopper(:" in text


def test_a_service_that_can_not_be_meant_is_refused(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        'from pytest_loadperf import docker_service\nloadperf_service = docker_service(port=0, memory="lots")\n'
    )
    project.module("test_it", RUSH)
    text = refused(project)
    for expected in ("give either image=", "port is 0", "memory is 'lots'"):
        assert expected in text


def test_a_fallback_has_to_be_a_service(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "from pytest_loadperf import docker_service\n"
        'loadperf_service = docker_service(image="x", port=1, fallback="gunicorn")\n'
    )
    project.module("test_it", RUSH)
    assert "fallback is 'gunicorn'; expected process_service(…) or url_service(…)" in refused(project)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--loadperf-fail-on", "inconclusive,slow"],
            "'slow' is nothing to fail on; expected a list of regression, inconclusive, no_baseline, unsaved",
        ),
        (["--loadperf-backend", "podman"], "'podman' is no backend; expected auto, docker or process"),
        (["--loadperf-url", "localhost:80"], "'localhost:80'; expected an address such as 'http://127.0.0.1:8000'"),
        (["--loadperf-url", "http://"], "'http://'; expected an address such as 'http://127.0.0.1:8000'"),
        (["--loadperf-scale", "2"], "'2' is no scale; expected more than 0 and at most 1, such as 0.1"),
        (["--loadperf-workers", "0"], "'0' is no number of workers; expected a whole number from 1"),
        (["--loadperf-master", "there:http"], "'there:http' is no address; expected HOST:PORT, HOST or :PORT"),
        (
            ["--loadperf-master", "0.0.0.0"],
            "--loadperf-master needs --loadperf-expect-workers N: how many workers to wait for",
        ),
        (["--loadperf-pairs", "1"], "'1' is no number of pairs; expected a whole number from 2"),
        (
            ["--loadperf-against", "git:"],
            "'git:' is no build; expected an image such as 'app:1.4', or git:REF such as 'git:main'",
        ),
        (
            ["--loadperf-against", "git:main", "--loadperf-url", "http://127.0.0.1:8000"],
            "--loadperf-against git:main and --loadperf-url http://127.0.0.1:8000 exclude each other: of a service "
            "that runs already there is no other build to start",
        ),
        (
            ["--loadperf-against", "git:main", "--loadperf-calibrate", "4"],
            "--loadperf-calibrate and --loadperf-against git:main exclude each other: how much one build differs from "
            "itself is measured without another one beside it",
        ),
        (["--loadperf-scale", "half"], "'half' is no scale; expected more than 0 and at most 1, such as 0.1"),
    ],
)
def test_bad_option_values_are_refused(project: Project, arguments: list[str], said: str) -> None:
    project.module("test_it", RUSH)
    assert said in refused(project, *arguments)


def test_a_bad_ini_value_is_refused(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_backend = podman\n")
    project.module("test_it", RUSH)
    text = refused(project)
    assert "loadperf_backend in" in text
    assert "'podman' is no backend" in text


def test_what_is_measured_side_by_side_may_stand_in_the_ini_file(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_against = git:\nloadperf_pairs = 3\n")
    project.module("test_it", RUSH)
    assert "loadperf_against in" in refused(project)
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_against = app:1\nloadperf_pairs = 1\n")
    assert "loadperf_pairs in" in refused(project)


def test_a_history_that_can_not_be_written_is_refused_before_the_load(project: Project) -> None:
    (project.path / "taken").write_text("a file")
    project.module("test_it", RUSH + "def test_it(rush_hour): pass\n")
    text = refused(project, "--loadperf-history", "taken")
    assert "taken" in text
    assert "Traceback" not in text


def test_a_baseline_that_does_not_exist_is_refused_before_the_load(project: Project) -> None:
    project.module("test_it", RUSH + "def test_it(rush_hour): pass\n")
    project.run().assert_outcomes(passed=1)
    result = project.run("--loadperf-baseline", "v9")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the history has no branch, tag or run 'v9'; *"])


@pytest.mark.parametrize(
    ("option", "of_the_load", "elsewhere", "crew"),
    [
        (None, None, 0, None),
        (4, None, 0, 4),
        (4, 2, 0, 2),
        (4, 1, 0, None),
        (None, None, 2, (0, 2)),
        (None, 1, 2, (1, 2)),
        (3, None, 2, (3, 2)),
    ],
)
def test_a_loads_own_workers_win_and_those_from_elsewhere_come_besides(
    option: int | None, of_the_load: int | None, elsewhere: int, crew: int | tuple[int, int] | None, tmp_path: Path
) -> None:
    found = LoadperfConfig(tmp_path, workers=option, expect_workers=elsewhere).crew(of_the_load)
    wanted = (crew, 0) if isinstance(crew, int) else crew
    assert (found and (found.local, found.joined)) == wanted
