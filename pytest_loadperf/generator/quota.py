"""Stages that end with a number of requests: no task begins that would make one too many.

How many requests a task makes is known only when it has made them. So each that begins has a place for its first one,
and there are no more places than requests that are still to be made: tasks of one request make exactly as many as were
asked for, whatever client they use; of the others, those that are under way are finished.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from gevent import Greenlet, getcurrent
from gevent.event import Event
from locust import TaskSet
from locust.exception import RescheduleTaskImmediately
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_WAITING

from pytest_loadperf.plan import Stage


class Quota:
    """Counts the requests of a stage in this process, and holds its users back when they are enough."""

    def __init__(self, on_made: Callable[[], None], index: int = 0, processes: int = 1) -> None:
        """`on_made` is called with the answer to the last request; this is one of so many processes."""
        self._on_made = on_made
        self._index = index
        self._processes = processes
        self._begun = False
        self._began = -inf
        self._asked: int | None = None  # of this process; None in other stages
        self._made = 0
        self._beginning: set[Greenlet] = set()  # tasks that have made no request yet
        self._held = 0  # users
        self._changed = Event()
        _ask_before_tasks(self)

    def begin_stage(self, at: float, stage: Stage | None) -> None:
        """The next stage begins; tasks that are under way still have their places."""
        self._began, self._made = at if self._begun else -inf, 0  # the first has what seems to be sent before it
        self._begun = True
        self._asked = stage.share(self._index, self._processes) if stage is not None else None
        self._let_go()

    def see(self, at: float, response_time: Any) -> None:
        """A request was answered; it belongs to the stage in which it was sent, by the numbers that are recorded."""
        self._beginning.discard(getcurrent())
        try:
            sent = at - float(response_time or 0) / 1000
        except (TypeError, ValueError, OverflowError):
            return  # it is missing in the windows, too
        if sent >= self._began:
            self._made += 1
            if self._made == self._asked:
                self._on_made()
        self._let_go()

    def _has_room(self) -> bool:
        return self._asked is None or self._made + len(self._beginning) < self._asked

    def _let_go(self) -> None:
        if self._held and self._has_room():
            changed, self._changed = self._changed, Event()
            changed.set()

    def admits(self, user: Any) -> bool:
        """Whether a task may begin; if not, return once that may have changed. The user can be stopped meanwhile."""
        if self._has_room():
            self._beginning.add(getcurrent())
            return True
        user._state = LOCUST_STATE_WAITING
        self._held += 1
        try:
            self._changed.wait()
        finally:
            self._held -= 1
        user._state = LOCUST_STATE_RUNNING
        return False

    def leave(self) -> None:
        """A task is over; if it made no request, its place is another's."""
        self._beginning.discard(getcurrent())
        self._let_go()


def leads_to_tasks(tasks: Any) -> bool:
    """Whether what these tasks do next is not a task, but a set of tasks."""
    following = tasks._task_queue[0]
    return isinstance(following, type) and issubclass(following, TaskSet)


def _ask_before_tasks(quota: Quota) -> None:
    """In this process, let every task ask whether it may begin."""
    execute: Callable[[TaskSet], None] = TaskSet.execute_next_task

    def execute_next_task(tasks: Any) -> None:
        if leads_to_tasks(tasks):
            execute(tasks)
            return
        if not quota.admits(tasks.user):
            raise RescheduleTaskImmediately  # it may be that an arrival has to be waited for now
        try:
            execute(tasks)
        finally:
            quota.leave()

    TaskSet.execute_next_task = execute_next_task  # type: ignore[method-assign]
