"""Which service is started beside the candidate, and the worktree that it comes from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from repositories import git

from pytest_loadperf.errors import ServiceError, UsageFault
from pytest_loadperf.folders import sweep_folders
from pytest_loadperf.service.against import Against
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, ProcessSpec, Spec, UrlSpec
from pytest_loadperf.service.variant import variant
from pytest_loadperf.service.worktree import checked_out, unlist

GIT_MAIN = Against(ref="main")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository whose branch main has another text than its folder."""
    top = tmp_path / "shop"
    (top / "app").mkdir(parents=True)
    (top / "app" / "text").write_text("before")
    (top / ".gitignore").write_text("/env\n")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    (top / "app" / "text").write_text("after")
    return top


@contextmanager
def beside(spec: Spec, against: Against = GIT_MAIN) -> Iterator[tuple[Spec, str]]:
    with variant(spec, against) as found:
        yield found


def process(command: str | list[str], cwd: Path, **fields: object) -> ProcessSpec:
    return ProcessSpec(command=command, cwd=cwd, **fields)  # type: ignore[arg-type]


def test_a_process_runs_in_the_same_folder_of_the_worktree_with_all_paths_led_there(top: Path) -> None:
    command = [sys.executable, f"{top}/app/run.py", f"--conf={top}/conf", f"cd '{top}'; ls {top}/a:{top}2", "{port}"]
    env = {"ROOTS": f"{top}/app:{top}", "OTHER": "x"}
    with beside(process(command, top / "app", env=env, port=8000)) as (spec, name):
        assert isinstance(spec, ProcessSpec)
        tree = spec.cwd.parent
        assert tree.name == "shop"
        assert spec.command == [
            sys.executable,
            f"{tree}/app/run.py",
            f"--conf={tree}/conf",
            f"cd '{tree}'; ls {tree}/a:{top}2",
            "{port}",
        ]
        assert spec.env == {"ROOTS": f"{tree}/app:{tree}", "OTHER": "x"}
        assert spec.port is None  # the other one has it
        assert (spec.cwd / "text").read_text() == "before"
        assert name == f"git:main ({git(top, 'rev-parse', 'HEAD')[:7]})"
    assert not tree.exists()


def test_what_no_commit_has_stays_where_it_is(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(top / "venv"))
    command = f"{top}/env/bin/tool {top}/venv/bin/python {top}/app/new.py"
    with beside(process(command, top)) as (spec, _):
        assert isinstance(spec, ProcessSpec)
        assert spec.command == f"{top}/env/bin/tool {top}/venv/bin/python {spec.cwd}/app/new.py"


