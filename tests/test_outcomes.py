"""Whatever goes wrong, a run says what it comes to: never nothing, and never success."""

from __future__ import annotations

import socket
import struct

import pytest
from outcome_case import Case, module_of, outcome
from outcomes import DOCUMENT, SERVICE, USER_CODE, document
from outcomes_machine import IP_LOCAL_PORT_RANGE, MACHINE, PORTS
from projects import Project


def _has_port_range() -> bool:
    with socket.socket() as one:
        try:
            one.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("HH", 60_980, 60_983))
        except OSError:
            return False
    return True


NEW_LINUX = pytest.mark.skipif(not _has_port_range(), reason="sockets have a range of ports in Linux since 6.3")


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(USER_CODE, id="user_code"),
        pytest.param(SERVICE, id="service"),
        pytest.param(MACHINE, id="machine"),
        pytest.param(PORTS, id="ports", marks=NEW_LINUX),
    ],
)
def test_what_goes_wrong_comes_to_what_the_table_says(project: Project, cases: tuple[Case, ...]) -> None:
    for case in cases:
        project.module(f"test_{case.name}", module_of(case))
    result = project.run("-rA", "--tb=short")
    text = result.stdout.str()
    assert {case.name: outcome(text, case) for case in cases} == {case.name: case.outcome for case in cases}
    assert [case.name for case in cases if not case.is_said_in(text)] == []
    assert "Traceback" not in result.stderr.str()
    assert "launch.py" not in text  # the words, not where this plugin said them


def test_a_users_code_that_raises_is_shown_as_it_printed_it(project: Project) -> None:
    case = next(case for case in USER_CODE if case.name == "listens")
    project.module("test_listens", module_of(case))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: test data could not be prepared*"])


def test_the_table_is_in_the_documentation() -> None:
    assert DOCUMENT.read_text() == document(), "run `python tests/outcomes.py`"
