"""Those who connect to the master and do not show the run's token, by their address."""

from __future__ import annotations

import ipaddress
import math
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import gevent
import zmq
from gevent import get_hub
from gevent.monkey import get_original
from locust.rpc.zmqrpc import Server

_PLACE = "inproc://loadperf-strangers"
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)
_EVENTS = sum(_FAILED, zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
_NAMELESS_S = 2.5  # who is refused tries again, and is found out then
_MOST = 20  # that are told: who has a whole network of addresses is not to fill the log
_EVENT = struct.Struct("=Hi")  # ZMQ's event and its value, which is mostly the number of a connection
_Socket = get_original("socket", "socket")  # gevent's would make a loop in the thread
NAMELESS = "a stranger"


class Strangers:
    """Hears from ZMQ who was refused, and calls `tell` once with each address, or with 'a stranger'.

    A connection that is refused is closed at once, and then nobody knows its address any more. A real thread mostly
    comes in time, which a greenlet mostly does not.
    """

    def __init__(self, server: Server, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._port = int(server.port)
        self._told: set[str] = set()
        self._named_at = -math.inf
        self._nameless: gevent.Greenlet | None = None  # that may yet be named
        self._refused: deque[str] = deque()
        self._woken = get_hub().loop.async_()
        self._woken.start(self._hear)
        self._ahead: deque[tuple[int, int, str]] = deque()
        server.socket.monitor(_PLACE, _EVENTS)
        self._monitor: zmq.Socket[bytes] = zmq.Context.shadow(server.socket.context.underlying).socket(zmq.PAIR)
        self._monitor.connect(_PLACE)
        get_original("_thread", "start_new_thread")(self._watch, ())

    def _hear(self) -> None:
        """In the loop."""
        while self._refused:
            address = self._refused.popleft()
            if address != NAMELESS:
                self._named_at = monotonic()
                self._tell_once(address)
            elif NAMELESS not in self._told and (self._nameless is None or self._nameless.dead):
                self._nameless = gevent.spawn_later(_NAMELESS_S, self._tell_nameless)

    def _tell_nameless(self) -> None:
        if monotonic() > self._named_at + 2 * _NAMELESS_S:
            self._tell_once(NAMELESS)

    def _tell_once(self, address: str) -> None:
        if address not in self._told and len(self._told) < _MOST:
            self._told.add(address)
            self._tell(address)

    def _watch(self) -> None:
        """In the thread, until the master's connection is closed."""
        addresses: dict[int, str] = {}
        fresh: set[int] = set()  # those that have surely not been let in
        failed = False
        with suppress(zmq.ContextTerminated):
            while True:
                event, descriptor, address = self._next()
                if event == zmq.EVENT_ACCEPTED:
                    addresses[descriptor] = address
                    fresh.add(descriptor)
                elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    fresh.clear()  # it does not say whose
                elif event in _FAILED:
                    failed = True  # whose is said by what comes next
                elif event == zmq.EVENT_DISCONNECTED:
                    address = addresses.pop(descriptor, NAMELESS)
                    if failed or descriptor in fresh:
                        self._refused.append(address)
                        self._woken.send()
                    failed = False
                    fresh.discard(descriptor)
                else:
                    break  # it has stopped
        self._monitor.close(linger=0)

    def _next(self) -> tuple[int, int, str]:
        while not self._ahead or self._monitor.poll(0):
            self._ahead.append(self._read())
        event, descriptor, address = self._ahead.popleft()
        # The number of a closed connection is given to the next one, whose address this may be.
        again = any(later[:2] == (zmq.EVENT_ACCEPTED, descriptor) for later in self._ahead)
        return event, descriptor, NAMELESS if again else address

    def _read(self) -> tuple[int, int, str]:
        event, descriptor = _EVENT.unpack(self._monitor.recv())
        address = _peer(descriptor, self._port) if event == zmq.EVENT_ACCEPTED else NAMELESS  # before all else
        self._monitor.recv()  # at which address, of which there is one
        return event, descriptor, address


def _peer(descriptor: int, port: int) -> str:
    """Who is at the other end of a connection to this port."""
    try:
        connection = _Socket(fileno=descriptor)
    except OSError:
        return NAMELESS
    try:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
            return NAMELESS
        address = ipaddress.ip_address(connection.getpeername()[0].partition("%")[0])
        return str(getattr(address, "ipv4_mapped", None) or address)
    except OSError:
        return NAMELESS
    finally:
        connection.detach()  # it is ZMQ's to close
