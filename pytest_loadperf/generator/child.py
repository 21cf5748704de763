"""A process of the generator: imports Locust (which patches this process, and no other) and runs a plan or its part."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.local_workers import LocalWorkers
from pytest_loadperf.generator.open_files import raise_limit
from pytest_loadperf.generator.protocol import Addresses, Failed, Join, Message, Order, Reader, Stop, send
from pytest_loadperf.generator.start import REFUSED
from pytest_loadperf.plan import Plan

PARENT_GONE = 3  # exit status


def main() -> NoReturn:
    """Read from standard input what to be, the generator or a worker; write messages to what was standard output."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what the user's code prints must not stand between the messages
    sys.stdout = sys.stderr  # which holds no line back: a process that is killed has its last words
    parent = Reader(0)
    asked = parent.next()
    # A real thread, made before Locust patches threads: it sees a dead parent even while user code holds the loop.
    heeding: list[Callable[[Order], None]] = []
    _thread.start_new_thread(_heed_parent, (parent, heeding))
    status = 0
    if isinstance(asked, Plan):
        _generate(asked, partial(send, answers), heeding)
    elif isinstance(asked, Join):
        status = _work(asked, answers)
    sys.stderr.flush()
    os._exit(status)  # threads and greenlets of the user's code do not keep a finished generator alive


def _heed_parent(parent: Reader, heeding: list[Callable[[Order], None]]) -> None:
    """Pass on what standard input says; its end means that pytest is gone."""
    while (said := parent.next()) is not None:
        assert isinstance(said, Stop | Addresses)
        for heed in heeding:
            heed(said)
    os._exit(PARENT_GONE)


def _generate(plan: Plan, tell: Callable[[Message], None], heeding: list[Callable[[Order], None]]) -> None:
    workers = LocalWorkers(plan.crew.local if plan.crew else 0)  # whose processes start meanwhile
    sys.path[:] = plan.sys_path
    _make_ready()
    try:
        import locust  # noqa: F401 # patches this process; nothing of ours that uses sockets comes before it

        from pytest_loadperf.generator.load import Load

        load = Load(plan, tell, workers)
        heeding.append(load.heed)
        load.run()
    except BrokenPipeError:
        os._exit(PARENT_GONE)
    except BaseException as error:  # whatever the user's code raises at import, SystemExit included
        tell(Failed.of(error))


def _work(join: Join, answers: int) -> int:
    _make_ready()
    import locust  # noqa: F401 # as above

    from pytest_loadperf.generator.worker import Worker

    def say(line: str) -> None:
        os.write(answers, f"{line}\n".encode())

    try:
        return Worker(join, say).run()
    except GeneratorError as error:
        say(str(error))
        return REFUSED


def _make_ready() -> None:
    os.environ.pop("LOCUST_SKIP_MONKEY_PATCH", None)  # here it has to patch, whatever the user's shell says
    raise_limit()
