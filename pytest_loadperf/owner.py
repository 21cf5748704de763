"""Who a container, a folder or a file belongs to: a process, told apart from later ones that get its number."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil

OURS = "pytest-loadperf"
_OWNER = "pytest-loadperf.owner"
_KEEP = "pytest-loadperf.keep"
_MARK = re.compile(r"(\d{1,19})_(\d*)_([0-9a-f]{8})_([0-9a-f]{8})(?![0-9a-f])")


@dataclass(frozen=True)
class Owner:
    """A process of some machine."""

    pid: int
    start: str  # empty where that could not be seen
    boot: str
    host: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(pid, _start(pid) or "", _boot(), _host())

    @classmethod
    def named(cls, name: str) -> Owner | None:
        """The one whose mark stands in a name, if there is one."""
        found = _MARK.search(name)
        return cls(int(found[1]), *found.groups()[1:]) if found else None

    @property
    def mark(self) -> str:
        """Itself, as a part of a name."""
        return f"{self.pid}_{self.start}_{self.boot}_{self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether it has ended for certain; of other machines' processes nobody here knows."""
        return self.host == _host() and (self.boot != _boot() or not self._lives())

    def _lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it lives, and is another user's
        start = _start(self.pid)
        return start is None or self.start in (start, "")


def labels(keep: bool) -> dict[str, str]:
    """The labels of what this process starts; what is kept on purpose says so."""
    ours = {OURS: "1", _OWNER: Owner.me().mark}
    return {**ours, _KEEP: "1"} if keep else ours


def owner_of(labelled: Mapping[str, str]) -> Owner | None:
    """The process that set these labels."""
    return Owner.named(labelled.get(_OWNER, ""))


def left_by(labelled: Mapping[str, str]) -> Owner | None:
    """The process that was to remove what has these labels, if it is gone for certain."""
    owner = None if _KEEP in labelled else owner_of(labelled)
    return owner if owner and owner.is_gone else None


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
    return _short(_read("/proc/sys/kernel/random/boot_id"))


def _host() -> str:
    """This machine, and on Linux the space of process numbers: a container may share the name of its host."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return _short(f"{socket.gethostname()} {_read('/etc/machine-id')} {space}")


def _read(file: str) -> str:
    with suppress(OSError):
        return Path(file).read_text().strip()
    return ""


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
