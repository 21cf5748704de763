from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_loadperf.history.environment import ci_url, commit, cpu_quota, load_fingerprint, machine, versions
from pytest_loadperf.plan import Crew, Stage
from pytest_loadperf.records import ServiceRecord

CI = [
    "BRANCH_NAME",
    "BUILD_URL",
    "CI_COMMIT_BRANCH",
    "CI_DEFAULT_BRANCH",
    "CI_JOB_URL",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "GITHUB_EVENT_PATH",
    "GITHUB_HEAD_REF",
    "GITHUB_REF_NAME",
    "GITHUB_REF_TYPE",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_SERVER_URL",
    "ImageOS",
    "LOADPERF_RUNNER",
    "RUNNER_ENVIRONMENT",
]


@pytest.fixture(autouse=True)
def _outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "code.py").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Make it faster\n\nMuch.")
    return folder


# The machine


def test_a_machine_is_known_by_what_decides_its_speed() -> None:
    facts = machine()
    assert list(facts) == ["cpu", "cores", "cpu quota", "memory", "architecture", "system", "kernel"]
    assert facts["cpu"] != "unknown"
    assert int(facts["cores"]) >= 1
    assert facts["memory"].endswith(" GiB")
    assert facts["kernel"].isdigit()
    assert platform.node() not in facts.values()
    assert machine() == facts


@pytest.mark.parametrize(
    ("given", "runner"),
    [
        ({"RUNNER_ENVIRONMENT": "github-hosted", "ImageOS": "ubuntu24"}, "github-hosted ubuntu24"),
        ({"RUNNER_ENVIRONMENT": "self-hosted"}, "self-hosted"),
        ({"RUNNER_ENVIRONMENT": "self-hosted", "LOADPERF_RUNNER": "big metal"}, "big metal"),
    ],
)
def test_a_machine_of_a_ci_service_carries_its_label(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], runner: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert machine()["runner"] == runner


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


@pytest.mark.parametrize(
    ("own", "groups", "quota"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, "1.5"),
        ("0::/", {"cpu.max": "max 100000"}, "none"),
        ("0::/", {}, "none"),
        ("0::/ci/job", {"ci/cpu.max": "200000 100000", "ci/job/cpu.max": "max 100000"}, "2"),
        ("0::/ci/job", {"ci/cpu.max": "100000 100000", "ci/job/cpu.max": "300000 100000"}, "1"),
        (
            "4:memory:/m\n3:cpu,cpuacct:/docker/1\n0::/",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            "0.5",
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "none"),
        ("1:cpuset:/", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": "1"}, "none"),
    ],
)
def test_the_cpu_quota_is_the_smallest_of_the_control_groups(
    tmp_path: Path, own: str, groups: dict[str, str], quota: str
) -> None:
    files(tmp_path, {"own": own})
    assert cpu_quota(tmp_path / "own", files(tmp_path / "groups", groups)) == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "own", tmp_path) == "none"


# The versions


