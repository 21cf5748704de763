"""Keeps other work away while a load measures: a lock that ordinary tests share and a load holds alone.

Plain file locks starve the writer: tests of other workers overlap and never leave a gap. So everyone passes a gate
first, and a load that waits holds the gate. The kernel drops the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_loadperf.folders import home


class Quiet:
    """One such lock; every process that names its path shares it."""

    def __init__(self, path: Path) -> None:
        self._gate = path.with_suffix(".gate")
        self._room = path.with_suffix(".room")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For work that a load waits for, and that waits while a load measures."""
        room = _open(self._room)
        try:
            with _locked(self._gate):
                fcntl.flock(room, fcntl.LOCK_SH)
            yield
        finally:
            _release(room)

    @contextmanager
    def alone(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """For a load: waits for what is under way and keeps new work out; `waiting` is called before a wait."""
        with _locked(self._gate, waiting), _locked(self._room, waiting):
            yield


@contextmanager
def _locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _release(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _release(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone leaves it to a process that a test forked meanwhile
    os.close(descriptor)


def host_lock() -> Quiet:
    """The lock of this user's loads on this machine, whichever pytest run they belong to."""
    return Quiet(home() / "load")
