"""What could look green and must not: loads that were not what was asked for, thresholds that nobody judged."""

from __future__ import annotations

import re

import pytest
from projects import BRIEF, Project, python

RUSH = f"rush = load(Shopper, {BRIEF})\n"


def test_no_threshold_goes_unjudged(project: Project) -> None:
    project.module(
        "test_it",
        RUSH
        + f"""
@pytest.fixture
def alias(rush): return rush

@pytest.mark.loadperf("alias.p95 < 1ms")
def test_alias(alias): pass

@pytest.mark.loadperf("loadperf_service.p95 < 10s")
def test_no_load(rush, loadperf_service): pass

@pytest.mark.loadperf("p95 < 1ms")
def test_dynamic(request): request.getfixturevalue("rush")

@pytest.mark.loadperf("p95 < 1ms")
def test_failing(rush): pytest.fail("for another reason")

@pytest.mark.loadperf("first.p95 < 10s", "second.p95 < 1ms")
def test_calls(loadperf):
    loadperf(Shopper, {BRIEF}, name="first")
    loadperf(Shopper, {BRIEF}, name="second")

def test_same_name(loadperf):
    loadperf(Shopper, {BRIEF}, name="twice")
    loadperf(Shopper, {BRIEF}, name="twice")
""",
    )
    result = project.run("-rA")
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(
        [
            "*loadperf(): this test has run a load called 'twice' already; give another name=*",
            "FAILED test_it.py::test_alias - broken threshold alias.p95 < 1ms*",
            "FAILED test_it.py::test_no_load - broken threshold loadperf_service.p95 < 10s: no data",
            "FAILED test_it.py::test_dynamic - broken threshold p95 < 1ms*",
            "FAILED test_it.py::test_failing - *",
            "FAILED test_it.py::test_calls - broken threshold second.p95 < 1ms*",
        ]
    )
    assert "the test used no load called 'loadperf_service'" in result.stdout.str()
    assert re.search(r"for another reason\n(.*\n)*?.*broken threshold p95 < 1ms", result.stdout.str())


def test_a_load_that_only_a_call_of_getfixturevalue_asks_for_is_kept_and_told(project: Project) -> None:
    project.module("test_it", RUSH + "def test_dynamic(request): assert request.getfixturevalue('rush').requests\n")
    result = project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it.py::rush  (*", "saved *.json"])


def test_secrets_of_the_service_reach_no_file(project: Project) -> None:
    conftest = (project.path / "conftest.py").read_text()
    secret = "geheimnis-4711"
    (project.path / "conftest.py").write_text(conftest.replace("ready=", f'env={{"API_KEY": "{secret}"}}, ready='))
    project.module(
        "test_it",
        f"""
class Careless(Shopper):
    @task
    def leak(self):
        self.client.get("/anything/{secret}")
        print("asked for {secret}")
        raise ValueError("key {secret} is wrong")

careless = load(Careless, {BRIEF})
def test_it(careless): assert careless["/anything/***"].requests > 0
""",
    )
    result = project.run("--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    assert "asked for ***" in result.stdout.str()
    assert secret not in result.stdout.str() + result.stderr.str()
    for file in (project.path / "junit.xml", *(project.path / ".loadperf").rglob("*")):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_two_conftests_are_not_mistaken_for_each_other(project: Project) -> None:
    for folder in ("a", "b"):
        (project.path / folder).mkdir()
        (project.path / folder / "conftest.py").write_text(
            "import pytest\nfrom locust import FastHttpUser, constant, events, task\n"
            "from pytest_loadperf import Stage\n"
            "@events.test_start.add_listener\ndef begin(**_):\n"
            f"    with open({str(project.path / 'began.txt')!r}, 'a') as file: file.write('{folder}')\n"
            "class Shopper(FastHttpUser):\n    wait_time = constant(0.05)\n"
            f"    @task\n    def ask(self): self.client.get('/anything', name='from {folder}')\n"
            "@pytest.fixture\ndef result(loadperf):\n"
            f"    return loadperf(Shopper, {BRIEF})\n"
        )
        (project.path / folder / f"test_{folder}.py").write_text(
            f"def test_it(result): assert list(result.endpoints) == ['GET from {folder}']\n"
        )
    project.run().assert_outcomes(passed=2)
    assert (project.path / "began.txt").read_text() == "ab"


def test_a_module_is_imported_once_however_pytest_imports_it(project: Project, pytester: pytest.Pytester) -> None:
    package = project.path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "paths.py").write_text("PATH = '/anything'\n")
    project.module(
        "test_it",
        f"""
from .paths import PATH
print("imported by", __name__)
class Other(Shopper): pass
both = load([Shopper, Other], {BRIEF})
def test_it(both, capsys): assert both.requests
""",
    )
    (project.path / "test_it.py").rename(package / "test_it.py")
    # the script, which unlike `python -m pytest` puts no current folder on the path
    script = "import sys; sys.path.remove(''); import pytest; sys.exit(pytest.main())"
    arguments = ["--loadperf", "--import-mode=importlib", "-p", "no:cacheprovider", "-rP"]
    result = pytester.run(*python("-c", script, *arguments))
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("imported by pkg.test_it") == 1  # the generator's; pytest's own is at collection


def test_a_load_fixture_in_a_class_is_refused_in_words(project: Project) -> None:
    project.module("test_it", f"class TestIt:\n    rush = load(Shopper, {BRIEF})\n    def test_it(self, rush): pass\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: test_it.py:*: load() stands in the body of a class; a load fixture belongs*"])


def test_a_service_fixture_of_the_users_own_may_give_an_address(project: Project, server: str) -> None:
    (project.path / "conftest.py").write_text(
        "import pytest\n"
        f"@pytest.fixture(scope='session')\ndef loadperf_service(): return {server!r}\n"
        "@pytest.fixture(scope='session')\ndef wrong(): return 7\n"
    )
    project.module(
        "test_it",
        RUSH + f"odd = load(Shopper, {BRIEF}, service='wrong')\ndef test_a(rush): pass\ndef test_b(odd): pass\n",
    )
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the service fixture gave 7; expected docker_service(*"])
