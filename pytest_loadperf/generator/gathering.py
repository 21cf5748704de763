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

_LOOK_S = 0.05
_QUIET_S = 2.0  # the first ones come within this time
_TELL_EVERY_S = 10.0
_SAME = ("pytest-loadperf", "locust")


@dataclass
class Member:
    """A worker of the load."""

    number: int
    name: str
    local: bool  # started by the generator, which sees when it ends
    elsewhere: bool  # on another machine
    node: str  # which said hello
    client: str = ""  # Locust's name for it, once it is ready
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
        self._seats: dict[tuple[str, int], int] = {}  # of those from elsewhere, by host and parent
        self._clients: dict[str, tuple[str, int]] = {}  # the name and number of each one that was let in, by its node
        self.members: dict[int, Member] = {}
        runner.on_hello = self._hear_hello
        wire.listen(runner, wire.Ready, self._seat, broken)

    def gather(self, stopping: Event, say: Callable[[Waiting], None]) -> None:
        """Wait until all are ready; GeneratorError where they are not in a minute."""
        self._processes.join(_reached_at(self._crew.host), self._runner.port)
        began = monotonic()
        tell_at = began + _QUIET_S
        while len(self._ready()) < self._crew.size and not stopping.wait(_LOOK_S):
            for number, status in self._processes.ended():
                name = f"worker {number} (pid {self._processes.pid(number)})"
                raise GeneratorError(f"{name} {how_ended(status)} before the load began")
            if monotonic() > began + self._crew.come_s:
                raise GeneratorError(f"after {self._crew.come_s:g} s there are {self._so_far()}")
            if monotonic() > tell_at:
                tell_at += _TELL_EVERY_S
                say(Waiting(f"waiting for workers: there are {self._so_far()}"))

    def _ready(self) -> list[Member]:
        return [member for member in self.members.values() if member.client]

    def _so_far(self) -> str:
        """How many are here, and how the others would come."""
        ready, crew = self._ready(), self._crew
        local = sum(member.local for member in ready)
        parts = [f"{len(ready)} of {crew.size} workers"]
        if local < crew.local:
            parts.append(f"{crew.local - local} of this machine are still importing the user's code")
        if missing := crew.joined - (len(ready) - local):
            parts.append(
                f"the generator listens on {crew.host}:{self._runner.port} for {missing} from elsewhere: run "
                f"`pytest-loadperf worker --master HOST:{self._runner.port}` there, with this machine's name as HOST"
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
        number = hello.number or self._seat_of(hello)
        if number > self._crew.size:
            return  # it goes on asking; the next load may want it
        if reason := self._unfit(hello):
            wire.tell(self._runner, wire.Refusal(reason), node)
            raise GeneratorError(reason)
        client, _ = self._clients.setdefault(node, (f"loadperf-{number}-{uuid4().hex}", number))
        self._runner.admitted |= {node, client}
        plan = replace(self._plan, secrets=(), crew=None)  # what it tells is redacted here
        files = self._code if hello.wants_code else {}
        crew = self._crew
        wire.tell(self._runner, wire.Welcome(plan, number, crew.size, crew.root, client, crew.come_s, files), node)
        if number not in self.members or node != self.members[number].node:
            self.members[number] = self._member(number, node, hello)

    def _seat_of(self, hello: wire.Hello) -> int:
        """The next free one, or that of the process whose place this one takes."""
        taken = self._seats.setdefault((hello.host, hello.parent), self._crew.local + len(self._seats) + 1)
        member = self.members.get(taken)
        return self._crew.size + 1 if member is not None and member.client else taken

    def _member(self, number: int, node: str, hello: wire.Hello) -> Member:
        local = hello.number is not None
        name = f"worker {number} (pid {hello.pid}" + ("" if local else f" on {hello.host}") + ")"
        return Member(number, name, local, hello.machine != wire.this_machine(), node)

    @cached_property
    def _code(self) -> dict[str, bytes]:
        return shipping.users_code(self._plan)

    def _seat(self, sender: str, _ready: wire.Ready) -> None:
        for node, (client, number) in self._clients.items():
            if client == sender and self.members[number].node == node:
                self.members[number].client = client

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
