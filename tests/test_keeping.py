"""A run that can not write its record says so, puts it where it is found, and fails if it shall."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import BRIEF, Project

from pytest_loadperf.history.store import open_store

RUSH = f"rush = load(Shopper, {BRIEF})\n"
# Other work on the machine fills what the history is on, while the load runs.
FILLS = """
from pathlib import Path

def test_rush(rush):
    try:
        with Path("small/everything").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
    except OSError:
        pass
"""
IN_THE_WAY = """
from pathlib import Path

def test_rush(rush):
    (Path("small/.loadperf") / "runs").rmdir()
    (Path("small/.loadperf") / "runs").write_text("in the way")
"""


@pytest.fixture
def small_disk(project: Project) -> Iterator[Path]:
    """A file system of 256 kB."""
    place = project.path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system, and not everywhere")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def rescued(project: Project, said: str) -> Path:
    """Where a run says that its files are, beside its report."""
    found = re.search(r"; its files are in (\S+)/runs: copy them to \S+/runs, and it is kept", said)
    assert found is not None, said
    assert found[1].startswith(str(project.path / ".loadperf" / "loadperf-rescued-"))
    return Path(found[1])


def test_a_record_that_a_full_disk_does_not_take_is_rescued(project: Project, small_disk: Path) -> None:
    project.module("test_it", RUSH + FILLS)
    result = project.run("--loadperf-history", "small/.loadperf")
    result.assert_outcomes(passed=1)
    assert result.ret == 0  # the verdict is as true as before
    (line,) = [line for line in result.outlines if line.startswith("NOT SAVED: ")]
    assert line.startswith(
        f"NOT SAVED: the history {small_disk}/.loadperf can't be written (No space left on device), "
        "so this run is not kept; "
    )
    assert not [path for path in (small_disk / ".loadperf/runs").iterdir() if path.suffix != ".gz"]
    kept = rescued(project, line)
    (small_disk / "everything").unlink()
    for path in (kept / "runs").iterdir():
        shutil.copy(path, small_disk / ".loadperf/runs")
    store = open_store("small/.loadperf", project.path)
    (record,) = store.records(pytest.fail)
    assert record.tests[0].nodeid == "test_it.py::test_rush"
    assert store.series(record).loads[0].trials[0].windows


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to someone else")
def test_a_temporary_folder_of_another_user_is_refused_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.path / "pytest-loadperf-0"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    monkeypatch.setenv("TMPDIR", str(project.path))
    project.module("test_it", RUSH + "def test_rush(rush): pass\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: {folder} belongs to another user; remove it, or set TMPDIR to a folder of your own"]
    )


def test_a_run_that_is_not_saved_fails_where_it_shall(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\nloadperf_fail_on = unsaved\n")
    project.module("test_it", RUSH + IN_THE_WAY)
    result = project.run("--loadperf-history", "small/.loadperf")
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "NOT SAVED: the history * can't be written (*), so this run is not kept; its files are in *",
            "the run fails: not all of it could be written (--loadperf-fail-on)",
        ]
    )


def test_a_report_that_is_not_written_fails_the_run_where_it_shall(project: Project) -> None:
    project.module("test_it", RUSH + "def test_rush(rush): pass\n")
    (project.path / "there").mkdir()
    arguments = ("--loadperf-report", "there")
    assert project.run(*arguments).ret == 0
    result = project.run(*arguments, "--loadperf-fail-on", "unsaved")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["the run fails: not all of it could be written (--loadperf-fail-on)"])


def test_a_record_goes_to_the_temporary_directory_where_there_is_no_place_beside_the_report(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(project.path / "temporary"))
    project.module("test_it", RUSH + IN_THE_WAY)
    (project.path / "file").write_text("in the way")
    result = project.run("--loadperf-history", "small/.loadperf", "--loadperf-report", "file/report.html")
    result.stdout.fnmatch_lines(
        ["NOT SAVED: * so this run is not kept; its files are in *temporary/loadperf-rescued-*"]
    )
