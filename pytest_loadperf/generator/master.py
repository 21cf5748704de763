"""Locust's master, as this generator drives it."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable
from time import time
from typing import Any, NoReturn

from gevent import Greenlet
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_MISSING, STATE_RUNNING, MasterRunner

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator import wire
from pytest_loadperf.generator.connections import encrypt, reaches
from pytest_loadperf.generator.strangers import Strangers
from pytest_loadperf.generator.wire import ASKING


class Master(MasterRunner):
    """Starts users without waiting for them, hears its workers to their last word, and is stopped by nobody else."""

    def __init__(self, environment: Environment, host: str, port: int, token: str) -> None:
        self.on_stop: Callable[[], None] = lambda: None
        self.on_broken: Callable[[str], None] = lambda _traceback: None
        self.reported_requests: Counter[str] = Counter()  # of each worker, as Locust added them to its own
        self.reported_failures: Counter[str] = Counter()
        self.on_hello: Callable[[str, Message], None] = lambda _sender, _message: None
        self.on_dismissed: Callable[[str], None] = lambda _sender: None
        self.on_stranger: Callable[[str], None] = lambda _address: None
        self.admitted: set[str] = set()  # the names by which workers may speak
        self._dismissed: set[str] = set()  # those who are not to come back
        self._ending = False
        encrypt(token)
        environment.shape_class = None  # it is led from outside; this runner would set its clock back
        try:
            super().__init__(environment, host, port)
        except (SystemExit, Exception) as error:  # Locust exits where the port is taken
            why = "Address already in use" if isinstance(error, SystemExit) else str(error)
            raise GeneratorError(
                f"the generator can't listen for workers on {host}:{port}: {why}. "
                "Give --loadperf-master an address of this machine, and a port that is free"
            ) from None
        self._strangers = Strangers(self.server, lambda address: self.on_stranger(address))
        environment.events.worker_report.add_listener(self._count_report)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.port)

    def get_worker_index(self, client_id: str) -> int:
        """From 0 for those that have joined: user code divides its data by it."""
        if client_id.startswith(ASKING):
            return -1
        index: int = super().get_worker_index(client_id)  # type: ignore[no-untyped-call]
        return index

    def _count_report(self, client_id: str, data: dict[str, Any]) -> None:
        self.reported_requests[client_id] += data["stats_total"]["num_requests"]
        self.reported_failures[client_id] += data["stats_total"]["num_failures"]

    def client_listener(self) -> NoReturn:
        """Locust's, which a message that nobody can read would end."""
        while True:
            try:
                super().client_listener()
            except Exception:
                logging.exception("a message on the port for workers could not be read")

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Hear those that were let in: others that know the token may have come too late, or be a worker's ghost."""
        if wire.is_kind(wire.Hello, msg):
            self.on_hello(client_id, msg)  # Locust would count it as a worker
        elif client_id in self.admitted:
            super().handle_message(client_id, msg)
        elif client_id in self._dismissed:
            self.on_dismissed(client_id)

    def start(self, *arguments: Any, **options: Any) -> None:
        """Go to another number of users, in a greenlet of its own as Locust's local runner does it."""
        if self.spawning_greenlet is not None:
            self.spawning_greenlet.kill(block=True)
        self.spawning_greenlet = self.greenlet.spawn(super().start, *arguments, **options)
        self.spawning_greenlet.link_exception(self._tell_broken)

    def start_nobody(self) -> None:
        """Have the workers fire their test_start event, as they do before the first users that they are to start."""
        job = {
            "timestamp": time(),
            "user_classes_count": {user.__name__: 0 for user in self.user_classes},
            "host": self.environment.host,
            "stop_timeout": self.environment.stop_timeout,
            "parsed_options": vars(self.environment.parsed_options),
        }
        for client_id in self.clients:
            self.server.send_to_client(Message("spawn", job, client_id))

    def has_started(self, client_id: str) -> bool:
        """Whether a worker is done with what it was to start."""
        client = self.clients.get(client_id)
        return client is not None and client.state == STATE_RUNNING

    def _tell_broken(self, spawning: Greenlet) -> None:
        self.on_broken("".join(traceback.format_exception(*spawning.exc_info)).rstrip())

    def hears(self, client_id: str) -> bool:
        """Whether a worker gives signs of life, or took its leave at the end, when its account is still to come."""
        client = self.clients.get(client_id)
        return self._ending if client is None else bool(client.state != STATE_MISSING)

    def reaches(self, node: str) -> bool:
        """Whether the process that said hello by this name is still connected."""
        return reaches(self.server, wire.framed(wire.Ping(), node))

    def go_on_without(self, client_id: str) -> None:
        """Give the users of a lost worker to the others; it is not taken back, since they run already."""
        self.admitted.discard(client_id)
        self._dismissed.add(client_id)
        client = self.clients.get(client_id)
        if client is None:
            return
        del self.clients[client_id]
        if self.worker_count and self._users_dispatcher is not None:
            self._users_dispatcher.remove_worker(client)
            self.start(self.target_user_count, self.spawn_rate)

    def end(self) -> None:
        """The stages are over: Locust's own events, which on a master come before its workers stop."""
        self._ending = True
        if self.spawning_greenlet is not None:
            self.spawning_greenlet.kill(block=True)
        self.stop()

    def stop(self, send_stop_to_client: bool = True) -> None:  # noqa: ARG002 # Locust's
        """Asked for by the user's code, by Locust when no worker is left, or by `end`."""
        if self._ending:
            super().stop(send_stop_to_client=False)
        elif self.worker_count:
            self.on_stop()

    def quit(self) -> None:
        """Stop, but go on hearing the workers, whose counts come last."""
        self.stop()
