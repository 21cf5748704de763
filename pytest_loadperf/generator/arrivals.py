"""The open model: arrivals on a schedule that the service cannot slow down.

A closed load waits for a slow service, and so asks less of it just when it is slow. Here each arrival is due at its
moment: a user that is free takes it, the pool of users grows while none is, and when it may not grow any more the
arrival waits. The wait counts: the latency of a task's first request begins when its arrival was due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from time import monotonic
from typing import Any

from gevent import getcurrent
from gevent.event import Event
from gevent.queue import SimpleQueue
from locust import TaskSet
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Stage

_FIRST_USERS_S = 0.1  # the pool begins with as many users as arrive in this time
_GROWTH = 0.1  # and grows by this share of itself, so that a burst does not wait for one new user at a time


class Arrivals:
    """Hands arrivals to users from the first stage of the open model until `release`."""

    def __init__(self, ask_users: Callable[[int], None], index: int = 0, processes: int = 1) -> None:
        self._ask_users = ask_users
        self._index = index  # of so many processes, which make an arrival in turn
        self._processes = processes
        self._queue: SimpleQueue[float | None] = SimpleQueue()
        self._free = 0  # users that wait for an arrival
        self._asked_users = 0
        self._late = Histogram()
        self.active = False  # whether users wait for arrivals, instead of doing as they are written
        _take_before_tasks(self)

    def run(self, stage: Stage, users: int, began: float, stopping: Event) -> ArrivalRecord:
        """Make this process's arrivals of a stage due at their moments; `users` is how many it has already."""
        schedule, most = stage.schedule, math.ceil(stage.most_users / self._processes)
        assert schedule is not None
        self._late, self.active = Histogram(), True
        first = schedule.start_rate * _FIRST_USERS_S / self._processes
        self._grow(min(most, max(users, round(first) + 1)))
        due = 0
        for after_s in islice(schedule.due(), self._index, None, self._processes):
            ahead = began + after_s - monotonic()
            if ahead > 0 and stopping.wait(ahead):
                break
            self._queue.put(began + after_s)
            due += 1
            if self._queue.qsize() > self._free and self._asked_users < most:
                self._grow(min(most, self._asked_users + 1 + int(self._asked_users * _GROWTH)))
        stopping.wait(max(0.0, began + schedule.lasts_s - monotonic()))
        started, waiting = self._late.total, self._drop_waiting()
        return ArrivalRecord(due, started, waiting, min(schedule.lasts_s, monotonic() - began), self._late)

    def take(self, user: Any) -> float | None:
        """Wait for an arrival, as a user that can be stopped meanwhile; how late it begins, in ms, if there is one."""
        if not self.active:
            return None
        user._state = LOCUST_STATE_WAITING
        self._free += 1
        try:
            due: float | None = self._queue.get()
        finally:
            self._free -= 1
        if user._state == LOCUST_STATE_STOPPING:
            if due is not None:
                self._queue.put(due)
            raise StopUser
        user._state = LOCUST_STATE_RUNNING
        if due is None:
            return None
        late_ms = max(0.0, monotonic() - due) * 1000
        self._late.add(late_ms)
        return late_ms

    def _grow(self, users: int) -> None:
        self._asked_users = users
        self._ask_users(users)

    def _drop_waiting(self) -> int:
        """How many arrivals found no user until the end of their stage."""
        waiting = 0
        while not self._queue.empty():
            self._queue.get()
            waiting += 1
        return waiting

    def release(self) -> None:
        """Send the users that wait for arrivals back to what they do without."""
        self.active = False
        for _ in range(self._free):
            self._queue.put(None)


def _take_before_tasks(arrivals: Arrivals) -> None:
    """In this process, let every task wait for its arrival, instead of for its user's wait time after the last one."""
    execute: Callable[[TaskSet], None] = TaskSet.execute_next_task
    wait: Callable[[TaskSet], None] = TaskSet.wait

    def execute_next_task(tasks: Any) -> None:
        tasks.loadperf_between = False
        following = tasks._task_queue[0]
        nested = isinstance(following, type) and issubclass(following, TaskSet)  # its tasks take the arrivals
        late_ms = None if nested else arrivals.take(tasks.user)
        if late_ms is not None:
            getcurrent().loadperf_late_ms = late_ms  # the recorder adds it to the task's first request
        try:
            execute(tasks)
        finally:
            tasks.loadperf_between = True

    def wait_between_tasks(tasks: Any) -> None:
        if not (arrivals.active and tasks.loadperf_between):  # a task may wait on its own account
            wait(tasks)

    TaskSet.execute_next_task = execute_next_task  # type: ignore[method-assign]
    TaskSet.wait = wait_between_tasks  # type: ignore[method-assign]
