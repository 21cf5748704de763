"""Where records are kept: a directory, or any place that fsspec has a driver for.

Each run adds files and changes none, so the histories of parallel jobs merge by copying files together.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.record import (
    decode,
    decode_acceptance,
    encode,
    encode_acceptance,
    encode_series,
    with_series,
)
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import Acceptance, RunRecord
from pytest_loadperf.redact import redact

T = TypeVar("T")
_FOLDER = "runs"
_RECORD, _SERIES, _ACCEPTANCE = ".json", ".series.json.gz", ".accepted.json"


def open_store(place: str, rootpath: Path) -> Store:
    """The history at a directory (relative ones start at `rootpath`) or an fsspec URL; nothing is created yet."""
    if "://" not in place:
        path = rootpath / Path(place).expanduser()
        return Store(_Directory(path / _FOLDER), str(path))
    return Store(_open_remote(place), redact(place).rstrip("/"))


class _Files(Protocol):
    """The files of a history; every failure is an OSError."""

    def check_writable(self) -> None: ...
    def write(self, name: str, data: bytes) -> None: ...
    def names(self) -> list[str]: ...
    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]: ...


class Store:
    """The runs kept at one place."""

    def __init__(self, files: _Files, place: str) -> None:
        self._files = files
        self.place = place  # as it may be shown: without secrets

    def check_writable(self) -> None:
        """HistoryError unless a record can be written; asked before any load runs."""
        advice = (
            "so no load was run. Make it writable, give another place with --loadperf-history, "
            "or keep no record with --loadperf-no-save"
        )
        with self._in_words("can't be written", advice):
            self._files.check_writable()

    def append(self, record: RunRecord) -> str:
        """Keep a run; returns where. The series comes first: a record that can be seen is complete."""
        stem = _stem(record.started_at, record.id)
        with self._in_words("can't be written", "so this run is not kept"):
            self._files.write(stem + _SERIES, encode_series(record))
            self._files.write(stem + _RECORD, encode(record))
        return f"{self.place}/{_FOLDER}/{stem}{_RECORD}"

    def records(self, warn: Callable[[str], None]) -> list[RunRecord]:
        """Every run that can be read, oldest first; what can't is told to `warn` and left alone."""
        found = self._readable(lambda name: not name.endswith(_ACCEPTANCE), decode, warn)
        return sorted(found, key=lambda record: (moment(record.started_at), record.id))

    def accept(self, acceptance: Acceptance) -> str:
        """Keep an acceptance; returns where."""
        name = f"{_stem(acceptance.at, acceptance.id)}{_ACCEPTANCE}"
        with self._in_words("can't be written", "so nothing was accepted"):
            self._files.write(name, encode_acceptance(acceptance))
        return f"{self.place}/{_FOLDER}/{name}"

    def acceptances(self, warn: Callable[[str], None]) -> list[Acceptance]:
        """Every acceptance that can be read, oldest first; what can't is told to `warn` and left alone."""
        found = self._readable(lambda name: name.endswith(_ACCEPTANCE), decode_acceptance, warn)
        return sorted(found, key=lambda acceptance: (moment(acceptance.at), acceptance.id))

    def _readable(
        self, wanted: Callable[[str], bool], read: Callable[[bytes, str], T], warn: Callable[[str], None]
    ) -> list[T]:
        found = []
        with self._in_words("can't be read", "so there is nothing to compare with"), _uncollected():
            documents = (name for name in self._files.names() if name.endswith(_RECORD) and name[0] != ".")
            names = sorted(filter(wanted, documents))
            for name, content in zip(names, self._files.read(names), strict=True):
                try:
                    found.append(self._decoded(name, content, read))
                except HistoryError as error:
                    warn(f"left out of the history: {error}")
        return found

    def series(self, record: RunRecord) -> RunRecord:
        """The record with its seconds, where they are kept; HistoryError if they are damaged."""
        with self._in_words("can't be read", f"so the seconds of run {record.id} are missing"):
            (content,) = self._files.read([_stem(record.started_at, record.id) + _SERIES])
            if isinstance(content, FileNotFoundError):
                return record
            if isinstance(content, OSError):
                raise content
        return with_series(record, content)

    def _decoded(self, name: str, content: bytes | OSError, read: Callable[[bytes, str], T]) -> T:
        path = f"{self.place}/{_FOLDER}/{name}"
        if isinstance(content, OSError):
            raise HistoryError(f"{path} can't be read: {_why(content)}")
        return read(content, path)

    @contextmanager
    def _in_words(self, failure: str, then: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryError(f"the history {self.place} {failure} ({_why(error)}), {then}") from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looks for garbage, which take half the time: a long history is a million objects, and none is any."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _stem(at: str, identity: str) -> str:
    return f"{moment(at):%Y%m%dT%H%M%SZ}-{identity}"


def _why(error: OSError) -> str:
    return redact(error.strerror or str(error) or type(error).__name__)


class _Directory:
    """Files in a local directory, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check_writable(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._path):
            pass

    def write(self, name: str, data: bytes) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        temporary = self._path / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._sync()

    def _sync(self) -> None:
        """Make the new name last; a file system that can't sync a folder has done what it can."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)

    def names(self) -> list[str]:
        try:
            return [path.name for path in self._path.iterdir()]
        except FileNotFoundError:
            return []

    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        for name in names:
            try:
                yield (self._path / name).read_bytes()
            except OSError as error:
                yield error


class _Remote:
    """Files behind an fsspec file system; an object store shows an object only when it is whole."""

    def __init__(self, files: Any, path: str) -> None:
        self._fs = files
        self._path = f"{path.rstrip('/')}/{_FOLDER}"

    def check_writable(self) -> None:
        self.write(".writable", b"")
        with suppress(OSError), _as_os_error():  # an archive may let nobody delete
            self._fs.rm_file(f"{self._path}/.writable")

    def write(self, name: str, data: bytes) -> None:
        with _as_os_error():
            try:
                self._fs.pipe_file(f"{self._path}/{name}", data)
            except FileNotFoundError:  # a file system with real folders wants them made
                if not self._path.startswith("/"):  # an object store: its bucket is missing, perhaps a typing error
                    raise
                self._fs.makedirs(self._path, exist_ok=True)
                self._fs.pipe_file(f"{self._path}/{name}", data)

    def names(self) -> list[str]:
        with _as_os_error():
            self._fs.invalidate_cache()  # another job may have added runs since
            try:
                return [path.rpartition("/")[2] for path in self._fs.ls(self._path, detail=False)]
            except FileNotFoundError:
                return []

    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        paths = [f"{self._path}/{name}" for name in names]
        with _as_os_error():  # all at once: drivers of object stores fetch side by side
            contents = self._fs.cat(paths, on_error="return") if paths else {}
        for path in paths:
            content = contents[path]
            yield content if isinstance(content, bytes | OSError) else OSError(f"{type(content).__name__}: {content}")


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Every driver raises what its own client library raises."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _open_remote(url: str) -> _Remote:
    import fsspec.core  # only here: a local history costs no import

    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise HistoryError(f"the history {redact(url)} needs a package that is not installed: {error}") from error
    except Exception as error:  # a driver may connect already, and raises what its client library raises
        raise HistoryError(
            f"the history {redact(url)} can't be opened: {redact(str(error))}; "
            "expected a directory, or a URL for fsspec such as s3://bucket/folder"
        ) from error
    return _Remote(files, path)
