"""Two builds side by side in Docker."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from docker_engine import BASE_IMAGE, TRACE, remove_traces, the_engine
from projects import Project, python
from repositories import MARKED, SERVICE, change, git

from pytest_loadperf.service.engine import Engine

pytestmark = pytest.mark.docker

DOCKERFILE = f"""
FROM {BASE_IMAGE}
{TRACE}
COPY service.py /
CMD ["python", "/service.py", "8000"]
"""
CONFTEST = """
from pytest_loadperf import docker_service
loadperf_service = docker_service(build="app", port=8000)
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    for engine in the_engine():
        yield engine
        remove_traces(engine, "loadperf/app")


@pytest.fixture
def built(project: Project) -> Project:
    """A repository whose branch main builds a service that takes 20 ms, and whose folder one that takes 50."""
    (project.path / "app").mkdir()
    (project.path / "app" / "service.py").write_text(SERVICE.replace("127.0.0.1", "0.0.0.0"))
    (project.path / "app" / "Dockerfile").write_text(DOCKERFILE)
    (project.path / "conftest.py").write_text(CONFTEST)
    (project.path / "test_it.py").write_text(MARKED)
    git(project.path, "init", "-q", "-b", "main")
    git(project.path, "add", ".")
    git(project.path, "commit", "-q", "-m", "first")
    change(project.path, "0.02", "0.05")
    return project


def states(engine: Engine, pid: int) -> tuple[str, ...]:
    """How the containers of a run are, in the order in which they were started."""
    found = engine.client.api.containers(all=True, filters={"label": "pytest-loadperf=1"})
    of_run = [each for each in found if f"-{pid}-" in each["Names"][0]]
    return tuple(each["State"] for each in sorted(of_run, key=lambda each: int(each["Created"])))


def test_the_build_of_a_ref_is_measured_while_the_other_is_paused_and_the_slower_one_fails(
    built: Project, engine: Engine
) -> None:
    seen: list[tuple[str, ...]] = []
    output = built.path / "output.txt"
    command = python("-m", "pytest", "--loadperf", "--loadperf-against", "git:main", "--loadperf-pairs", "3")
    with (
        output.open("w") as file,
        subprocess.Popen(command, cwd=built.path, stdout=file, stderr=file) as process,
    ):
        while process.poll() is None:
            seen.append(states(engine, process.pid))
            time.sleep(0.2)
    text = output.read_text()
    assert "REGRESSED" in text, text
    assert "rush, git:main" in text
    candidates_turns, baselines_turns = seen.count(("running", "paused")), seen.count(("paused", "running"))
    assert candidates_turns > 3, seen
    assert baselines_turns > 3, seen
    assert seen.count(("running", "running")) < candidates_turns + baselines_turns, seen  # while the second one starts
    assert states(engine, process.pid) == ()
    assert git(built.path, "worktree", "list").count("\n") == 0
    (kept,) = (built.path / ".loadperf/runs").glob("*.json")
    assert '"events"' not in kept.read_text()  # what we did to the containers ourselves is none


def test_the_image_of_a_ref_takes_no_name_but_its_own_and_is_replaced_by_the_next(
    built: Project, engine: Engine
) -> None:
    (built.path / "test_it.py").write_text("def test_it(loadperf_service): pass\n")
    for before, after in (("0.05", "0.03"), ("0.03", "0.04")):
        change(built.path, before, after)
        built.run("--loadperf-against", "git:main").assert_outcomes(passed=1)
        assert len(engine.client.images.list("loadperf/app")) <= 2


def test_an_image_is_told_by_its_digest_and_one_that_is_the_candidates_own_is_told_even_when_quiet(
    built: Project, engine: Engine
) -> None:
    image, _ = engine.client.images.build(path=str(built.path / "app"), tag="loadperf/app:same", rm=True)
    assert image.id is not None
    name = f"loadperf/app:same ({image.id.removeprefix('sha256:')[:12]})"
    (built.path / "conftest.py").write_text(CONFTEST.replace('build="app"', 'image="loadperf/app:same"'))
    result = built.run("--loadperf-against", "loadperf/app:same", "--loadperf-pairs", "2", "-q")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            f"loadperf: {name} is the same image as the candidate's: there is no change to be seen",
            f"*side by side with {name}, 2 pairs*",
        ]
    )


def test_a_ref_that_does_not_build_is_an_error_with_the_builds_output(built: Project, engine: Engine) -> None:
    (built.path / "app" / "Dockerfile").write_text(f"{DOCKERFILE}RUN echo no such luck && false\n")
    git(built.path, "commit", "-q", "-a", "-m", "broken")
    (built.path / "app" / "Dockerfile").write_text(DOCKERFILE)
    result = built.run("--loadperf-against", "git:HEAD")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*the baseline git:HEAD (???????): building * failed in Step 5/6 : RUN echo *", "*no such luck"]
    )
    assert engine.client.containers.list(filters={"label": "pytest-loadperf=1", "status": "paused"}) == []


def test_where_the_fallback_runs_there_is_nothing_to_compare(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    fallback = 'fallback=process_service("python app/service.py {port}"))'
    text = CONFTEST.replace("8000)", f"8000, {fallback}").replace(
        "docker_service\n", "docker_service, process_service\n"
    )
    (built.path / "conftest.py").write_text(text)
    result = built.run("--loadperf-against", "git:main")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*--loadperf-against git:main: no Docker engine answers (*), and what runs instead of app has no other "
            "build to be measured beside. Start Docker, or run without --loadperf-against"
        ]
    )
