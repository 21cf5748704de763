"""How a process of the generator begins and ends: the generator itself, or a worker of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

REFUSED = 4  # exit status of a worker that the generator does not let in
NOT_READY = 5  # of one whose users' code takes too long to import
HELD_UP = 6  # of one whose users' code holds its loop for good
# The package is found wherever pytest found it, without a PYTHONPATH that the user's own subprocesses would inherit.
# Where it is installed it is found anyway, and other packages beside it are not to hide the standard library's.
_START = (
    "import sys; place = {path!r}; place in sys.path or sys.path.insert(0, place); "
    "from pytest_loadperf.generator.child import main; main()"
)


def command() -> list[str]:
    """Its command line; the first message on its input says what it is to be."""
    return [sys.executable, "-P", "-c", _START.format(path=str(Path(__file__).parents[2]))]


def how_ended(status: int) -> str:
    """What became of it, in words."""
    if status == 0:
        return "ended"  # gevent may have asked first, and been told how: then nobody else is
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"


def end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, at which it ends by itself, or else end it, and all of its session."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    with suppress(ProcessLookupError, PermissionError):  # what user code started in it, and itself if it hangs
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
