"""The generator's process: imports Locust (which patches this process, and no other), runs a plan, reports windows."""

from __future__ import annotations

import _thread
import gc
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

from pytest_loadperf.errors import HostRefused, LoadperfError
from pytest_loadperf.generator.protocol import Failed, Message, Reader, send
from pytest_loadperf.plan import Plan

PARENT_GONE = 3  # exit status
_OPEN_FILES = 10_000


def main() -> NoReturn:
    """Read a plan from standard input, run it, write messages to what was standard output."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what the user's code prints must not stand between the messages
    sys.stdout = sys.stderr  # which holds no line back: a process that is killed has its last words
    plan = Reader(0).next()
    if isinstance(plan, Plan):
        # A real thread, made before Locust patches threads: it sees a dead parent even while user code holds the loop.
        stops: list[Callable[[], None]] = []
        _thread.start_new_thread(_watch_parent, (stops,))
        _run(plan, partial(send, answers), stops)
    sys.stderr.flush()
    os._exit(0)  # threads and greenlets of the user's code do not keep a finished generator alive


def _watch_parent(stops: list[Callable[[], None]]) -> None:
    """A byte on standard input means 'stop early'; its end, that pytest is gone."""
    while os.read(0, 1):
        for stop in stops:
            stop()
    os._exit(PARENT_GONE)


def _run(plan: Plan, tell: Callable[[Message], None], stops: list[Callable[[], None]]) -> None:
    os.environ.pop("LOCUST_SKIP_MONKEY_PATCH", None)  # here it has to patch, whatever the user's shell says
    sys.path[:] = plan.sys_path
    _raise_open_files()
    try:
        import locust  # noqa: F401 # patches this process; nothing of ours that uses sockets comes before it

        from pytest_loadperf.generator.load import Load

        load = Load(plan, tell)
        stops.append(load.stop)
        gc.collect()
        gc.freeze()  # all that is imported stays: without this the collector looks through it again and again
        load.run()
    except BrokenPipeError:
        os._exit(PARENT_GONE)
    except HostRefused as refused:
        tell(Failed("refused", str(refused)))
    except BaseException as error:  # whatever the user's code raises at import, SystemExit included
        tell(Failed("error", _told(error)))


def _raise_open_files() -> None:
    """As many open files as the system lets us have, as Locust does it: every user has a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _told(error: BaseException) -> str:
    import traceback

    if isinstance(error, LoadperfError):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