def test_versions_are_read_without_importing_locust() -> None:
    program = (
        "import json, sys; from pytest_loadperf.history.environment import versions; found = versions(); "
        "assert 'locust' not in sys.modules; print(json.dumps(found))"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == versions()
    assert list(versions()) == ["python", "pytest", "locust", "pytest-loadperf"]
    assert versions()["pytest"] == pytest.__version__


# What may be compared


SERVICE = ServiceRecord("docker", "app:3", limits={"memory": "512m", "cpus": "1"}, backend="docker 27")
STAGES = (
    Stage("warm-up", users=10, duration="5s", measured=False),
    Stage("rush", users=100, spawn_rate=20, duration="1m30s"),
    Stage("all", users=200, requests=10_000),
)


def test_a_fingerprint_holds_the_machine_the_tools_the_stages_and_the_service() -> None:
    tools = {"locust": "2.47.1", "pytest-loadperf": "0.1.0", "python": "3.12.4"}
    assert load_fingerprint({"cpu": "EPYC"}, tools, STAGES, None, SERVICE, ["Shopper", "Admin"]) == {
        "cpu": "EPYC",
        "locust": "2.47",
        "pytest-loadperf": "0.1",
        "users": "Shopper, Admin",
        "stages": "warm-up: 10 users for 5 s, not measured; rush: 100 users at 20/s for 90 s; "
        "all: 200 users for 10000 requests, 600 s at most",
        "service": "docker 27",
        "workers": "none",
        "limits": "cpus 1, memory 512m",
    }


@pytest.mark.parametrize(("crew", "told"), [(Crew(4), "4 here"), (Crew(2, 6), "2 here, 6 from elsewhere")])
def test_a_fingerprint_tells_how_many_workers_there_were(crew: Crew, told: str) -> None:
    assert load_fingerprint({}, {}, STAGES, None, SERVICE, [], crew)["workers"] == told


def test_a_fingerprint_names_what_is_not_known_and_a_shape_instead_of_stages() -> None:
    fingerprint = load_fingerprint({}, {}, (), "DoubleWave", ServiceRecord("url", "http://there"), ["Shopper"])
    assert fingerprint["stages"] == "DoubleWave"
    assert (fingerprint["service"], fingerprint["limits"], fingerprint["locust"]) == ("url there", "none", "unknown")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://***@Shop.test:8443/base", "url shop.test"),
        ("http://192.0.2.7:8000", "url 192.0.2.7"),
        ("http://[fd12::7]:8000", "url fd12::7"),
        ("http://127.0.0.1:41233", "url localhost"),
        ("http://[::1]:8000", "url localhost"),
        ("http://localhost", "url localhost"),
        ("http://shop.localhost:80", "url localhost"),
        ("the users' own hosts", "url"),
    ],
)
def test_a_fingerprint_holds_the_host_of_a_service_that_runs_already(address: str, told: str) -> None:
    service = ServiceRecord("url", address, backend="url")
    assert load_fingerprint({}, {}, STAGES, None, service, [])["service"] == told


def test_stages_that_ask_the_same_in_other_words_may_be_compared() -> None:
    def of(duration: str) -> dict[str, str]:
        return load_fingerprint({}, {}, (Stage("rush", users=5, duration=duration),), None, SERVICE, [])

    assert of("90s") == of("1m30s") != of("91s")


# The commit


def test_a_commit_is_known_by_its_sha_branch_and_subject(repository: Path) -> None:
    found = commit(repository)
    assert found is not None
    assert found.sha == git(repository, "rev-parse", "HEAD")
    assert (found.branch, found.default_branch, found.tag) == ("main", "main", None)
    assert (found.dirty, found.subject) == (False, "Make it faster")


def test_a_secret_in_a_subject_is_not_kept(repository: Path) -> None:
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "Fetch https://me:secret@there/x")
    assert commit(repository).subject == "Fetch https://***@there/x"  # type: ignore[union-attr]


def test_the_highest_tag_of_a_commit_counts(repository: Path) -> None:
    for tag in ("v1.9", "v1.10"):
        git(repository, "tag", tag)
    assert commit(repository).tag == "v1.10"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "branch"),
    [
        ({}, None),
        ({"GITHUB_HEAD_REF": "feature/x", "GITHUB_REF_NAME": "12/merge", "GITHUB_REF_TYPE": "branch"}, "feature/x"),
        ({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch"}, "main"),
        ({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "v1.0", "GITHUB_REF_TYPE": "tag"}, None),
        ({"CI_COMMIT_BRANCH": "main"}, "main"),
        ({"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/y"}, "feature/y"),
        ({"BRANCH_NAME": "release"}, "release"),
    ],
)
def test_a_bare_commit_gets_its_branch_from_ci(
    repository: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], branch: str | None
) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert commit(repository).branch == branch  # type: ignore[union-attr]