def test_a_python_that_the_repository_stands_below_keeps_nothing_of_it(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prefix in (top, top.parent):
        monkeypatch.setattr(sys, "prefix", str(prefix))
        with beside(process(f"python {top}/app/run.py", top)) as (spec, _):
            assert isinstance(spec, ProcessSpec)
            assert spec.command == f"python {spec.cwd}/app/run.py"


def test_what_only_ends_like_the_repositorys_path_is_left_alone(top: Path) -> None:
    words = [f"postgres://u:p@db:5432{top}", f"/srv{top}/run.py", f"http://cdn{top}/x"]
    with beside(process(words, top)) as (spec, _):
        assert isinstance(spec, ProcessSpec)
        assert spec.command == words


def test_modules_that_the_environment_of_pytest_names_are_the_worktrees(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{top}/app{os.pathsep}/elsewhere")
    with beside(process("serve", top)) as (spec, _):
        assert isinstance(spec, ProcessSpec)
        assert spec.env == {"PYTHONPATH": f"{spec.cwd}/app{os.pathsep}/elsewhere"}


def test_an_image_is_built_from_the_same_folder_of_the_worktree(top: Path) -> None:
    asked = DockerSpec(build=top / "app", dockerfile="docker/File", target="run", build_args={"A": "b"}, port=80)
    with beside(asked) as (spec, _):
        assert isinstance(spec, DockerSpec)
        assert spec.build is not None
        assert (spec.build / "text").read_text() == "before"
        assert (spec.dockerfile, spec.target, spec.build_args, spec.name) == ("docker/File", "run", {"A": "b"}, "app")
        assert spec.beside == top / "app"


def test_another_image_takes_the_place_of_an_image_or_a_build(top: Path) -> None:
    built = DockerSpec(build=top / "app", target="run", build_args={"A": "b"}, port=80, env={"C": "d"})
    for asked in (built, DockerSpec(image="app:2", port=80, env={"C": "d"})):
        with beside(asked, Against(image="app:1")) as (spec, name):
            assert spec == DockerSpec(image="app:1", port=80, env={"C": "d"})
            assert name == "app:1"


@pytest.mark.parametrize(
    ("spec", "against", "why"),
    [
        (
            DockerSpec(image="app:2", port=80),
            GIT_MAIN,
            "--loadperf-against git:main: docker_service(image='app:2') is not built from the repository's code. Give "
            "docker_service(build=…), or another image: --loadperf-against IMAGE",
        ),
        (
            ProcessSpec(command="serve", cwd=Path("/")),
            Against(image="app:1"),
            "--loadperf-against app:1: process_service('serve') runs no image. Give --loadperf-against git:REF, or "
            "docker_service(build=…)",
        ),
        (
            ComposeSpec(file=Path("/c.yml"), service="web", port=80),
            GIT_MAIN,
            "--loadperf-against git:main: web of c.yml is not started from an image or a folder that the plugin could "
            "put another one in place of. Only docker_service(…) and process_service(…) can be; run its tests without "
            "--loadperf-against",
        ),
        (
            UrlSpec("http://127.0.0.1:1"),
            Against(image="app:1"),
            "--loadperf-against app:1: http://127.0.0.1:1 is not started from an image or a folder that the plugin "
            "could put another one in place of. Only docker_service(…) and process_service(…) can be; run its tests "
            "without --loadperf-against",
        ),
    ],
    ids=["image", "process", "compose", "url"],
)
def test_what_has_no_other_build_is_refused(spec: Spec, against: Against, why: str) -> None:
    with pytest.raises(UsageFault) as raised, beside(spec, against):
        pytest.fail("it was not")
    assert str(raised.value) == why


def test_a_checkout_leaves_the_repository_as_it_was(top: Path) -> None:
    (top / ".git/hooks/post-checkout").write_text("#!/bin/sh\ntouch ../../hooked\nexit 1\n")
    (top / ".git/hooks/post-checkout").chmod(0o755)
    before = (git(top, "status", "--porcelain"), git(top, "branch", "-a"), git(top, "worktree", "list"))
    with checked_out(top / "app", "main") as tree:
        assert not (tree.path.parent.parent / "hooked").exists()
        with checked_out(top, "main~0") as other:  # another worker of the same run
            assert other.path != tree.path
        assert tree.path.exists()
    assert (git(top, "status", "--porcelain"), git(top, "branch", "-a"), git(top, "worktree", "list")) == before


def test_a_worktree_of_the_users_own_whose_disk_is_away_stays_known(top: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    git(top, "worktree", "add", "--detach", str(theirs))
    theirs.rename(tmp_path / "away")
    with checked_out(top, "main"):
        pass
    (tmp_path / "away").rename(theirs)
    assert git(theirs, "rev-parse", "HEAD") == git(top, "rev-parse", "HEAD")


def test_a_run_inside_of_a_git_hook_is_not_led_astray(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    with checked_out(top, "main") as tree:
        assert (tree.path / "app/text").read_text() == "before"


def test_without_git_that_is_said(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        pytest.raises(
            ServiceError,
            match=r"the git repository of .* failed: git can't be run: No such file or directory. Install it, or give",
        ),
        checked_out(top, "main"),
    ):
        pytest.fail("it was there")


def test_what_a_killed_run_left_is_removed_by_the_next(top: Path) -> None:
    code = (
        "import signal, sys; from pathlib import Path; from pytest_loadperf.service.worktree import checked_out\n"
        "with checked_out(Path(sys.argv[1]), 'main') as tree:\n"
        "    print(tree.path, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(top)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        left = Path(run.stdout.readline().strip())
        said: list[str] = []
        sweep_folders(said.append, unlist)
        assert left.exists()  # its owner lives
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert left.exists()
    sweep_folders(said.append, unlist)
    assert not left.parent.exists()
    assert f"loadperf: removed {left.parent} left behind by a run that was killed (pid {run.pid})" in said
    assert git(top, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("text", ["", "git:", "git:-x", "a b", "-x", " app"])
def test_what_names_no_build_is_refused(text: str) -> None:
    with pytest.raises(UsageFault, match=r" is no build; expected an image such as 'app:1.4', or git:REF such as"):
        Against.parse(text)


def test_a_build_is_a_git_ref_or_an_image() -> None:
    assert Against.parse("git:origin/main") == Against(ref="origin/main")
    assert Against.parse("registry.example.org:5000/app:1.4") == Against(image="registry.example.org:5000/app:1.4")
    assert [str(Against.parse(text)) for text in ("git:v1", "app:1")] == ["git:v1", "app:1"]
