"""How workers come together: said hello to, looked at, given the plan, and waited for until all are ready."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

from gevent.event import Event
from locust.rpc import Message

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator import shipping, wire
from pytest_loadperf.generator.local_workers import LocalWorkers
from pytest_loadperf.generator.master import Master
from pytest_loadperf.generator.protocol import End, Waiting
from pytest_loadperf.generator.start import how_ended
from pytest_loadperf.history.environment import versions
from pytest_loadperf.plan import Crew, Plan
from pytest_loadperf.redact import redact
from pytest_loadperf.worker_token import VARIABLE

_LOOK_S = 0.05
_QUIET_S = 2.0  # the first ones come within this time
_TELL_EVERY_S = 10.0
_LOOK_FOR_THE_GONE_S = 1.0
_GONE_AFTER_S = 2.0  # a connection that breaks is made anew within a moment
_SAME = ("pytest-loadperf", "locust")


@dataclass
class Member:
    """A worker of the load."""

    number: int
    name: str
    local: bool  # started by the generator, which sees when it ends
    elsewhere: bool  # on another machine
    home: str  # whose process it is
    node: str  # which said hello
    client: str  # by this name it is to speak, and Locust knows it
    reached_at: float  # when it was last seen to be connected
    ready: bool = False
    end: End | None = None
    lost: str | None = None  # when and how


class Gathering:
    """Lets in as many workers as were asked for, of the same versions, that see the service where the plan says."""

    def __init__(
        self, plan: Plan, crew: Crew, runner: Master, processes: LocalWorkers, broken: Callable[[BaseException], None]
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._runner = runner
        self._processes = processes
        self._broken = broken
        self._open = True
        self._look_at = 0.0
        self.members: dict[int, Member] = {}
        runner.on_hello = self._hear_hello
        wire.listen(runner, wire.Ready, self._hear_ready, broken)

    def gather(self, stopping: Event, say: Callable[[Waiting], None]) -> None:
        """Wait until all are ready; GeneratorError where they are not in a minute."""
        self._processes.join(_reached_at(self._crew.host), self._runner.port, self._crew.token)
        began = monotonic()
        tell_at = began + _QUIET_S
        while not self._is_complete() and not stopping.wait(_LOOK_S):
            for number, status in self._processes.ended():
                name = f"worker {number} (pid {self._processes.pid(number)})"
                raise GeneratorError(f"{name} {how_ended(status)} before the load began")
            if monotonic() > began + self._crew.come_s:
                raise GeneratorError(f"after {self._crew.come_s:g} s there are {self._so_far()}")
            if monotonic() > tell_at:
                tell_at += _TELL_EVERY_S
                say(Waiting(f"waiting for workers: there are {self._so_far(not self._crew.token_given)}"))
        self._open = False  # whoever comes now is too late for this load

    def _ready(self) -> list[Member]:
        return [member for member in self.members.values() if member.ready]

    def _is_complete(self) -> bool:
        """Whether all are ready, and still there; who is not makes room for another."""
        all_ready = len(self._ready()) == self._crew.size
        if not all_ready and monotonic() < self._look_at:
            return False
        self._look_at = monotonic() + _LOOK_FOR_THE_GONE_S
        return not self._gone() and all_ready

    def _gone(self) -> list[Member]:
        """Those from elsewhere that can't be reached; for some time it may be the network's fault."""
        gone = [member for member in self.members.values() if not member.local and not self._reaches(member)]
        for member in gone:
            if monotonic() > member.reached_at + _GONE_AFTER_S:
                self._dismiss(member)
        return gone

    def _reaches(self, member: Member) -> bool:
        if reached := self._runner.reaches(member.node):
            member.reached_at = monotonic()
        return reached

    def _dismiss(self, member: Member) -> None:
        """It would be given users, and be waited for."""
        del self.members[member.number]
        self._runner.admitted.discard(member.node)
        self._runner.go_on_without(member.client)

    def _so_far(self, show_token: bool = False) -> str:
        """How many are here, and how the others would come; an error, which is kept, does not show the token."""
        ready, crew = self._ready(), self._crew
        local = sum(member.local for member in ready)
        parts = [f"{len(ready)} of {crew.size} workers"]
        if local < crew.local:
            parts.append(f"{crew.local - local} of this machine are still importing the user's code")
        if missing := crew.joined - (len(ready) - local):
            token = f"{VARIABLE}={crew.token} " if show_token else ""
            parts.append(
                f"the generator listens on {crew.host}:{self._runner.port} for {missing} from elsewhere: run "
                f"`{token}pytest-loadperf worker --master HOST:{self._runner.port}` there, with this machine's name as "
                "HOST" + ("" if token else f", and this run's {VARIABLE}")
            )
        return "; ".join(parts)

    def _hear_hello(self, node: str, message: Message) -> None:
        try:
            hello = wire.read(wire.Hello, message)
            assert hello is not None
            self._welcome(node, hello)
        except ValueError:
            return  # not as this version says hello
        except Exception as error:
            self._broken(error)

    def _welcome(self, node: str, hello: wire.Hello) -> None:
        number = hello.number or self._seat_of(node, hello.home)
        if number is None or not self._open:
            return  # it goes on asking; the next load may want it
        if reason := self._unfit(hello):
            wire.tell(self._runner, wire.Refusal(reason), node)
            raise GeneratorError(reason)
        member = self._seated(number, node, hello)
        plan = replace(self._plan, secrets=(), crew=None)  # what it tells is redacted here
        files = self._code if hello.wants_code else {}
        crew = self._crew
        welcome = wire.Welcome(plan, number, crew.size, crew.root, member.client, crew.come_s, files)
        wire.tell(self._runner, welcome, node)

    def _seat_of(self, node: str, home: str) -> int | None:
        """Its own, that of the process which it comes after, or a free one."""
        for member in self.members.values():
            if not member.local and member.home == home:
                own = member.node == node or not self._runner.reaches(member.node)  # of two, one is a late echo
                return member.number if own else None
        seats = range(self._crew.local + 1, self._crew.size + 1)
        return next((number for number in seats if number not in self.members), None)

    def _seated(self, number: int, node: str, hello: wire.Hello) -> Member:
        """Who sits there from now on, and may speak."""
        member = self.members.get(number)
        if member is not None and member.node != node:
            self._dismiss(member)
        elif member is not None:
            return member  # it has asked again before it was answered
        local = hello.number is not None
        name = f"worker {number} (pid {hello.pid}" + ("" if local else f" on {hello.host}") + ")"
        client = f"loadperf-{number}-{uuid4().hex}"
        elsewhere = hello.machine != wire.this_machine()
        member = Member(number, name, local, elsewhere, hello.home, node, client, monotonic())
        self.members[number] = member
        self._runner.admitted |= {node, client}
        self._runner.worker_indexes[client] = number - 1
        return member

    @cached_property
    def _code(self) -> dict[str, bytes]:
        return shipping.users_code(self._plan)

    def _hear_ready(self, sender: str, _ready: wire.Ready) -> None:
        for member in self.members.values():
            member.ready = member.ready or member.client == sender

    def _unfit(self, hello: wire.Hello) -> str | None:
        """Why this worker can't be of use."""
        name, own = f"the worker on {hello.host} (pid {hello.pid})", versions()
        if any(hello.versions.get(package) != own[package] for package in _SAME):
            theirs, ours = (
                " and ".join(f"{package} {there.get(package)}" for package in _SAME) for there in (hello.versions, own)
            )
            return f"{name} has {theirs}, this run has {ours}; install the same versions in both places"
        if hello.network != wire.this_network():
            for url in filter(_is_loopback, self._plan.urls):
                return (
                    f"{redact(url)} is the service's address on this machine only, but {name} is on another one, or in "
                    "a container. Put service and workers into one network, and give the address that leads to the "
                    "service there: --loadperf-url, or url_service()"
                )
        return None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reached_at(host: str) -> str:
    """Where a worker of this machine finds a master that listens there."""
    return "127.0.0.1" if host in ("*", "0.0.0.0") else host
