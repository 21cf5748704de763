"""Whatever befalls a service in Docker while it is loaded, a run says what it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from docker_engine import the_engine
from outcome_case import module_of, outcome
from outcomes_docker import IN_DOCKER
from projects import Project

from pytest_loadperf.service.engine import Engine

pytestmark = pytest.mark.docker


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield from the_engine()


def test_what_befalls_a_container_comes_to_what_the_table_says(project: Project, engine: Engine) -> None:
    for case in IN_DOCKER:
        project.module(f"test_{case.name}", module_of(case))
    text = project.run("-rA", "--tb=short").stdout.str()
    assert {case.name: outcome(text, case) for case in IN_DOCKER} == {case.name: case.outcome for case in IN_DOCKER}
    assert [case.name for case in IN_DOCKER if not case.is_said_in(text)] == []
    (percent,) = re.findall(r"::throttled  .*, cpus 0\.2\)\n.*\n  rush .* ([\d.]+)%  \S+ MiB\n", text)
    assert 15 < float(percent) < 30
