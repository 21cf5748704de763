"""The files of a history: in a local directory, or behind any file system that fsspec has a driver for."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.owner import Owner
from pytest_loadperf.redact import redact

FOLDER = "runs"
_TEMPORARY = ".tmp"
_ABANDONED_S = 3600.0  # no file takes so long to write


class Files(Protocol):
    """What a history needs of a place; every failure is an OSError."""

    def check_writable(self) -> None:
        """Write something and take it away again."""

    def write(self, name: str, data: bytes) -> None:
        """Add a file: whole, or not at all."""

    def remove(self, name: str) -> None:
        """Take a file away."""

    def sizes(self) -> dict[str, int]:
        """By name, of each file; none of a place that isn't there yet."""
        ...

    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        """What each of them holds, or why it can't be read."""
        ...


class Directory:
    """Files in a local directory, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check_writable(self) -> None:
        """By a temporary file."""
        self._path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._path):
            pass

    def write(self, name: str, data: bytes) -> None:
        """Into a hidden file, which gets its name when it is whole."""
        self._path.mkdir(parents=True, exist_ok=True)
        self._sweep()
        temporary = self._path / f".{name}.{Owner.me().mark}{_TEMPORARY}"
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

    def remove(self, name: str) -> None:
        """At once."""
        (self._path / name).unlink()

    def _sweep(self) -> None:
        """Remove what writers that were killed have left."""
        for left in self._path.glob(f".*{_TEMPORARY}"):
            if owner := Owner.named(left.name):  # else it is someone else's
                with suppress(OSError):  # another run is faster
                    # Of writers on other machines nobody here knows whether they live.
                    if owner.is_gone or time.time() - left.stat().st_mtime > _ABANDONED_S:
                        left.unlink()

    def _sync(self) -> None:
        """Make the new name last; a file system that can't sync a folder has done what it can."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)

    def sizes(self) -> dict[str, int]:
        """Of what is in the folder."""
        try:
            found = list(os.scandir(self._path))
        except FileNotFoundError:
            return {}
        return {entry.name: _size(entry) for entry in found}

    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        """One after the other."""
        for name in names:
            try:
                yield (self._path / name).read_bytes()
            except OSError as error:
                yield error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # reading it will say why, unless it was a temporary file
        return 0


class Remote:
    """Files behind an fsspec file system; an object store shows an object only when it is whole."""

    def __init__(self, files: Any, path: str) -> None:
        self._fs = files
        self._path = f"{path.rstrip('/')}/{FOLDER}"

    def check_writable(self) -> None:
        """By an empty file."""
        self.write(".writable", b"")
        with suppress(OSError), _as_os_error():  # an archive may let nobody delete
            self._fs.rm_file(f"{self._path}/.writable")

    def write(self, name: str, data: bytes) -> None:
        """As an object, which others see when it is whole; in real folders, as a file that is given its name then."""
        with _as_os_error():
            if not self._path.startswith("/"):  # an object store; its bucket is not made: it may be a typing error
                self._fs.pipe_file(f"{self._path}/{name}", data)
                return
            temporary = f"{self._path}/.{name}.{Owner.me().mark}{_TEMPORARY}"
            self._fs.makedirs(self._path, exist_ok=True)
            self._fs.pipe_file(temporary, data)
            self._fs.mv(temporary, f"{self._path}/{name}")

    def remove(self, name: str) -> None:
        """As the driver does."""
        with _as_os_error():
            self._fs.rm_file(f"{self._path}/{name}")

    def sizes(self) -> dict[str, int]:
        """As the driver tells them."""
        with _as_os_error():
            self._fs.invalidate_cache()  # another job may have added runs since
            try:
                found = self._fs.ls(self._path, detail=True)
            except FileNotFoundError:
                return {}
        return {entry["name"].rpartition("/")[2]: entry.get("size") or 0 for entry in found}

    def read(self, names: Sequence[str]) -> Iterator[bytes | OSError]:
        """All at once: drivers of object stores fetch side by side."""
        paths = [f"{self._path}/{name}" for name in names]
        with _as_os_error():
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


def open_remote(url: str) -> Remote:
    """Whatever fsspec has a driver for; HistoryError where it has none, or the driver refuses."""
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
    return Remote(files, path)
