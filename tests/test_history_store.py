from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from records import load, run, trial

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.store import Store, open_store
from pytest_loadperf.records import RunRecord

SMALL = run(loads=[load("rush_hour", trial(answers=0.02))])
NAME = f"20260901T080000Z-{SMALL.id}"


def refuse(text: str) -> None:
    raise AssertionError(f"unexpected warning: {text}")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bare(record: RunRecord) -> RunRecord:
    """The record as it is read without its series."""
    trials = tuple(replace(trial, windows=(), samples=()) for trial in record.loads[0].trials)
    return replace(record, loads=(replace(record.loads[0], trials=trials),))


@pytest.fixture(autouse=True)
def _forget_memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["directory", "file URL", "memory URL"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    places = {"directory": "kept", "file URL": f"file://{tmp_path}/kept", "memory URL": "memory://kept/here"}
    return open_store(places[request.param], tmp_path)


def test_what_is_kept_comes_back_oldest_first_with_its_series(store: Store) -> None:
    for record in (run(2), SMALL, run(1)):
        store.append(record)
    records = store.records(refuse)
    assert [record.id for record in records] == [SMALL.id, run(1).id, run(2).id]
    assert records[0] == bare(SMALL)
    assert store.series(records[0]) == SMALL


def test_a_place_that_is_not_there_yet_is_an_empty_history(store: Store) -> None:
    assert store.records(refuse) == []
    assert store.series(SMALL) == SMALL


def test_a_writable_place_passes_and_stays_empty(store: Store) -> None:
    store.check_writable()
    assert store.records(refuse) == []


def test_runs_kept_by_someone_else_are_seen(store: Store, tmp_path: Path) -> None:
    other = open_store(store.place, tmp_path)
    assert other.records(refuse) == []
    store.append(SMALL)
    assert len(other.records(refuse)) == 1


def test_a_run_is_two_files_and_nothing_else(tmp_path: Path) -> None:
    path = open_store("kept", tmp_path).append(SMALL)
    assert path == f"{tmp_path}/kept/runs/{NAME}.json"
    assert names(tmp_path / "kept/runs") == [f"{NAME}.json", f"{NAME}.series.json.gz"]


def test_a_run_in_a_url_is_named_by_the_url(tmp_path: Path) -> None:
    assert open_store("memory://kept/", tmp_path).append(SMALL) == f"memory://kept/runs/{NAME}.json"


def test_a_place_may_be_absolute_or_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store(str(tmp_path / "there"), Path("/elsewhere")).place == str(tmp_path / "there")
    assert open_store("~/kept", Path("/elsewhere")).place == str(tmp_path / "home" / "kept")


def test_histories_merge_by_copying_files_together(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        open_store(name, tmp_path).append(run(number))
    subprocess.run(["cp", "-r", *map(str, (tmp_path / "b").iterdir()), str(tmp_path / "a")], check=True)
    assert [record.id for record in open_store("a", tmp_path).records(refuse)] == [run(0).id, run(1).id]


def test_a_file_that_can_not_be_read_is_named_and_left_alone(store: Store, tmp_path: Path) -> None:
    store.append(SMALL)
    path = f"{store.place}/runs/20260101T000000Z-broken.json"
    with fsspec.open(path, "wb") as file:
        file.write(b"{}")
    warnings: list[str] = []
    assert [record.id for record in store.records(warnings.append)] == [SMALL.id]
    assert warnings == [
        f"left out of the history: {path} is no record of pytest-loadperf: it has no format version",
    ]
    with fsspec.open(path, "rb") as file:
        assert file.read() == b"{}"


def test_a_folder_in_the_way_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "kept/runs/x.json").mkdir(parents=True)
    warnings: list[str] = []
    assert open_store("kept", tmp_path).records(warnings.append) == []
    assert warnings == [f"left out of the history: {tmp_path}/kept/runs/x.json can't be read: Is a directory"]


def test_a_damaged_series_is_an_error(tmp_path: Path) -> None:
    store = open_store("kept", tmp_path)
    store.append(SMALL)
    series = tmp_path / f"kept/runs/{NAME}.series.json.gz"
    series.unlink()
    series.mkdir()
    with pytest.raises(HistoryError) as error:
        store.series(SMALL)
    assert str(error.value) == (
        f"the history {tmp_path}/kept can't be read (Is a directory), so the seconds of run {SMALL.id} are missing"
    )


def test_a_place_that_can_not_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store("file", tmp_path)
    with pytest.raises(HistoryError) as error:
        store.check_writable()
    assert str(error.value) == (
        f"the history {tmp_path}/file can't be written (Not a directory), so no load was run. Make it writable, "
        "give another place with --loadperf-history, or keep no record with --loadperf-no-save"
    )
    with pytest.raises(HistoryError) as error:
        store.append(SMALL)
    assert str(error.value) == (
        f"the history {tmp_path}/file can't be written (Not a directory), so this run is not kept"
    )
    with pytest.raises(HistoryError) as error:
        store.records(refuse)
    assert str(error.value) == (
        f"the history {tmp_path}/file can't be read (Not a directory), so there is nothing to compare with"
    )


def test_a_record_that_no_place_takes_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = open_store("kept", tmp_path).rescue(SMALL, [tmp_path / "file", tmp_path / "file/below"])
    assert said == "and it could not be put elsewhere"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_said_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HistoryError, match=r"can't be written \(Permission denied\), so no load was run"):
        open_store("kept", tmp_path).check_writable()


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = open_store("kept", tmp_path)
    store.append(run(1))
    before = names(tmp_path / "kept/runs")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(HistoryError, match=r"can't be written \(File too large\), so this run is not kept$"):
            store.append(SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path / "kept/runs") == before


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(HistoryError) as error:
        open_store("s3://key:secret@bucket/x", tmp_path)
    assert str(error.value) == (
        "the history s3://***@bucket/x needs a package that is not installed: Install s3fs to access S3"
    )


def test_an_unknown_kind_of_url_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(HistoryError) as error:
        open_store("ftpp://me:secret@there/x", tmp_path)
    assert str(error.value) == (
        "the history ftpp://***@there/x can't be opened: Protocol not known: ftpp; "
        "expected a directory, or a URL for fsspec such as s3://bucket/folder"
    )


def test_what_a_driver_raises_is_said_in_words_and_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("403 for https://bucket?token=secret")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    monkeypatch.setattr(MemoryFileSystem, "ls", refused)
    monkeypatch.setattr(MemoryFileSystem, "cat", refused)
    store = open_store("memory://kept", tmp_path)
    with pytest.raises(HistoryError) as error:
        store.check_writable()
    assert str(error.value).startswith(
        "the history memory://kept can't be written (RuntimeError: 403 for https://bucket?token=***), so no load"
    )
    with pytest.raises(HistoryError, match=r"^the history memory://kept can't be read \(RuntimeError: 403"):
        store.records(refuse)
    with pytest.raises(HistoryError, match=r"^the history memory://kept can't be read \(RuntimeError: 403"):
        store.series(SMALL)


def test_a_local_history_imports_no_fsspec(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pytest_loadperf.history.store import open_store; "
        "store = open_store('kept', Path(sys.argv[1])); store.check_writable(); store.records(print); "
        "assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
