"""A name server whose answers change, and a generator's environment that asks it."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

A = 1


class NameServer:
    """Answers for names with each of their lists of IPv4 addresses in turn, the last one from then on."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.asked: Counter[str] = Counter()
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def environ(self) -> dict[str, str]:
        """By which gevent asks this server, and no other."""
        port = str(self._socket.getsockname()[1])
        return {
            "GEVENT_RESOLVER": "ares",
            "GEVENT_RESOLVER_NAMESERVERS": "127.0.0.1",
            "GEVENTARES_UDP_PORT": port,
            "GEVENTARES_TCP_PORT": port,
        }

    def serve(self) -> None:
        """Until it is closed."""
        while True:
            query, asking = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), asking)

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())

    def _answer(self, query: bytes) -> bytes:
        labels, place = [], 12
        while size := query[place]:
            labels.append(query[place + 1 : place + 1 + size].decode())
            place += 1 + size
        question = query[12 : place + 5]
        (kind,) = struct.unpack("!H", question[-4:-2])
        name = ".".join(labels).lower()
        found: Sequence[str] = ()
        if kind == A and name in self._answers:
            turns = self._answers[name]
            found = turns[min(self.asked[name], len(turns) - 1)]
            self.asked[name] += 1
        code = 0x8180 if name in self._answers else 0x8183  # there is no such name
        head = query[:2] + struct.pack("!5H", code, 1, len(found), 0, 0)
        records = (b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 0, 4) + socket.inet_aton(address) for address in found)
        return head + question + b"".join(records)


@contextmanager
def name_server(answers: Mapping[str, Sequence[Sequence[str]]]) -> Iterator[NameServer]:
    server = NameServer(answers)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
        server._socket.close()
