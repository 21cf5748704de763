"""One load in the generator's process: its stages one after the other, whoever runs the users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from gevent import get_hub
from gevent.event import Event

from pytest_loadperf.generator.local_workers import LocalWorkers
from pytest_loadperf.generator.locust_page import Page
from pytest_loadperf.generator.master import Master
from pytest_loadperf.generator.open_files import check_limit
from pytest_loadperf.generator.patience import PatientLocalRunner
from pytest_loadperf.generator.prepare import Prepared, Role, prepare
from pytest_loadperf.generator.protocol import (
    Addresses,
    Began,
    End,
    Failed,
    Finishing,
    Message,
    Order,
    StageBegan,
)
from pytest_loadperf.generator.running import Running
from pytest_loadperf.generator.stages import run_shape, run_stages
from pytest_loadperf.generator.users import holds_connection
from pytest_loadperf.generator.workers import Workers
from pytest_loadperf.plan import Plan, Stage

_CUT_SHORT = "the users' code stopped the load before its stages were over"


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan, tell: Callable[[Message], None], processes: LocalWorkers) -> None:
        self._plan = plan
        self._tell = tell
        self._began = 0.0
        self._stopping = Event()
        self._requests_made = Event()  # those that the stage was asked for
        self._failure: Failed | None = None
        self._faults: list[str] = []
        loop = get_hub().loop
        self._asked_to_stop, self._asked_to_move = loop.async_(), loop.async_()
        self._urls = plan.urls
        self._asked_to_stop.start(self._stopping.set)
        self._asked_to_move.start(self._move)
        self._prepared = prepare(plan, _role(plan), self._refuse)
        if any(map(holds_connection, self._prepared.environment.user_classes)):
            check_limit(plan)
        self._runner = self._prepared.runner
        self._runner.on_broken = self._break
        self._crew = self._mustered(self._prepared, processes)

    def _mustered(self, prepared: Prepared, processes: LocalWorkers) -> Running | Workers:
        if self._plan.crew is None:
            return Running(self._plan, prepared, self._tell, self._cut_short, self._ask_users, self._requests_made.set)
        return Workers(
            self._plan, prepared, processes, self._tell, self._cut_short, self._end_at_once, self._requests_made.set
        )

    def heed(self, order: Order) -> None:
        """Do what the parent says; may be called from any thread, whose only call into gevent is `send`."""
        if isinstance(order, Addresses):
            self._urls = order.urls
            self._asked_to_move.send()
        else:
            self._asked_to_stop.send()

    def _move(self) -> None:
        self._prepared.spread.move(self._urls)

    def _refuse(self, text: str) -> None:
        self._end_at_once(Failed("refused", text))

    def _break(self, text: str) -> None:
        self._end_at_once(Failed("error", text))

    def _end_at_once(self, failure: Failed) -> None:
        self._failure = self._failure or failure
        self._stopping.set()

    def _cut_short(self) -> None:
        """The user's code ends the load."""
        if not self._stopping.is_set():
            self._faults.append(_CUT_SHORT)
            self._stopping.set()

    def _ask_users(self, count: int) -> None:
        self._runner.start(count, max(count, self._runner.user_count))

    def run(self) -> None:
        """All stages, then the last answers, then the count."""
        try:
            self._crew.init()
            self._crew.gather(self._stopping)
            self._crew.start(self._stopping, self._tell)
            end = self._played() if self._failure is None else None
        finally:
            self._crew.close()
        message = self._failure or end
        assert message is not None
        self._tell(message)

    def _played(self) -> End:
        began = self._began = monotonic()
        self._tell(Began(began))
        self._crew.begin(began)
        page = Page(self._plan, self._prepared) if self._plan.locust_page else None
        if self._prepared.shape is None:
            stages, stopping = self._plan.stages, self._stopping
            run_stages(self._runner, stages, began, stopping, self._requests_made, self._begin_stage)
        else:
            run_shape(self._runner, self._prepared.shape, self._plan.scale, began, self._stopping, self._begin_stage)
        ended = monotonic()
        self._stopping.set()  # who ends the load from here on does not cut it short
        self._tell(Finishing())
        self._crew.end_stages(ended)
        self._crew.finish(0.0 if self._failure else self._plan.answer_wait_s)  # then nobody's answer matters
        self._crew.quit()
        end = self._crew.end(ended - began)
        if page is not None and self._failure is None:
            self._tell(page.made())
        return replace(end, faults=(*self._faults, *_faults(end)))

    def _begin_stage(self, name: str, at: float, stage: Stage | None) -> None:
        self._crew.begin_stage(at, stage)
        self._tell(StageBegan(at - self._began, name))


def _role(plan: Plan) -> Role:
    if plan.crew is None:
        return Role(PatientLocalRunner, (plan.answer_wait_s,))
    arguments = ("--headless", "--master", "--expect-workers", str(plan.crew.size))
    return Role(Master, (plan.crew.host, plan.crew.port, plan.crew.token), arguments)


def _faults(end: End) -> list[str]:
    """Why this is not the load that was asked for; Locust ends with an error status for exceptions, too."""
    raised = [f"user code raised {text} ({count} times)" for text, count in end.user_errors.items()]
    return [*raised, *end.faults]
