"""Nothing that was called saved is lost: many writers, killed ones, full and read-only disks, a bucket that fails."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import bucket
import keeping_runs
import pytest
from projects import BRIEF, Project, python
from records import run
from test_history_store import refuse

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history import store as storing
from pytest_loadperf.history.record import encode
from pytest_loadperf.history.store import Store, open_store

WRITERS, EACH, KILLS = 20, 10, 200
KEPT = keeping_runs.RUN


def writers(place: str, count: int, *how: str) -> list[str]:
    """So many processes at once; the ids of all runs that they called kept."""
    command = python(keeping_runs.__file__, place, *how)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, **streams) for _ in range(count)]  # type: ignore[call-overload]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [identity for process in running for identity in process.communicate(timeout=60)[0].split()]
    assert not any(process.returncode for process in running)
    return said


def all_whole(store: Store) -> set[str]:
    """The ids of all runs there; each can be read, and its seconds, too."""
    records = store.records(refuse)
    for record in records:
        assert store.series(record).loads == KEPT.loads
    return {record.id for record in records}


def test_what_twenty_writers_keep_at_once_is_all_there(tmp_path: Path) -> None:
    said = writers(str(tmp_path / "kept"), WRITERS, "--each", str(EACH))
    assert len(said) == WRITERS * EACH
    assert all_whole(open_store("kept", tmp_path)) == set(said)


def test_what_was_kept_survives_writers_that_are_killed(tmp_path: Path) -> None:
    said = writers(str(tmp_path / "kept"), 1, "--kills", str(KILLS))
    assert len(said) > KILLS // 2  # many were killed after they had kept some
    there = all_whole(open_store("kept", tmp_path))
    assert there >= set(said)
    assert len(there) <= len(said) + KILLS  # some were killed before they could say so
    names = [path.name for path in (tmp_path / "kept/runs").iterdir()]
    assert sum(name.endswith(".gz") for name in names) > len(there)  # they were killed between two files, too
    left = [path for path in (tmp_path / "kept/runs").iterdir() if path.suffix == ".tmp"]
    assert len(left) <= 1  # the next one has removed what the one before left
    folder = tmp_path / "kept/runs"
    elsewhere, forgotten = (folder / f".{name}.json.1_2_00000000_00000000.tmp" for name in "ab")
    foreign = folder / ".syncthing.c.json.tmp"
    for path in (elsewhere, forgotten, foreign):
        path.touch()
    for path in (forgotten, foreign):
        os.utime(path, (0, time.time() - 3700))
    open_store("kept", tmp_path).append(run(1))
    # The one may be written yet, the other is not ours.
    assert [path for path in (*left, elsewhere, forgotten, foreign) if path.exists()] == [elsewhere, foreign]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_read_only_disk_is_told_before_any_load(project: Project) -> None:
    place = project.path / "small"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        project.module("test_it", f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): pass\n")
        result = project.run("--loadperf-history", "small/.loadperf")
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = f"ERROR: the history {place}/.loadperf can't be written (Read-only file system), so no load was run. Make it"
    assert said in result.stderr.str()


def test_what_is_damaged_is_named_skipped_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_MOST_BYTES", 1_000_000)
    store = open_store("kept", tmp_path)
    store.append(KEPT)
    folder = tmp_path / "kept/runs"
    whole = encode(run(1))
    damaged = {
        "a-cut.json": whole[: len(whole) // 2],
        "b-garbage.json": os.urandom(1000),
        "c-foreign.json": b'{"version": 1, "metrics": []}',
        "d-newer.json": json.dumps({**json.loads(whole), "format": 99}).encode(),
        "e-copy.json": encode(KEPT),
        "f-huge.json": b" " * 1_000_001,
        "g-empty.json": b"",
        "h-deep.json": b"[" * 100_000,
    }
    for name, content in damaged.items():
        (folder / name).write_bytes(content)
    (folder / "i-dangling.json").symlink_to("nowhere")
    warnings: list[str] = []
    assert [record.id for record in store.records(warnings.append)] == [KEPT.id]
    told = "\n".join(warnings)
    assert all(f"{folder}/{name} " in told for name in damaged)
    assert f"left out of the history: {folder}/f-huge.json has 1 MB, more than the 1 MB that are read" in warnings
    assert f"{folder}/e-copy.json holds {KEPT.id} a second time" in told
    assert f"{folder}/c-foreign.json is no record of pytest-loadperf: it has no format version" in told
    assert f"{folder}/d-newer.json was written by a newer pytest-loadperf (format 99" in told
    assert f"{folder}/i-dangling.json can't be read: No such file or directory" in told
    assert len(warnings) == len(damaged) + 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in damaged} == damaged


def test_a_hundred_megabytes_are_skipped_and_told_once(tmp_path: Path) -> None:
    store = open_store("kept", tmp_path)
    store.append(KEPT)
    with (tmp_path / "kept/runs/huge.json").open("wb") as file:
        file.truncate(100_000_000)
    warnings: list[str] = []
    assert len(store.records(warnings.append)) == 1
    assert store.acceptances(warnings.append) == []
    path = tmp_path / "kept/runs/huge.json"
    assert warnings == [f"left out of the history: {path} has 100 MB, more than the 50 MB that are read"]


def test_a_record_that_would_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_MOST_BYTES", 1000)
    with pytest.raises(HistoryError) as error:
        open_store("kept", tmp_path).append(KEPT)
    assert str(error.value).startswith("the record of this run has 0 MB, more than the 0 MB that are read")
    assert not (tmp_path / "kept").exists()
    place = tmp_path / f"loadperf-rescued-{KEPT.id}/runs"
    assert open_store("kept", tmp_path).rescue(KEPT, [tmp_path]) == f"its files are in {place}"
    assert len(list(place.iterdir())) == 2


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bucket at hand; what is written here makes it fail."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    place = tmp_path / "orders"
    log = (tmp_path / "bucket.log").open("w")
    with log, subprocess.Popen(python(bucket.__file__, str(place)), stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            for name, value in bucket.environment(int(process.stdout.readline())):
                monkeypatch.setenv(name, value)
            subprocess.run(python("-c", f"import s3fs; s3fs.S3FileSystem().mkdir({bucket.NAME!r})"), check=True)
            yield place
        finally:
            process.kill()


PLACE = f"s3://{bucket.NAME}/of/ours"
LIST = (
    "import json, sys; from pathlib import Path; from pytest_loadperf.history.store import open_store; "
    f"store = open_store({PLACE!r}, Path()); records = store.records(sys.exit); "
    "print(json.dumps([[each.id, len(store.series(each).loads[0].trials[0].windows)] for each in records]))"
)


def there() -> dict[str, int]:
    """By id, how many seconds are kept of each run in the bucket."""
    return dict(json.loads(subprocess.check_output(python("-c", LIST))))


def test_what_writers_keep_in_a_bucket_at_once_is_all_there(orders: Path) -> None:
    said = writers(PLACE, 5, "--each", "4")
    found = there()
    assert sorted(found) == sorted(said)
    assert len(said) == 20
    assert all(found.values())


def test_a_bucket_that_refuses_for_a_moment_is_asked_again(orders: Path) -> None:
    orders.write_text("503 .json 2")
    said = writers(PLACE, 1, "--each", "1")
    assert orders.read_text() == "503 .json 0"
    assert list(there()) == said


@pytest.mark.parametrize("how", ["503", "cut"])
def test_a_bucket_that_fails_midway_costs_no_record(orders: Path, how: str, project: Project) -> None:
    project.module(
        "test_it",
        f"from pathlib import Path\nrush = load(Shopper, {BRIEF})\n"
        f"def test_rush(rush): Path({str(orders)!r}).write_text('{how} .json 1000')\n",
    )
    result = project.run("--loadperf-history", PLACE)
    result.assert_outcomes(passed=1)
    (line,) = [line for line in result.outlines if line.startswith("NOT SAVED: ")]
    assert line.startswith(f"NOT SAVED: the history {PLACE} can't be written (")
    assert "planted-secret" not in result.stdout.str() + result.stderr.str()
    folder = project.path / ".loadperf"
    (kept,) = folder.glob("loadperf-rescued-*")
    assert line.endswith(f"; its files are in {kept}/runs: copy them to {PLACE}/runs, and it is kept")
    orders.unlink()
    assert there() == {}
    copy = f"import s3fs; s3fs.S3FileSystem().put({str(kept / 'runs')!r} + '/', {PLACE!r} + '/runs/', recursive=True)"
    subprocess.run(python("-c", copy), check=True)
    assert list(there()) == [kept.name.removeprefix("loadperf-rescued-")]
