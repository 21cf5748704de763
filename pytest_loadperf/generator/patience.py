"""Locust's local runner, with users that get the time to finish what they are doing."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent import Greenlet, getcurrent
from locust import User
from locust.env import Environment
from locust.runners import LocalRunner
from locust.user.task import LOCUST_STATE_STOPPING


class PatientRunner(LocalRunner):
    """Tells what Locust only logs: users that could not start, that have to be killed, and a load that is stopped."""

    def __init__(self, environment: Environment, wait_s: float) -> None:
        super().__init__(environment)
        self.wait_s = wait_s  # how long users may take to finish their task
        self.on_busy: Callable[[list[Greenlet]], None] = lambda _busy: None
        self.on_broken: Callable[[str], None] = lambda _traceback: None
        self.on_stop: Callable[[], None] = lambda: None

    def start(self, *arguments: Any, **options: Any) -> None:
        """Go to another number of users; what goes wrong with starting them is told."""
        super().start(*arguments, **options)
        if self.spawning_greenlet is not None:
            self.spawning_greenlet.link_exception(self._tell_broken)

    def _tell_broken(self, spawning: Greenlet) -> None:
        self.on_broken("".join(traceback.format_exception(*spawning.exc_info)).rstrip())

    def stop(self) -> None:
        """Stop all users."""
        self.on_stop()
        super().stop()

    def stop_users(self, user_classes_stop_count: dict[str, int]) -> None:
        """Let so many users of each class finish their task, and kill those that have not when time is up.

        What they wait for would never be counted otherwise, so they are told before they are killed.
        """
        leaving = list(self._chosen(dict(user_classes_stop_count)))
        asked = [gevent.spawn(user.stop) for user in leaving if user._state != LOCUST_STATE_STOPPING]
        waited_for = [user.greenlet for user in leaving if user.greenlet is not getcurrent()]
        gevent.joinall([*asked, *waited_for], timeout=self.wait_s)
        busy = [greenlet for greenlet in waited_for if not greenlet.ready()]
        if busy:
            self.on_busy(busy)
            gevent.killall(busy, timeout=1)

    def _chosen(self, counts: dict[str, int]) -> Iterator[User]:
        """Users that are leaving already come first: a ramp-down that goes on counts them again."""
        users = [greenlet.args[0] for greenlet in self.user_greenlets if greenlet.args]
        for user in sorted(users, key=lambda user: user._state != LOCUST_STATE_STOPPING):
            name = type(user).__name__
            if counts.get(name, 0) > 0:
                counts[name] -= 1
                yield user
