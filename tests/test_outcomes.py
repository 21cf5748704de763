"""Whatever goes wrong, a run says what it comes to: never nothing, and never success."""

from __future__ import annotations

import re

import pytest
from outcomes import DOCUMENT, MACHINE, SERVICE, USER_CODE, Case, document
from projects import Project


def module_of(case: Case) -> str:
    return (
        f"{case.users}\n"
        f"{case.name} = load({case.user}, {case.stage}, abort=None, {case.more})\n"
        '@pytest.mark.loadperf("p50 < 10s", "failure_rate < 1%")\n'
        f"def test_it({case.name}): pass\n"
    )


def outcome(text: str, case: Case) -> str:
    """What the run says that became of a case's test."""
    (word,) = set(re.findall(rf"^(PASSED|FAILED|ERROR) test_{case.name}\.py::test_it", text, re.MULTILINE))
    if word == "ERROR":
        return "error"
    verdicts = re.findall(rf"^  (\S+) +{case.name} +(the load runs|failure_rate|p50)", text, re.MULTILINE)
    if word == "FAILED":
        return "failed" if ("BROKEN", "the load runs") in verdicts else "counted"
    return "inconclusive" if ("inconclusive", "p50") in verdicts else "nothing"


@pytest.mark.parametrize("cases", [USER_CODE, SERVICE, MACHINE], ids=["user_code", "service", "machine"])
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
