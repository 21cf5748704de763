"""What the connections between the generator and its workers have to be capable of, and Locust's are not."""

from __future__ import annotations

from contextlib import suppress

import zmq
from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket, Server

_BEAT_EVERY_MS = 1000  # by a thread of ZMQ's, whatever user code does meanwhile
_SILENT_MS = 5000  # then a machine is gone, or its network


class Asking(BaseSocket):
    """The connection of a worker that nobody may be listening to: it keeps one hello, where Locust's would keep all."""

    def __init__(self, host: str, port: int, name: str) -> None:
        BaseSocket.__init__(self, zmq.DEALER, self.ipv4_only(host, port))
        self.socket.setsockopt(zmq.IDENTITY, name.encode())
        self.socket.setsockopt(zmq.SNDHWM, 1)  # which has an effect only before it connects
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, _BEAT_EVERY_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TTL, _SILENT_MS)  # for the other side
        self.socket.connect(f"tcp://{host}:{port}")

    def ask(self, hello: Message) -> None:
        """Say hello, unless the last one was not heard yet."""
        with suppress(zmq.Again):
            self.socket.send(hello.serialize(), zmq.NOBLOCK)


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
