"""Where records are kept: a directory, or any place that fsspec has a driver for.

Each run adds files and changes none, so the histories of parallel jobs merge by copying files together.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.files import FOLDER, Directory, Files, open_remote
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

Kept = TypeVar("Kept", RunRecord, Acceptance)
_RECORD, _SERIES, _ACCEPTANCE = ".json", ".series.json.gz", ".accepted.json"
_MOST_BYTES = 50_000_000  # of a record; to read what is larger would take gigabytes


def open_store(place: str, rootpath: Path) -> Store:
    """The history at a directory (relative ones start at `rootpath`) or an fsspec URL; nothing is created yet."""
    if "://" not in place:
        path = rootpath / Path(place).expanduser()
        return Store(Directory(path / FOLDER), str(path))
    shown = redact(place).rstrip("/")
    if (local := urlsplit(place)).scheme == "file":
        return Store(Directory(Path(unquote(local.path)) / FOLDER), shown)
    return Store(open_remote(place), shown)


class Store:
    """The runs kept at one place."""

    def __init__(self, files: Files, place: str) -> None:
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
        stem, data = _stem(record.started_at, record.id), encode(record)
        if len(data) > _MOST_BYTES:
            raise HistoryError(f"the record of this run has {_megabytes(len(data))}, so this run is not kept")
        with self._in_words("can't be written", "so this run is not kept"):
            self._put(stem, data, encode_series(record))
        return self._path(stem + _RECORD)

    def _put(self, stem: str, data: bytes, series: bytes) -> None:
        self._files.write(stem + _SERIES, series)
        try:
            self._files.write(stem + _RECORD, data)
        except BaseException:
            with suppress(OSError):
                self._files.remove(stem + _SERIES)
            raise

    def rescue(self, record: RunRecord, places: Iterable[Path]) -> str:
        """Keep a run that could not be appended in the first of these places that takes it; says where, if anywhere."""
        stem, data, series = _stem(record.started_at, record.id), encode(record), encode_series(record)
        for place in places:
            folder = place / f"loadperf-rescued-{record.id}"
            try:
                open_store(str(folder), place)._put(stem, data, series)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            then = "" if len(data) > _MOST_BYTES else f": copy them to {self.place}/{FOLDER}, and it is kept"
            return f"its files are in {folder}/{FOLDER}{then}"
        return "and it could not be put elsewhere"

    def records(self, warn: Callable[[str], None]) -> list[RunRecord]:
        """Every run that can be read, oldest first; what can't is told to `warn` and left alone."""
        found = self._readable(lambda name: not name.endswith(_ACCEPTANCE), decode, warn)
        return sorted(found.values(), key=lambda record: (moment(record.started_at), record.id))

    def accept(self, acceptance: Acceptance) -> str:
        """Keep an acceptance; returns where."""
        name = f"{_stem(acceptance.at, acceptance.id)}{_ACCEPTANCE}"
        with self._in_words("can't be written", "so nothing was accepted"):
            self._files.write(name, encode_acceptance(acceptance))
        return self._path(name)

    def acceptances(self, warn: Callable[[str], None]) -> list[Acceptance]:
        """Every acceptance that can be read, oldest first; what can't is told to `warn` and left alone."""
        found = self._readable(lambda name: name.endswith(_ACCEPTANCE), decode_acceptance, warn)
        return sorted(found.values(), key=lambda acceptance: (moment(acceptance.at), acceptance.id))

    def _readable(
        self, wanted: Callable[[str], bool], read: Callable[[bytes, str], Kept], warn: Callable[[str], None]
    ) -> dict[str, Kept]:
        """By their ids: a copy under another name is no other run."""
        found: dict[str, Kept] = {}
        with self._in_words("can't be read", "so there is nothing to compare with"), _uncollected():
            names = list(self._documents(wanted, warn))
            for name, content in zip(names, self._files.read(names), strict=True):
                try:
                    made = self._decoded(name, content, read)
                except HistoryError as error:
                    warn(f"left out of the history: {error}")
                    continue
                if made.id in found:
                    warn(f"left out of the history: {self._path(name)} holds {made.id} a second time")
                found.setdefault(made.id, made)
        return found

    def _documents(self, wanted: Callable[[str], bool], warn: Callable[[str], None]) -> Iterator[str]:
        """Their names, in order."""
        for name, size in sorted(self._files.sizes().items()):
            if name.endswith(_RECORD) and not name.startswith(".") and wanted(name):
                if size <= _MOST_BYTES:
                    yield name
                else:
                    warn(f"left out of the history: {self._path(name)} has {_megabytes(size)}")

    def series(self, record: RunRecord) -> RunRecord:
        """The record with its seconds, where they are kept; HistoryError if they are damaged."""
        with self._in_words("can't be read", f"so the seconds of run {record.id} are missing"):
            (content,) = self._files.read([_stem(record.started_at, record.id) + _SERIES])
            if isinstance(content, FileNotFoundError):
                return record
            if isinstance(content, OSError):
                raise content
        return with_series(record, content)

    def _decoded(self, name: str, content: bytes | OSError, read: Callable[[bytes, str], Kept]) -> Kept:
        if isinstance(content, OSError):
            raise HistoryError(f"{self._path(name)} can't be read: {_why(content)}")
        return read(content, self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.place}/{FOLDER}/{name}"

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


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB, more than the {_MOST_BYTES / 1e6:.0f} MB that are read"


def _why(error: OSError) -> str:
    return redact(error.strerror or str(error) or type(error).__name__)
