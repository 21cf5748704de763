"""Locust's runners of users, which get the time to finish what they are doing."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn

import gevent
import zmq
from gevent import Greenlet, getcurrent
from locust import User, argument_parser
from locust.env import Environment
from locust.runners import MASTER_HEARTBEAT_TIMEOUT, LocalRunner, Runner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

_CUT_OFF_S = 2


class PatientRunner(Runner):
    """Tells what Locust only logs: users that could not start, that have to be killed, and a load that is stopped."""

    def __init__(self, environment: Environment, wait_s: float, *master: Any) -> None:
        self.wait_s = wait_s  # how long users may take to finish their task
        self.on_busy: Callable[[list[Greenlet]], None] = lambda _busy: None
        self.on_broken: Callable[[str], None] = lambda _traceback: None
        self.on_stop: Callable[[], None] = lambda: None
        super().__init__(environment, *master)

    def tell_broken(self, spawning: Greenlet) -> None:
        """What went wrong with starting users."""
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


class PatientLocalRunner(PatientRunner, LocalRunner):
    """The runner of a load without workers."""

    def start(self, *arguments: Any, **options: Any) -> None:
        """Go to another number of users; what goes wrong with starting them is told."""
        super().start(*arguments, **options)
        if self.spawning_greenlet is not None:
            self.spawning_greenlet.link_exception(self.tell_broken)


class PatientWorkerRunner(PatientRunner, WorkerRunner):
    """The runner of a worker, which sees when its master is gone."""

    def __init__(self, environment: Environment, wait_s: float, host: str, port: int, client: str) -> None:
        self._client_id = client
        self.on_gone: Callable[[], None] = lambda: None
        self._cut_off = False
        # Its worker asks for this for every option, with every change of the users: 100 ms without a look at answers.
        argument_parser.default_args_dict = cache(argument_parser.default_args_dict)
        argument_parser.default_args_dict()
        super().__init__(environment, wait_s, host, port)
        monitor = self.client.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.greenlet.spawn(self._see_cut_off, monitor)

    @property
    def client_id(self) -> str:
        """The name by which the master hears it: the one that it gave, not Locust's choice."""
        return self._client_id

    @client_id.setter
    def client_id(self, _chosen: str) -> None:
        """Locust sets one."""

    def _see_cut_off(self, monitor: Any) -> NoReturn:
        while True:
            monitor.recv_multipart()
            self._cut_off, self.last_heartbeat_timestamp = True, None

    def heartbeat_timeout_checker(self) -> NoReturn:
        """Count seconds of silence, as a clock on the wall may be set; fewer are enough once the connection is lost."""
        silent_s = 0
        while True:
            gevent.sleep(1)
            if self.last_heartbeat_timestamp:
                self.last_heartbeat_timestamp, self._cut_off, silent_s = None, False, 0
            else:
                silent_s += 1
            if silent_s > (_CUT_OFF_S if self._cut_off else MASTER_HEARTBEAT_TIMEOUT):
                self.on_gone()

    def start_worker(self, user_classes_count: dict[str, int], **options: Any) -> None:
        """Go to another number of users; what goes wrong with starting them is told."""
        try:
            super().start_worker(user_classes_count, **options)
        except Exception:
            self.on_broken(traceback.format_exc().rstrip())
            raise

    def report(self) -> None:
        """Tell Locust's master what it does not know yet."""
        self._send_stats()
