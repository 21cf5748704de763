"""What the connections between the generator and its workers have to be capable of, and Locust's are not."""

from __future__ import annotations

from contextlib import suppress

import zmq
from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket


class Asking(BaseSocket):
    """The connection of a worker that nobody may be listening to: it keeps one hello, where Locust's would keep all."""

    def __init__(self, host: str, port: int, name: str) -> None:
        BaseSocket.__init__(self, zmq.DEALER, self.ipv4_only(host, port))
        self.socket.setsockopt(zmq.IDENTITY, name.encode())
        self.socket.setsockopt(zmq.SNDHWM, 1)  # which has an effect only before it connects
        self.socket.connect(f"tcp://{host}:{port}")

    def ask(self, hello: Message) -> None:
        """Say hello, unless the last one was not heard yet."""
        with suppress(zmq.Again):
            self.socket.send(hello.serialize(), zmq.NOBLOCK)
