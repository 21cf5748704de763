"""The open model: arrivals on a schedule that the service cannot slow down.

A closed load waits for a slow service, and so asks less of it just when it is slow. Here each arrival is due at its
moment: a user that is free takes it, the pool of users grows while none is, and when it may not grow any more the
arrival waits. The wait counts: the latency of a task's first request begins when its arrival was due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any
from weakref import WeakSet

import gevent
from gevent import getcurrent
from gevent.event import Event
from gevent.queue import SimpleQueue
from locust import TaskSet, User
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_WAITING

from pytest_loadperf.generator.lateness import begin_task
from pytest_loadperf.generator.quota import leads_to_tasks
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Stage

_FIRST_USERS_S = 0.1  # the pool begins with as many users as arrive in this time
_GROWTH = 0.1  # and grows by this share of itself, so that a burst does not wait for one new user at a time
_STARTED_WITHIN_S = 1.0  # users that were asked for and are not there by then have ended
_OVERDUE_S = 0.1  # an arrival that still waits when its stage ends may just have been due
_SURPLUS_GONE_S = 0.1  # when a stage of users follows, those that it has no use for are stopped first


@dataclass(frozen=True)
class Pool:
    """The users of this process, as arrivals need them."""

    ask: Callable[[int], None]  # for so many in all
    count: Callable[[], int]
    see_late: Callable[[float], None]  # that a user who was free began so many seconds late


class Arrivals:
    """Hands arrivals to users from `begin` until `release`."""

    def __init__(self, pool: Pool, index: int = 0, processes: int = 1) -> None:
        self._pool = pool
        self._index = index  # of so many processes, which make an arrival in turn
        self._processes = processes
        self._queue: SimpleQueue[float | None] = SimpleQueue()
        self._free = 0  # users that wait for an arrival
        self._come: WeakSet[User] = WeakSet()  # users that have come to their tasks: the others are still starting
        self._asked_users = 0
        self._asked_at = -math.inf
        self._late = Histogram()
        self.active = False  # whether users wait for arrivals, instead of doing as they are written
        self._begun = Event()  # set while they do
        _take_before_tasks(self)
        _wait_between_tasks(self)

    def begin(self) -> None:
        """From now on no task begins without an arrival."""
        self.active = True
        self._begun.set()

    def run(self, stage: Stage, began: float, stopping: Event) -> ArrivalRecord:
        """Make this process's arrivals of a stage due at their moments."""
        schedule, most = stage.schedule, math.ceil(stage.most_users / self._processes)
        assert schedule is not None
        self._late = Histogram()
        gevent.sleep(0)  # so that those who were waiting between their tasks are free for the first arrival
        first = round(schedule.start_rate * _FIRST_USERS_S / self._processes) + 1
        self._ask(min(most, max(self._pool.count(), first)))
        due = 0
        for after_s in islice(schedule.due(), self._index, None, self._processes):
            ahead = began + after_s - monotonic()
            if ahead > 0 and stopping.wait(ahead):
                break
            self._queue.put(began + after_s)
            due += 1
            self._grow(most)
        stopping.wait(max(0.0, began + schedule.lasts_s - monotonic()))
        ended, started = monotonic(), self._late.total
        waits = [ended - moment for moment in self._waiting()]
        return ArrivalRecord(
            due=due,
            started=started,
            waiting=len(waits),
            overdue=sum(wait > _OVERDUE_S for wait in waits),
            lasted_s=min(schedule.lasts_s, ended - began),
            late=self._late,
        )

    def _ask(self, users: int) -> None:
        self._asked_users, self._asked_at = users, monotonic()
        self._pool.ask(users)

    def _grow(self, most: int) -> None:
        """Ask for more users where more arrivals wait than users are free, or on their way."""
        if self._queue.qsize() <= self._free:
            return
        there = self._pool.count()
        asked = self._asked_users if monotonic() < self._asked_at + _STARTED_WITHIN_S else 0
        users = max(there, asked)
        if self._queue.qsize() > self._free + users - len(self._come) and users < most:
            self._ask(min(most, users + 1 + int(users * _GROWTH)))

    def _waiting(self) -> list[float]:
        """When the arrivals were due that found no user until the end of their stage; they are given up."""
        waiting: list[float] = []
        while not self._queue.empty():
            moment = self._queue.get()
            assert moment is not None  # nobody is released while arrivals come
            waiting.append(moment)
        return waiting

    def release(self) -> None:
        """Send the users that wait for arrivals back to what they do without."""
        self.active = False
        self._begun.clear()
        # With a queue of their own: what a user that is stopped meanwhile leaves in it reaches no later stage.
        waited_at, self._queue = self._queue, SimpleQueue()
        for _ in range(self._free):
            waited_at.put(None)

    def see(self, user: User) -> None:
        """It has come to its tasks: when arrivals want users it is free, or busy, but not on its way."""
        self._come.add(user)

    def sleep(self, seconds: float) -> None:
        """Until arrivals begin, if they do: who thinks then would be missing, and what it takes be the service's."""
        if self.active or seconds <= 0:
            gevent.sleep(seconds)
        else:
            self._begun.wait(seconds)

    def take(self, user: Any) -> float | None:
        """Wait for an arrival, as a user that can be stopped meanwhile; how late it begins, in ms.

        None if it is to go on as it is written.
        """
        user._state = LOCUST_STATE_WAITING
        self._free += 1
        free_since = monotonic()
        try:
            due: float | None = self._queue.get()
        finally:
            self._free -= 1
        if due is None:
            gevent.sleep(_SURPLUS_GONE_S)
            user._state = LOCUST_STATE_RUNNING
            return None
        user._state = LOCUST_STATE_RUNNING
        late_s = max(0.0, monotonic() - due)
        self._late.add(late_s * 1000)
        if free_since < due:
            self._pool.see_late(late_s)
        return late_s * 1000


