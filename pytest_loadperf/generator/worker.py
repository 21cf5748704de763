"""A worker's part of one load, from its hello to its account."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import NoReturn
from uuid import uuid4

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from pytest_loadperf.generator import shipping, wire
from pytest_loadperf.generator.connections import Asking, encrypt
from pytest_loadperf.generator.patience import PatientWorkerRunner
from pytest_loadperf.generator.prepare import Role, prepare
from pytest_loadperf.generator.protocol import Failed, Join
from pytest_loadperf.generator.running import Running
from pytest_loadperf.generator.start import HELD_UP, NOT_READY, REFUSED
from pytest_loadperf.history.environment import versions
from pytest_loadperf.plan import Plan
from pytest_loadperf.worker_token import VARIABLE

_ASK_EVERY_MS = 1000  # a master that is about to end may have taken the last hello with it
_BEAT_EVERY_S = 0.5


class Worker:
    """Joins the generator that listens where it was told; `say` tells the one who started it how it goes."""

    def __init__(self, join: Join, say: Callable[[str], object]) -> None:
        self._join = join
        self._say = say
        self._name = f"{wire.ASKING}{socket.gethostname()} {uuid4().hex}"
        encrypt(join.token)
        self._connection = Asking(_resolvable(join.host), join.port, self._name)
        self._runner: PatientWorkerRunner | None = None
        self._began = 0.0
        self._stage = -1  # that it was told of last
        self._wait_s = 0.0  # for the last answers, unless the generator says otherwise
        self._over = Event()
        self._ready = False
        self._gone = False  # the generator
        self._beats = 0  # of a greenlet, while nothing holds the loop

    def run(self) -> int:
        """The exit status of the process."""
        welcome = self._welcomed()
        try:
            if isinstance(welcome, wire.Refusal):
                self._say(f"refused: {welcome.text}")
                return REFUSED
            self._say(f"joined {self._join.host}:{self._join.port} as worker {welcome.number} of {welcome.size}")
            self._play(welcome)
        except BaseException as error:  # whatever the user's code raises at import, SystemExit included
            self._break(error)
            self._say("the load can't be run; the generator was told why")
        finally:
            wire.close(self._runner.client if self._runner else self._connection, self._gone)
        return 0

    def _welcomed(self) -> wire.Welcome | wire.Refusal:
        """Say hello, again and again, until a generator answers."""
        hello = wire.Hello(
            pid=os.getpid(),
            host=socket.gethostname(),
            machine=wire.this_machine(),
            network=wire.this_network(),
            versions=versions(),
            number=self._join.number,
            home=self._join.home,
            wants_code=bool(self._join.folder) and not self._join.code,
        )
        told = False
        while True:
            self._connection.ask(wire.framed(hello, self._name))
            if self._connection.socket.poll(_ASK_EVERY_MS):
                message = self._connection.recv()  # type: ignore[no-untyped-call]
                if answer := wire.read(wire.Welcome, message) or wire.read(wire.Refusal, message):
                    return answer
            if self._connection.refused() and not told:
                told = True
                self._say(
                    f"{self._join.host}:{self._join.port} does not take this worker: its {VARIABLE} is another, or "
                    "that is no generator of this version"
                )

    def _play(self, welcome: wire.Welcome) -> None:
        gevent.spawn(self._beat)
        self._see_to_it_that_it_ends(welcome.come_s)
        plan = self._placed(welcome)
        self._wait_s = plan.answer_wait_s
        sys.path[:] = plan.sys_path
        running = self._running(plan, welcome)
        running.init()
        self._ready = True
        self._tell(wire.Ready())
        self._over.wait()
        running.finish(self._wait_s)
        running.quit()
        assert isinstance(running.runner, PatientWorkerRunner)
        running.runner.report()  # so that the account is of what the master has not been told
        end = running.end(monotonic() - self._began)
        self._tell(wire.Over(end))
        self._say(f"the load is over: {end.requests} requests")

    def _beat(self) -> NoReturn:
        while True:
            self._beats += 1
            gevent.sleep(_BEAT_EVERY_S)

    def _see_to_it_that_it_ends(self, within_s: float) -> None:
        """User code that runs for ever holds the loop, which a real thread does not need."""
        sleep = get_original("time", "sleep")

        def end_if_held_up() -> None:
            sleep(within_s)
            if not self._ready:
                self._say(f"not ready within {within_s:g} s; the users' code was still being imported")
                os._exit(NOT_READY)
            if not self._join.home:
                return  # the generator ends its own
            beats = -1
            while beats != self._beats:
                beats = self._beats
                sleep(within_s)
            self._say(
                f"held up for {within_s:g} s by users' code that computes, or waits without gevent knowing; it is ended"
            )
            os._exit(HELD_UP)

        get_original("_thread", "start_new_thread")(end_if_held_up, ())

    def _placed(self, welcome: wire.Welcome) -> Plan:
        """The plan, as the files are found here."""
        if not self._join.folder:
            return welcome.plan  # the generator's own machine
        os.chdir(self._join.code or self._join.folder)
        if self._join.code:
            return shipping.found(welcome.plan, welcome.root, Path(self._join.code))
        return shipping.unpacked(welcome.plan, welcome.files, Path(self._join.folder))

    def _running(self, plan: Plan, welcome: wire.Welcome) -> Running:
        """The users, who hear of the stages from now on."""
        master = (plan.answer_wait_s, self._join.host, self._join.port, welcome.client)
        index = welcome.number - 1
        first_url = index % max(1, len(plan.urls))
        prepared = prepare(plan, Role(PatientWorkerRunner, master, ("--worker",), first_url), self._refuse)
        assert isinstance(prepared.runner, PatientWorkerRunner)
        runner = self._runner = prepared.runner
        runner.on_broken = lambda text: self._tell(wire.Broken(Failed("error", text)))
        running = Running(
            plan,
            prepared,
            lambda second: self._tell(wire.Told(second, running.recorder.users_lately())),
            lambda: self._cut_short(running),
            lambda users: self._tell(wire.Wanted(users)),
            lambda: self._tell(wire.Made(self._stage)),
            (index, welcome.size),
        )
        self._follow(runner, running, plan)
        return running

    def _follow(self, runner: PatientWorkerRunner, running: Running, plan: Plan) -> None:
        stages = iter(plan.stages)

        def begin(_sender: str, _message: wire.Begins) -> None:
            self._say("the load begins")
            self._began = monotonic()
            running.begin(self._began)

        def begin_stage(_sender: str, stage: wire.StageBegins) -> None:
            self._stage += 1
            running.begin_stage(self._begins(plan, stage.at_s), next(stages, None))

        def end_stages(_sender: str, end: wire.StagesEnd) -> None:
            at = self._began + end.at_s  # by this clock it may be a moment until then, in which arrivals are due
            gevent.spawn_later(max(0.0, at - monotonic()), self._end, running, at, end.wait_s)

        def leave() -> None:
            self._gone = True
            self._end(running, monotonic(), 0.0)

        runner.on_gone = leave
        wire.listen(runner, wire.Begins, begin, self._break)
        wire.listen(runner, wire.StageBegins, begin_stage, self._break)
        wire.listen(runner, wire.StagesEnd, end_stages, self._break)

    def _begins(self, plan: Plan, at_s: float) -> float:
        """When a stage does, by this clock, by which it may be a moment until then: who was held back goes on now."""
        before = plan.stages[self._stage - 1] if 0 < self._stage <= len(plan.stages) else None
        at = self._began + at_s
        return min(at, monotonic()) if before is not None and before.requests else at

    def _cut_short(self, running: Running) -> None:
        """The user's code ends the load, for all."""
        self._tell(wire.CutShort())
        self._end(running, monotonic(), self._wait_s)

    def _end(self, running: Running, at: float, wait_s: float) -> None:
        if not running.ending:
            running.end_stages(at)
        self._wait_s = wait_s
        self._over.set()

    def _refuse(self, text: str) -> None:
        self._tell(wire.Broken(Failed("refused", text)))

    def _break(self, error: BaseException) -> None:
        self._tell(wire.Broken(Failed.of(error)))

    def _tell(self, message: object) -> None:
        if self._runner is not None:
            wire.tell(self._runner, message)
        else:
            self._connection.send(wire.framed(message, self._name))


def _resolvable(host: str) -> str:
    """The name once it is known: of a container that does not run yet it is not, and Locust does not ask twice."""
    while True:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError:
            gevent.sleep(_ASK_EVERY_MS / 1000)
        else:
            return host
