"""An HTTP/1.1 answer out of bytes: its head, and where its body ends. Nothing here knows a socket.

The head goes through the C parser of geventhttpclient (llhttp, strict), and what it said is remembered: the heads of
one service repeat within a second, so most of them cost a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from geventhttpclient._parser import HTTPParseError, HTTPResponseParser
from geventhttpclient.header import Headers

HEAD_ENDS = b"\r\n\r\n"
_BEGINNING = b"HTTP/1."
LONGEST_HEAD = 64 * 1024  # bytes
# Instead of a number of bytes, where that is not known beforehand:
CHUNKED = -1
UNTIL_CLOSE = -2
INTERIM = -3  # no answer yet: 100 Continue, 103 Early Hints
_FOLLOWED = frozenset((301, 302, 303, 307, 308))


class NoAnswer(ConnectionError):
    """The server closed the connection before the first byte of an answer."""


class IncompleteAnswer(ConnectionError):
    """The server closed the connection in the middle of an answer."""


class MalformedAnswer(ConnectionError):
    """What came is no HTTP/1.1 answer."""


class Head:
    """The head of an answer; shared by all answers that begin with the same bytes."""

    __slots__ = ("_headers", "_raw", "keep_alive", "length", "location", "sets_cookies", "status")

    def __init__(self, raw: bytes, status: int, length: int, keep_alive: bool) -> None:
        self._raw = raw
        self._headers: Headers | None = None
        self.status = status
        self.length = length
        self.keep_alive = keep_alive
        self.sets_cookies = b"\r\nset-cookie:" in raw.lower()
        self.location = self._redirect() if status in _FOLLOWED else None  # where a redirect leads

    @property
    def headers(self) -> Headers:
        """The header fields; the caller's own only after a copy."""
        if self._headers is None:
            self._headers = header_fields(self._raw)
        return self._headers

    def _redirect(self) -> str | None:
        location = self.headers.get("location")
        return location.encode("latin-1").decode(errors="replace") if isinstance(location, str) else None


def header_fields(raw: bytes) -> Headers:
    """The header fields of a message's head."""
    headers = Headers()
    for line in raw.decode("latin-1").strip("\r\n").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers.add(name, value.strip(" \t"))
    return headers


class Parser(HTTPResponseParser):
    """Tells what llhttp made of a message; the fields are read from the bytes, and only when somebody asks."""

    __slots__ = ("_bodiless", "_on_body", "complete", "pieces")

    _on_status = _on_header_field = _on_header_value = ().count  # a C function that takes one argument and says 0

    def __init__(self, bodiless: bool = False) -> None:
        self._bodiless = bodiless
        self.complete = False
        self.pieces: list[bytearray] = []
        self._on_body = self.pieces.append

    def take(self, data: bytes) -> bool:
        """Parse the next bytes; False if something follows the end of the answer, MalformedAnswer if they are none."""
        try:
            self.feed(data)
        except HTTPParseError as error:
            if not self.complete:
                raise MalformedAnswer(f"the answer is not HTTP/1.1: {error.args[0]}") from error
            return False
        return True

    def _on_message_begin(self) -> bool:
        return self.complete  # True is an error: a second message begins

    def _on_headers_complete(self) -> bool:
        return self._bodiless  # True skips the body

    def _on_message_complete(self) -> None:
        self.complete = True


@lru_cache(maxsize=512)
def read_head(raw: bytes, bodiless: bool) -> Head:
    """What a head says, from its first byte to its empty line; `bodiless` where HEAD was asked."""
    check_beginning(raw)
    parser = Parser(bodiless)
    if not parser.take(raw):
        raise MalformedAnswer("the answer switches to another protocol")
    keep_alive = parser.should_keep_alive()
    return Head(raw, parser.get_code(), _length(parser), keep_alive)


def check_beginning(data: bytes | bytearray) -> None:
    """Raise for what can't become the head of an answer, however much more of it comes."""
    if not _BEGINNING.startswith(data[: len(_BEGINNING)]):
        raise MalformedAnswer(f"the answer does not begin with {_BEGINNING.decode()}")


def _length(parser: Parser) -> int:
    if parser.complete:
        return INTERIM if parser.get_code() < 200 else 0
    length: int = parser.get_remaining_content_length()
    if length < 0:
        raise MalformedAnswer("the answer's Content-Length is past all bounds")
    if length:
        return length
    try:
        parser.feed(b"")  # the end of the connection: the end of the answer too, unless it is chunked
    except HTTPParseError:
        return CHUNKED
    return UNTIL_CLOSE


class Body:
    """The body of an answer, piece by piece as it comes."""

    def __init__(self, raw_head: bytes, head: Head, rest: bytes, receive: Callable[[], bytes]) -> None:
        self.clean = False  # once all of it was read: whether the connection stands where the next answer begins
        self._receive = receive
        if head.length == CHUNKED:
            self._pieces = self._chunked(raw_head + rest)
        elif head.length == UNTIL_CLOSE:
            self._pieces = self._until_close(rest)
        else:
            self._pieces = self._counted(rest, head.length)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _more(self) -> bytes:
        data = self._receive()
        if not data:
            raise IncompleteAnswer("the server closed the connection in the middle of the body")
        return data

    def _counted(self, data: bytes, left: int) -> Iterator[bytes]:
        while len(data) < left:
            if data:
                yield data
                left -= len(data)
            data = self._more()
        self.clean = len(data) == left
        if left:
            yield data[:left]

    def _chunked(self, data: bytes) -> Iterator[bytes]:
        parser = Parser()
        while not parser.complete:
            self.clean = parser.take(data)
            yield from map(bytes, parser.pieces)
            parser.pieces.clear()
            if not parser.complete:
                data = self._more()

    def _until_close(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data
        while data := self._receive():
            yield data
