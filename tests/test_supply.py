"""What the project is developed and released with: each file known by its hash, each workflow with the least rights."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = PROJECT["project"]["name"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github" / "workflows").iterdir()}
README = (ROOT / "README.md").read_text()
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "runs-on:" in block]


class Locked(NamedTuple):
    """One entry of a lock: a version, where its marker holds, and the files that may be installed for it."""

    requirement: Requirement
    hashes: list[str]


def locked(path: Path) -> list[Locked]:
    """The entries; a line that is no requirement, as one that names an index, is refused."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    parts = (re.split(r"\s+--hash=", line.strip()) for line in lines if not line.lstrip().startswith("#"))
    return [Locked(Requirement(requirement), hashes) for requirement, *hashes in parts]


def asked(requirements: list[str]) -> Iterator[Requirement]:
    """These, and in the place of `pytest-loadperf[test]` what that extra asks for."""
    for requirement in map(Requirement, requirements):
        if requirement.name != OURS:
            yield requirement
        for extra in requirement.extras if requirement.name == OURS else ():
            yield from asked(PROJECT["project"]["optional-dependencies"][extra])


ASKED = {
    "dev.lock": [*PROJECT["project"]["dependencies"], f"{OURS}[dev,browser]"],
    "release.lock": PROJECT["dependency-groups"]["release"],
}


def test_there_is_a_lock_for_development_and_one_for_releases() -> None:
    assert {path.name for path in LOCKS} == set(ASKED)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_all_that_is_asked_for_in_versions_that_are_accepted(path: Path) -> None:
    versions: dict[str, list[str]] = {}
    for entry in locked(path):
        (pin,) = entry.requirement.specifier
        assert pin.operator == "=="
        versions.setdefault(canonicalize_name(entry.requirement.name), []).append(pin.version)
    for requirement in asked(ASKED[path.name]):
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement} is not in {path.name}; its first lines say how it is made"
        assert list(requirement.specifier.filter(found, prereleases=True)) == found, f"{requirement}: {found}"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_file_that_a_lock_installs_is_known_by_its_hash(path: Path) -> None:
    for entry in locked(path):
        assert entry.hashes, entry.requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in entry.hashes), entry.requirement


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_says_how_it_is_made_and_names_no_place_of_the_machine_that_made_it(path: Path) -> None:
    text = path.read_text()
    assert re.match(rf"#.*\n#    uv pip compile .*--generate-hashes .*-o requirements/{path.name}\b", text)
    assert re.findall(r"--(?:index|extra-index|find-links)|://|/(?:home|root|opt|tmp|usr)/", text) == []


def test_ci_and_releases_install_from_the_locks() -> None:
    for script, lock in (("run", "dev"), ("release", "release")):
        assert f"install -q --require-hashes -r requirements/{lock}.lock\n" in (ROOT / ".ci" / script).read_text()


def jobs(workflow: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(workflow)["jobs"]
    return parsed


def granted(workflow: str) -> set[tuple[str, str]]:
    """What the jobs of a workflow may write: pairs of a job and what it may write to."""
    everywhere = yaml.safe_load(workflow)["permissions"]
    rights = {name: job.get("permissions", everywhere) for name, job in jobs(workflow).items()}
    for stated in (everywhere, *rights.values()):
        assert isinstance(stated, dict), f"{stated} grants more than it names"
    return {(name, scope) for name, stated in rights.items() for scope, right in stated.items() if right == "write"}


def test_the_workflows_that_only_test_may_write_nothing() -> None:
    assert len(EXAMPLES) == 1
    for workflow in (WORKFLOWS["ci.yml"], *EXAMPLES):
        assert granted(workflow) == set()
        assert set(yaml.safe_load(workflow)["permissions"]) == {"contents"}


def test_a_release_may_write_only_where_it_publishes() -> None:
    assert set(WORKFLOWS) == {"ci.yml", "release.yml"}
    assert yaml.safe_load(WORKFLOWS["release.yml"])["permissions"] == {}
    assert granted(WORKFLOWS["release.yml"]) == {("publish", "id-token"), ("release", "contents")}


def test_a_job_that_may_write_runs_nothing_of_the_repository() -> None:
    steps = jobs(WORKFLOWS["release.yml"])
    for name, _ in granted(WORKFLOWS["release.yml"]):
        assert "checkout" not in str(steps[name]), name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_of_a_workflow_is_one_commit_and_says_its_version(name: str) -> None:
    used = re.findall(r"uses: *(.*)", WORKFLOWS[name])
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


@pytest.mark.parametrize("workflow", [*WORKFLOWS.values(), *EXAMPLES], ids=[*WORKFLOWS, "README.md"])
def test_no_checkout_leaves_its_token_behind_for_the_code_that_runs_next(workflow: str) -> None:
    steps = [step for job in jobs(workflow).values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
