"""Connections that are encrypted: TLS between memory buffers, over the same plain connection."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gevent.socket

from pytest_loadperf.generator.lean_connection import AT_ONCE, Connection


@lru_cache(maxsize=2)
def default_tls(insecure: bool) -> ssl.SSLContext:
    """What verifies servers (or does not): one for all users, since each holds all of the machine's certificates."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsConnection(Connection):
    """A connection to a server whose certificate was verified, as far as the context asks for that."""

    def __init__(self, connected: gevent.socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(connected)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._early = b""  # of an answer that came before the request was sent
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            self._while_wanting(self._tls.do_handshake)
            self._flush()
        except BaseException:
            self.close()
            raise

    def _send(self, data: bytes) -> bool:
        self._tls.write(data)
        return self._flush()

    def _flush(self) -> bool:
        pending = self._outgoing.read()
        return not pending or super()._send(pending)

    def _is_answering(self) -> bool:
        try:
            data = self._socket.recv(AT_ONCE)
        except BlockingIOError:
            return False
        if not data:
            return True
        self._incoming.write(data)
        try:
            self._early += self._tls.read(AT_ONCE)
        except ssl.SSLWantReadError:  # TLS has messages of its own, such as tickets for later sessions
            return False
        return True

    def _receive(self) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            data: bytes = self._while_wanting(lambda: self._tls.read(AT_ONCE))
        except ssl.SSLEOFError:  # many servers close without saying so in TLS
            return b""
        return data

    def _while_wanting(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = super()._receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
