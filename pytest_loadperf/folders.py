"""Folders of a run's own among the temporary ones; those that a killed run leaves, the next one removes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.owner import Owner


def home() -> Path:
    """The folder of this user's runs."""
    folder = Path(tempfile.gettempdir()) / f"pytest-loadperf-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LoadperfError(f"{folder} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    return folder


@contextmanager
def own_folder(kind: str) -> Iterator[Path]:
    """An empty folder, gone when the context ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-{Owner.me().mark}-", dir=home()))
    try:
        yield folder
    finally:
        with deferred():
            shutil.rmtree(folder, ignore_errors=True)


def sweep_folders(say: Callable[[str], None], leave: Callable[[Path], None]) -> None:
    """Remove what killed runs have left; before a folder goes, `leave` undoes what is elsewhere because of it."""
    with (home() / "sweep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run does it
        for folder in home().glob("*-*"):
            if (owner := Owner.named(folder.name)) and owner.is_gone:
                with suppress(OSError):
                    leave(folder)
                shutil.rmtree(folder, ignore_errors=True)
                say(f"loadperf: removed {folder} left behind by a run that was killed (pid {owner.pid})")
