"""What is shipped, what it asks for, and who may import what."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from docker_engine import require_compose, require_engine

import pytest_loadperf

ROOT = Path(__file__).parents[1]
PACKAGE = Path(pytest_loadperf.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

LEAN = {f"generator/{path.name}" for path in (PACKAGE / "generator").glob("lean*.py")}

# The modules that only the generator's process loads, and the user classes that pytest may import, unpatched.
CHILD = LEAN | {
    "generator/arrivals.py",
    "generator/child.py",
    "generator/connections.py",
    "generator/control_user.py",
    "generator/gathering.py",
    "generator/load.py",
    "generator/locust_page.py",
    "generator/master.py",
    "generator/meter.py",
    "generator/patience.py",
    "generator/prepare.py",
    "generator/quota.py",
    "generator/running.py",
    "generator/stages.py",
    "generator/starting.py",
    "generator/strangers.py",
    "generator/unanswered.py",
    "generator/users.py",
    "generator/wire.py",
    "generator/worker.py",
    "generator/workers.py",
}

# One owner for each third-party package; an entry that ends in a slash is a whole room.
OWNERS = {
    "docker": {"service/"},
    "requests": {"service/", *LEAN},
    "brotli": {"generator/lean_response.py"},
    "charset_normalizer": {"generator/lean_response.py"},
    "locust": CHILD,
    "gevent": CHILD,
    "geventhttpclient": CHILD,
    "zmq": {"generator/connections.py", "generator/patience.py", "generator/strangers.py"},
    "fsspec": {"history/files.py"},
    "pandas": {"history/frame.py"},
    "jinja2": {"report/html.py"},
    "markupsafe": {"report/html.py"},
    "scipy": {"judge/statistics.py"},
    "tqdm": {"report/progress.py"},
    "psutil": {"owner.py", "service/", "history/environment.py", "generator/"},
    "pytest": {
        *("plugin.py", "fixtures.py", "options.py", "settings.py", "session.py", "loading.py", "judging.py"),
        *("called.py", "scheduling.py", "distribution.py", "interrupts.py", "report/progress.py"),
    },
    "xdist": {"scheduling.py"},  # present or not
}
STANDARD_LIBRARY_ONLY = ("plan.py", "schedule.py", "model.py", "errors.py", "codec.py", "quantity.py", "measure/")
HEAVY = ["locust", "gevent", "pandas", "numpy", "scipy", "docker", "requests", "jinja2", "fsspec", "tqdm", "psutil"]


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return declared


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if not (ROOT / "pytest_loadperf").is_dir():
        pytest.skip("there is no checkout to build a wheel from")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_package_and_the_templates_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {f"pytest_loadperf/{path.relative_to(PACKAGE)}" for path in MODULES}
    templates = {f"pytest_loadperf/{path.relative_to(ROOT)}" for path in (ROOT / "templates").rglob("*.*")}
    assert shipped == {*modules, *templates, "pytest_loadperf/py.typed"}


def test_the_wheel_brings_its_entry_points_and_its_licence(wheel: zipfile.ZipFile, project: dict[str, Any]) -> None:
    info = f"pytest_loadperf-{project['version']}.dist-info"
    points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[pytest11]\nloadperf = pytest_loadperf.plugin\n" in points
    assert "[console_scripts]\npytest-loadperf = pytest_loadperf.cli:command\n" in points
    assert "MIT License" in wheel.read(f"{info}/licenses/LICENSE").decode()


def bounds(requirements: list[str]) -> dict[str, str]:
    """The lower bound of each requirement that has one."""
    found = (re.match(r"([\w-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match}


def test_the_environment_of_lower_bounds_installs_exactly_these(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    groups = (extras[name] for name in ("xdist", "example", "examples", "test"))
    declared = bounds([*project["dependencies"], *chain(*groups)])
    pins = re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / "tox-lowest.txt").read_text(), re.MULTILINE)
    assert dict(pins) == declared


def test_every_dependency_has_a_lower_bound(project: dict[str, Any]) -> None:
    assert len(bounds(project["dependencies"])) == len(project["dependencies"])


def test_the_examples_run_on_the_same_versions_in_docker_and_without(project: dict[str, Any]) -> None:
    folders = (ROOT / "example_service").glob("*/requirements.txt")
    listed = {path.parent.name: path.read_text().split() for path in folders}
    extras = project["optional-dependencies"]
    assert listed["sentiment"] == extras["example"]
    assert {"pytest-loadperf[example]", *chain(*listed.values())} == {*extras["example"], *extras["examples"]}


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports when it runs; what only a type checker reads does not count."""
    for node in running(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below this one, without the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from running(child)


def stands_in(module: str, places: set[str] | tuple[str, ...]) -> bool:
    return any(module == place or (place.endswith("/") and module.startswith(place)) for place in places)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_owns(path: Path) -> None:
    module = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "pytest_loadperf":
            continue
        assert not stands_in(module, STANDARD_LIBRARY_ONLY), f"{module} imports {name}: standard library only there"
        assert top in OWNERS, f"{module} imports {name}, which pyproject.toml does not bring"
        assert stands_in(module, OWNERS[top]), f"{module} imports {name}, which belongs to {sorted(OWNERS[top])}"
        assert top != "scipy" or name.startswith("scipy.special"), (
            f"{module} imports {name}; only scipy.special is quick"
        )


def test_every_dependency_has_an_owner(project: dict[str, Any]) -> None:
    declared = {re.split(r"\W", requirement)[0] for requirement in project["dependencies"]}
    brought_by_these = {"brotli", "charset_normalizer", "gevent", "geventhttpclient", "markupsafe", "zmq"}
    assert set(OWNERS) == declared | brought_by_these | {"xdist"}


def test_the_nouns_import_nothing_of_the_rooms() -> None:
    for name in imports(PACKAGE / "errors.py"):
        assert not name.startswith("pytest_loadperf.")
    for name in (*imports(PACKAGE / "plan.py"), *imports(PACKAGE / "model.py")):
        assert not re.match(r"pytest_loadperf\.(service|generator|judge|history|report)\b", name), name


def test_the_plugin_loads_nothing_heavy() -> None:
    code = "import sys, pytest_loadperf.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))


def test_the_startup_benchmark_prints_what_it_measured(tmp_path: Path) -> None:
    figures = tmp_path / "startup.json"
    command = [sys.executable, "-m", "benchmarks.startup", "--quick", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r"median difference +-?\d+\.\d ms +\(target: at most 5 ms\)", done.stdout)
    assert '"pairs": 5' in figures.read_text()


README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()


@pytest.fixture(scope="session")
def help_text() -> str:
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_readme_lists_the_options_that_there_are(help_text: str) -> None:
    there = set(re.findall(r"^  (--loadperf[\w-]*)", help_text, re.MULTILINE))
    assert set(re.findall(r"^\| `(--loadperf[\w-]*)", README, re.MULTILINE)) == there


def test_the_readme_marks_the_options_with_an_ini_twin(help_text: str) -> None:
    there = set(re.findall(r"^  loadperf_(\w+)", help_text, re.MULTILINE))
    marked = re.findall(r"^\| `--loadperf-([\w-]+).*\| yes \|", README, re.MULTILINE)
    assert {name.replace("-", "_") for name in marked} == there


@pytest.mark.parametrize(
    "factory", ["load", "docker_service", "compose_service", "process_service", "url_service", "Stage"]
)
def test_the_readme_names_every_argument_of_the_public_factories(factory: str) -> None:
    taken = inspect.signature(getattr(pytest_loadperf, factory)).parameters.values()
    given = [argument.name for argument in taken if argument.kind is not inspect.Parameter.VAR_KEYWORD]
    rows = " ".join(re.findall(rf"^\| `{factory}\(.*", README, re.MULTILINE))
    assert [name for name in given if not re.search(rf"\b{name}\b", rows)] == []


def test_the_help_says_what_a_required_baseline_fails(help_text: str) -> None:
    assert "fail tests whose load has no five comparable runs" in " ".join(help_text.split())


def test_ci_runs_the_commands_that_the_readme_gives_for_the_example_and_for_the_tests() -> None:
    commands = re.findall(r"^python3 -m venv .*", README, re.MULTILINE)
    steps = [line.partition(" || ")[0] for line in CI.splitlines()]
    assert len(commands) == 2
    assert [step for step in steps if step in commands] == commands


def test_the_examples_readme_shows_their_tests_as_they_are() -> None:
    readme = (ROOT / "example_service" / "README.md").read_text()
    shown = re.findall(r"^### (\w+): [^\n]*\n\n```python\n(.*?)```", readme, re.MULTILINE | re.DOTALL)
    assert {folder for folder, _ in shown} == {place.parent.name for place in ROOT.glob("example_service/*/Dockerfile")}
    for folder, code in shown:
        tests = "\n".join(file.read_text() for file in (ROOT / "example_service" / folder).glob("test_*_perf.py"))
        for part in code.removesuffix(" ...\n").split("\n\n\n"):
            assert part.strip() in tests, f"{folder}: {part}"


def test_ci_runs_something_on_the_oldest_dependencies() -> None:
    assert re.search(r"^check \.venv/bin/tox -q -e lowest -- tests/.*\bbelief\b.*\.py$", CI, re.MULTILINE)


def test_where_docker_is_required_no_test_is_skipped_for_want_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    for require, missing in (
        (require_engine, "no Docker engine answers"),
        (require_compose, "there is neither `docker "),
    ):
        monkeypatch.setenv("LOADPERF_REQUIRE_DOCKER", "1")
        with pytest.raises(pytest.fail.Exception, match=f"^LOADPERF_REQUIRE_DOCKER=1, but {missing}"):
            require()
        monkeypatch.delenv("LOADPERF_REQUIRE_DOCKER")
        with pytest.raises(pytest.skip.Exception, match=f"^{missing}"):
            require()
