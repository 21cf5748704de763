"""What the project is developed with: each file known by its hash."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = PROJECT["project"]["name"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


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
}


def test_there_is_a_lock_for_development() -> None:
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


def test_ci_installs_from_the_lock() -> None:
    assert "install -q --require-hashes -r requirements/dev.lock\n" in (ROOT / ".ci" / "run").read_text()
