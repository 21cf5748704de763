"""What crosses between the generator and its workers: plain data, inside of Locust's own messages."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket
from locust.runners import MasterRunner, WorkerRunner

from pytest_loadperf.codec import from_plain, to_plain
from pytest_loadperf.generator.protocol import End, Failed, Second
from pytest_loadperf.plan import Plan

_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux; containers have that of their machine
_NETWORK = Path("/proc/self/ns/net")
_LAST_MESSAGE_MS = 2000
ASKING = "asking "  # begins the name of a worker until it has joined and has Locust's name for it
K = TypeVar("K")


@dataclass(frozen=True)
class Hello:
    """A worker wants to join; said again until it is answered."""

    pid: int
    host: str
    machine: str
    network: str  # in which it has its addresses
    versions: dict[str, str]
    number: int | None = None  # of one that the generator started itself
    home: str = ""  # of one from elsewhere: what is started there next comes in its place
    wants_code: bool = False


@dataclass(frozen=True)
class Welcome:
    """It may: this is what it has to know."""

    plan: Plan
    number: int
    size: int  # of the crew
    root: str
    client: str  # by this name it has to speak from here on
    come_s: float  # how long it may take to be ready
    files: dict[str, bytes] = field(default_factory=dict)  # the users' code, by its absolute path there


@dataclass(frozen=True)
class Refusal:
    """It may not."""

    text: str


@dataclass(frozen=True)
class Ready:
    """A worker has imported the users, and connected to Locust's master."""


@dataclass(frozen=True)
class Ping:
    """Said to a worker that waits for the load, to see whether it can be; it does not read it."""


@dataclass(frozen=True)
class Begins:
    """The load begins: from here on each worker counts the time by its own clock."""


@dataclass(frozen=True)
class StageBegins:
    """The next stage, since the load began."""

    at_s: float


@dataclass(frozen=True)
class Wanted:
    """A worker's arrivals want so many users."""

    users: int


@dataclass(frozen=True)
class Made:
    """A worker has made its share of the requests that a stage was asked for."""

    stage: int  # counted from 0


@dataclass(frozen=True)
class Told:
    """What a worker measured since the last one."""

    second: Second
    users: dict[int, int] = field(default_factory=dict)  # in each of the last few seconds


@dataclass(frozen=True)
class Broken:
    """A worker can't go on."""

    failed: Failed


@dataclass(frozen=True)
class CutShort:
    """A worker's users have ended the load."""


@dataclass(frozen=True)
class StagesEnd:
    """The last stage is over, since the load began, and users may take so long to finish."""

    at_s: float
    wait_s: float


@dataclass(frozen=True)
class Over:
    """A worker's account."""

    end: End


def framed(message: object, node: str) -> Message:
    """A message as Locust sends it, to this node or from it."""
    return Message(_type(type(message)), to_plain(message), node)


def tell(runner: MasterRunner | WorkerRunner, message: object, node: str | None = None) -> None:
    """To the master, or to the worker of that name, or to all of them."""
    runner.send_message(_type(type(message)), to_plain(message), client_id=node)


def read(kind: type[K], message: Message) -> K | None:
    """The content of a message where it is of that kind."""
    return from_plain(kind, message.data) if message.type == _type(kind) else None


def listen(
    runner: MasterRunner | WorkerRunner,
    kind: type[K],
    hear: Callable[[str, K], None],
    broken: Callable[[BaseException], None],
) -> None:
    """Call `hear` with sender and content of each message; what it raises goes to `broken`, which Locust only logs."""

    def hear_message(msg: Message, **_: object) -> None:
        try:
            hear(msg.node_id, from_plain(kind, msg.data))
        except Exception as error:
            broken(error)

    runner.register_message(_type(kind), hear_message)


def is_kind(kind: type[Any], message: Message) -> bool:
    """Whether it is a message of that kind."""
    return bool(message.type == _type(kind))


def _type(kind: type[Any]) -> str:
    return f"loadperf:{kind.__name__}"


def close(connection: BaseSocket, at_once: bool = False) -> None:
    """Send what is not yet sent, unless nobody is there: a process that ends would lose it."""
    connection.socket.context.destroy(linger=0 if at_once else _LAST_MESSAGE_MS)


def this_machine() -> str:
    """The same for all processes on it, also in containers."""
    with suppress(OSError):
        return _BOOT.read_text().strip()
    return socket.gethostname()


def this_network() -> str:
    """The same for all processes that see the same loopback."""
    with suppress(OSError):
        return f"{this_machine()} {_NETWORK.readlink()}"
    return socket.gethostname()
