"""Folders of a run's own among the temporary ones; those that a killed run leaves, the next one removes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_loadperf import owner
from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.interrupts import deferred


def home() -> Path:
    """The folder of this user's runs."""
    folder = Path(tempfile.gettempdir()) / f"pytest-loadperf-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LoadperfError(f"{folder} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    return folder


@contextmanager
def own_folder(kind: str, say: Callable[[str], None], leave: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """An empty folder, gone when the context ends; before it goes, `leave` undoes what is elsewhere because of it.

    Those of the same kind that killed runs left are removed first.
    """
    for left in home().glob(f"{kind}.*"):
        if pid := owner.marked_by(left.name.removeprefix(f"{kind}.")):
            _remove(left, leave)
            say(f"loadperf: removed {left} left behind by a run that was killed (pid {pid})")
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}.{owner.mark()}.", dir=home()))
    try:
        yield folder
    finally:
        with deferred():
            _remove(folder, leave)


def _remove(folder: Path, leave: Callable[[Path], None]) -> None:
    leave(folder)
    shutil.rmtree(folder, ignore_errors=True)
