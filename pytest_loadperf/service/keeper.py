"""Runs a command in a session of its own, and ends all of it when whoever started the keeper is gone.

A script, not a module of the plugin: `python -I -S keeper.py COMMAND …` imports next to nothing and is up in a few
milliseconds. Standard input is the leash: it closes when pytest ends, even by SIGKILL. A `k` on it lets the service
outlive pytest; SIGTERM to the keeper ends it then. Standard output tells `started PID` or `failed WHY`; standard
error, and all that the command writes, is the log. The exit code is the command's.
"""

import os
import select
import signal
import sys
import time

_GRACE_S = 5.0  # between SIGTERM and SIGKILL
_LOOK_EVERY_S = 0.1
_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Kept:
    """The command and everything that it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None  # as waitpid(2) gives it
        self._told_to_stop = False

    def stop(self, *_: object) -> None:
        """Ask for the end, from a signal handler."""
        self._told_to_stop = True

    def watch(self) -> None:
        """Return when the command ended, or has to."""
        leash = [0]
        parent = os.getppid()
        while not self._ended() and not self._told_to_stop:
            readable, _, _ = select.select(leash, [], [], _LOOK_EVERY_S)
            if readable and os.read(0, 1) == b"k":
                leash = []
            # A fork of pytest's may hold the leash for longer than pytest lives, hence the second look.
            elif readable or (leash and os.getppid() != parent):
                return

    def end(self) -> None:
        """SIGTERM to the group while the command lives, SIGKILL to what stays of it or had left it."""
        if not self._ended():
            end = time.monotonic() + _GRACE_S
            living = self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # one that was paused hears of nothing else
            while living and time.monotonic() < end:
                time.sleep(0.01)
                self._ended()
                living = self._signal(0)
        self._signal(signal.SIGKILL)
        while self.status is None:
            self._bury(0)
        # Daemons and shells' jobs are in groups of their own, but on Linux they are the keeper's children by now.
        while strays := _children():
            for pid in strays:
                os.kill(pid, signal.SIGKILL)
            self._bury(0)

    def _ended(self) -> bool:
        while self._bury(os.WNOHANG):
            pass
        return self.status is not None

    def _bury(self, options: int) -> bool:
        """Reap one child, adopted ones too; False when there was none."""
        try:
            pid, status = os.waitpid(-1, options)
        except ChildProcessError:
            return False
        if pid == self.pid:
            self.status = status
        return pid != 0

    def _signal(self, number: int) -> bool:
        """Whether there was anyone in the group to get the signal."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # the latter on macOS, where only zombies are left
            return False
        return True


def main(command: list[str]) -> int:
    """Run the command to its end or ours; its exit code, 128 + N for signal N."""
    try:
        kept = Kept(_spawn(command))
    except OSError as error:
        _tell(f"failed {error.strerror}")
        return 127
    signal.signal(signal.SIGTERM, kept.stop)
    try:
        _tell(f"started {kept.pid}")
        _adopt_orphans()
        kept.watch()
    finally:
        kept.end()
    code = os.waitstatus_to_exitcode(kept.status or 0)
    return code if code >= 0 else 128 - code


def _tell(line: str) -> None:
    try:
        os.write(1, f"{line}\n".encode())
    except BrokenPipeError:
        return  # pytest is gone already, as the leash is about to show


def _spawn(command: list[str]) -> int:
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
        setsid=True,
        # Python ignores SIGPIPE, and a shell may have had SIGINT ignored: neither is meant for the service.
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )


def _adopt_orphans() -> None:
    """On Linux, make a process whose parent ended a child of the keeper, whatever session it went to."""
    if sys.platform == "linux":
        try:
            import ctypes  # here, while the service comes up, since it takes longer than all the rest

            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        except (ImportError, OSError, AttributeError):
            pass


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:  # noqa: PTH123 # pathlib takes 10 ms
            return [int(pid) for pid in children.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
