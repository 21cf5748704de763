"""Who a container or a folder belongs to: a process, told apart from later ones that get its number."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

OURS = "pytest-loadperf"
_OWNER = "pytest-loadperf.owner"  # boot:pid:start
_HOST = "pytest-loadperf.host"
_KEEP = "pytest-loadperf.keep"
PARTS = 4  # of a mark, with dots between: process, start, boot, host


def labels(keep: bool) -> dict[str, str]:
    """The labels of what this process starts; what is kept on purpose says so."""
    me = os.getpid()
    ours = {OURS: "1", _OWNER: f"{_boot()}:{me}:{_start(me)}", _HOST: _host()}
    return {**ours, _KEEP: "1"} if keep else ours


def mark() -> str:
    """The same in a name: its process, and whether that lives, can be told of it."""
    me = os.getpid()
    return ".".join((str(me), str(_start(me)), _short(_boot()), _short(_host())))


def marked_by(name: str) -> str:
    """The process whose mark a name begins with; empty where there is none, or its owner isn't gone for certain."""
    pid, start, boot, host = (*name.split("."), *[""] * PARTS)[:PARTS]
    if not pid.isdecimal() or host != _short(_host()):
        return ""
    return pid if boot != _short(_boot()) or not _lives(int(pid), start) else ""


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def pid_of(labelled: Mapping[str, str]) -> str:
    """The process that set these labels."""
    return labelled.get(_OWNER, "::").split(":")[1]


def left_behind(labelled: Mapping[str, str]) -> bool:
    """Whether what has these labels was to be removed by a process that is gone for certain."""
    if _KEEP in labelled or labelled.get(_HOST) != _host():
        return False
    try:
        boot, pid, start = labelled[_OWNER].split(":")
        return boot != _boot() or not _lives(int(pid), start)
    except (KeyError, ValueError):
        return False


def _lives(pid: int, start: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and is another user's
    return _start(pid) in (start, None)


def _start(pid: int) -> str | None:
    """When a process started; None where that can't be seen. The dead that nobody has buried have no start."""
    with suppress(OSError, psutil.Error):
        if Path("/proc/self/stat").exists():
            # In ticks since boot, which no setting of the clock moves. The name, in brackets, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return "zombie" if fields[0] == "Z" else fields[19]
        process = psutil.Process(pid)
        return "zombie" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    return None


def _boot() -> str:
    """This boot of the machine; where the system does not name it, process numbers and start times have to do."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unnamed"


def _host() -> str:
    """This machine, and on Linux the space of process numbers: a container may share the name of its host."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