def test_a_branch_that_is_checked_out_wins_over_ci(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANCH_NAME", "release")
    assert commit(repository).branch == "main"  # type: ignore[union-attr]


def test_the_default_branch_is_the_one_of_the_origin(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "trunk")
    git(tmp_path, "clone", "--quiet", str(repository), "clone")
    git(tmp_path / "clone", "checkout", "--quiet", "-b", "main")
    found = commit(tmp_path / "clone")
    assert found is not None
    assert (found.branch, found.default_branch) == ("main", "trunk")


@pytest.mark.parametrize(
    ("branches", "default"), [(["main"], "main"), (["master"], "master"), (["master", "main"], "main"), ([], None)]
)
def test_without_an_origin_the_default_branch_is_main_or_master(
    repository: Path, branches: list[str], default: str | None
) -> None:
    git(repository, "branch", "--move", "work")
    for branch in branches:
        git(repository, "branch", branch)
    assert commit(repository).default_branch == default  # type: ignore[union-attr]


def test_ci_names_the_default_branch_where_the_checkout_does_not(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"repository": {"default_branch": "trunk"}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    assert commit(repository).default_branch == "trunk"  # type: ignore[union-attr]
    monkeypatch.setenv("CI_DEFAULT_BRANCH", "develop")
    assert commit(repository).default_branch == "develop"  # type: ignore[union-attr]


@pytest.mark.parametrize("event", ["", "[]", "{}", '{"repository": {"default_branch": 5}}'])
def test_an_event_that_names_no_default_branch_is_passed_over(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    (tmp_path / "event.json").write_text(event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    assert commit(repository).default_branch == "main"  # type: ignore[union-attr]


def test_a_changed_file_makes_a_commit_dirty_wherever_the_tests_stand(repository: Path) -> None:
    (repository / "tests").mkdir()
    (repository / "code.py").write_text("2\n")
    assert commit(repository).dirty  # type: ignore[union-attr]
    assert commit(repository / "tests").dirty  # type: ignore[union-attr]


def test_neither_a_new_file_nor_the_history_makes_a_commit_dirty(repository: Path) -> None:
    for name in (".loadperf", "kept/here"):
        files(repository, {f"{name}/a.json": "1"})
        git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Keep the history")
    for name in (".loadperf", "kept/here"):
        files(repository, {f"{name}/a.json": "2", f"{name}/b.json": "2"})
        git(
            repository, "checkout", "--quiet", *[other for other in (".loadperf", "kept") if not name.startswith(other)]
        )
        assert not commit(repository, name).dirty  # type: ignore[union-attr]
        assert not commit(repository, str(repository / name)).dirty  # type: ignore[union-attr]
        assert commit(repository, "elsewhere").dirty  # type: ignore[union-attr]


@pytest.mark.parametrize("history", ["/nowhere/kept", "../kept", "s3://bucket/kept"])
def test_a_history_outside_the_repository_has_no_say(repository: Path, history: str) -> None:
    assert not commit(repository, history).dirty  # type: ignore[union-attr]
    (repository / "code.py").write_text("2\n")
    assert commit(repository, history).dirty  # type: ignore[union-attr]


def test_without_a_repository_there_is_no_commit_and_no_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) is None
    assert capfd.readouterr() == ("", "")


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert commit(repository) is None


# The page of the CI run


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, None),
        (
            {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "me/app", "GITHUB_RUN_ID": "7"},
            "https://github.com/me/app/actions/runs/7",
        ),
        ({"CI_JOB_URL": "https://gitlab.example/me/app/-/jobs/7"}, "https://gitlab.example/me/app/-/jobs/7"),
        ({"BUILD_URL": "https://me:secret@jenkins.example/job/7/"}, "https://***@jenkins.example/job/7/"),
    ],
)
def test_the_page_of_the_ci_run_is_known(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], url: str | None
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ci_url() == url
