"""What the connections between the generator and its workers have to be capable of, and Locust's are not."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import zmq
from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket, Server
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from pytest_loadperf.errors import GeneratorError

_BEAT_EVERY_MS = 1000  # by a thread of ZMQ's, whatever user code does meanwhile
_SILENT_MS = 5000  # then a machine is gone, or its network
_REFUSALS = 3  # in a row: a generator that ends breaks one handshake off, and listens no more
_REFUSED_PAUSE_MS = 1000
_SALT = b"pytest-loadperf"
_HANDSHAKES = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


def encrypt(token: str) -> None:
    """Let this process have connections with those alone who know the token, each encrypted with a key of its own."""
    if not zmq.has("curve"):
        raise GeneratorError(
            "what workers are told can't be encrypted: ZMQ was built without CURVE here. Install pyzmq from PyPI, "
            "whose wheels have it"
        )
    # Whoever sees a handshake may try tokens on it: that has to take long, as it does for passwords.
    secret = z85.encode(hashlib.scrypt(token.encode(errors="surrogateescape"), salt=_SALT, n=2**14, r=8, p=1, dklen=32))
    public = zmq.curve_public(secret)
    made_by_locust = BaseSocket.__init__

    def made(connection: BaseSocket, kind: int, ipv4_only: bool) -> None:
        made_by_locust(connection, kind, ipv4_only)  # type: ignore[no-untyped-call]
        own = connection.socket
        if kind == zmq.ROUTER:
            own.curve_server = True
            own.curve_publickey, own.curve_secretkey = public, secret
            own.setsockopt(zmq.HANDSHAKE_IVL, _SILENT_MS)
        else:
            own.curve_serverkey = public
            own.curve_publickey, own.curve_secretkey = zmq.curve_keypair()

    # Locust's own bind and connect in their constructors, where options set later have no effect.
    BaseSocket.__init__ = made  # type: ignore[method-assign]


class Asking(BaseSocket):
    """The connection of a worker that nobody may be listening to: it keeps one hello, where Locust's would keep all."""

    def __init__(self, host: str, port: int, name: str) -> None:
        BaseSocket.__init__(self, zmq.DEALER, self.ipv4_only(host, port))
        self.socket.setsockopt(zmq.IDENTITY, name.encode())
        self.socket.setsockopt(zmq.SNDHWM, 1)  # which has an effect only before it connects
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, _BEAT_EVERY_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TTL, _SILENT_MS)  # for the other side
        self._handshakes = self.socket.get_monitor_socket(_HANDSHAKES)
        self._refusals = 0
        self._address = f"tcp://{host}:{port}"
        self.socket.connect(self._address)

    def ask(self, hello: Message) -> None:
        """Say hello, unless the last one was not heard yet."""
        with suppress(zmq.Again):
            self.socket.send(hello.serialize(), zmq.NOBLOCK)

    def refused(self) -> bool:
        """Whether who listens there surely does not take this worker; it is then asked anew, but not in haste."""
        before = self._refusals
        while self._handshakes.poll(0):
            event = parse_monitor_message(self._handshakes.recv_multipart())["event"]
            self._refusals = 0 if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else self._refusals + 1
        if self._refusals <= before:
            return False
        with suppress(zmq.ZMQError):  # on what it does not understand at all it has given up by itself
            self.socket.disconnect(self._address)
        if sure := self._refusals >= _REFUSALS:
            self.socket.setsockopt(zmq.RECONNECT_IVL, _REFUSED_PAUSE_MS)
        self.socket.connect(self._address)
        return sure


def reaches(server: Server, ping: Message) -> bool:
    """Whether the one that it is for is still connected, which ZMQ tells only of one that is written to."""
    server.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    try:
        server.socket.send_multipart([ping.node_id.encode(), ping.serialize()], zmq.NOBLOCK)
    except zmq.ZMQError as error:
        return bool(error.errno != zmq.EHOSTUNREACH)
    finally:
        server.socket.setsockopt(zmq.ROUTER_MANDATORY, 0)
    return True