def _take_before_tasks(arrivals: Arrivals) -> None:
    """In this process, let every task wait for its arrival, while these are made."""
    execute: Callable[[TaskSet], None] = TaskSet.execute_next_task

    def execute_next_task(tasks: Any) -> None:
        arrivals.see(tasks.user)
        begin_task(getcurrent(), 0.0 if leads_to_tasks(tasks) else _take(arrivals, tasks))  # these take the arrivals
        tasks.loadperf_between = False
        try:
            execute(tasks)
        finally:
            tasks.loadperf_between = True

    TaskSet.execute_next_task = execute_next_task  # type: ignore[method-assign]


def _take(arrivals: Arrivals, tasks: Any) -> float:
    """How late the arrival began that the next of these tasks takes, if it takes one, in ms."""
    tasks.loadperf_between, tasks.user.loadperf_took = True, False
    while arrivals.active:
        late_ms = arrivals.take(tasks.user)
        if late_ms is not None:
            tasks.user.loadperf_took = True
            return late_ms
        if not arrivals.active:
            tasks.wait()  # and arrivals may have come again meanwhile
    return 0.0


def _wait_between_tasks(arrivals: Arrivals) -> None:
    """In this process, let no user wait between its tasks while arrivals are made.

    A task may wait on its own account, and so may one that took no arrival.
    """
    wait: Callable[[TaskSet], None] = TaskSet.wait
    sleep: Callable[[TaskSet, float], None] = TaskSet._sleep

    def wait_between_tasks(tasks: Any) -> None:
        between, took = getattr(tasks, "loadperf_between", False), getattr(tasks.user, "loadperf_took", False)
        if arrivals.active and between and took:
            tasks.user.loadperf_took = False
        else:
            wait(tasks)

    def sleep_between_tasks(tasks: Any, seconds: float) -> None:
        if getattr(tasks, "loadperf_between", False):
            arrivals.sleep(seconds)
        else:
            sleep(tasks, seconds)

    TaskSet.wait = wait_between_tasks  # type: ignore[method-assign]
    TaskSet._sleep = sleep_between_tasks  # type: ignore[method-assign]
