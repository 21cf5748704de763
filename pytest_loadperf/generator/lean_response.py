"""What a task gets for a request; everything about it is worked out when it is asked for."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import brotli  # type: ignore[import-untyped]
from charset_normalizer import detect
from geventhttpclient.header import Headers
from locust.event import EventHook
from locust.exception import CatchResponseError, LocustError, ResponseError
from requests.utils import get_encoding_from_headers

from pytest_loadperf.generator.lean_answer import HEAD_ENDS, Head, header_fields
from pytest_loadperf.generator.lean_pool import Stream
from pytest_loadperf.generator.lean_request import RequestHead

_NO_CATCH = (
    "If you want to change the state of the request, you must pass catch_response=True. "
    "See http://docs.locust.io/en/stable/writing-a-locustfile.html#validating-responses"
)
_NO_WITH = (
    "Tried to set status on a request that has not yet been made. Make sure you use a with-block, like this:\n\n"
    "with self.client.request(..., catch_response=True) as response:\n    response.success()"
)


class UndecodableBody(ValueError):
    """A body that is not encoded as its Content-Encoding says."""


class LeanRequest:
    """What was sent."""

    def __init__(self, asked: RequestHead, sent: bytes) -> None:
        head, _, body = sent.partition(HEAD_ENDS)
        self.method = asked.method
        self.url = asked.url
        self.headers = header_fields(head)
        self.body = body or None


class LeanResponse:
    """An answer, or with `status_code` 0 the want of one; a context manager where `catch_response=True` was given."""

    js: Any = None  # the body as `rest` reads it
    encoding: str | None = None  # of the text; set it before `text` is read where the answer does not tell
    history: Sequence[LeanResponse] = ()  # the redirects that led here
    stream: Stream | None = None  # the body where `stream=True` was given
    elapsed_s = 0.0
    request_meta: dict[str, Any] | None = None  # the arguments of the event that is yet to be fired
    _event: EventHook | None = None
    _headers: Headers | None = None
    _content: bytes | None = None
    _content_is_read = False
    _entered = False
    _manual_result: bool | Exception | None = None

    def __init__(
        self, asked: RequestHead, sent: bytes, head: Head | None, body: bytes, error: BaseException | None
    ) -> None:
        self.asked = asked
        self.error = error
        self._sent = sent
        self._head = head
        self._body = body

    @property
    def status_code(self) -> int:
        """The status; 0 where no answer came."""
        return 0 if self._head is None else self._head.status

    @property
    def ok(self) -> bool:
        """Whether an answer came, and one with a status below 400."""
        return 0 < self.status_code < 400

    @property
    def url(self) -> str:
        """The address that answered: the last one of a redirect."""
        return self.asked.url

    @property
    def request(self) -> LeanRequest:
        """What was sent, to the last address."""
        return LeanRequest(self.asked, self._sent)

    @property
    def elapsed(self) -> timedelta:
        """From before the request until its answer was read (its head, with `stream=True`)."""
        return timedelta(seconds=self.elapsed_s)

    @property
    def length(self) -> int:
        """Bytes of the body as they came; of a stream, what its Content-Length says."""
        if self.stream is not None and self._head is not None:
            return max(0, self._head.length)
        return len(self._body)

    @property
    def location(self) -> str | None:
        """Where a redirect leads; None for what is none."""
        return None if self._head is None else self._head.location

    @property
    def headers(self) -> Headers | None:
        """The header fields, of any case; None where no answer came."""
        if self._headers is None and self._head is not None:
            self._headers = self._head.headers.copy()
        return self._headers

    @property
    def content(self) -> bytes | None:
        """The body, decoded as its Content-Encoding says; None where it could not be had, and `error` says why."""
        if not self._content_is_read:
            self._content_is_read = True
            try:
                self._content = self._read_content()
            except (UndecodableBody, OSError) as error:
                self.error = error
        return self._content

    def _read_content(self) -> bytes | None:
        if self.headers is None:
            return None
        body = self._body if self.stream is None else self.stream.read()
        return decoded(body, self.headers.getlist("content-encoding"))

    @property
    def text(self) -> str | None:
        """The content as text; None where there is none, or where its encoding can't be told."""
        content = self.content
        if content is None or self.headers is None:
            return None
        if self.encoding is None:
            named = get_encoding_from_headers({"content-type": ";".join(self.headers.getlist("content-type")[:1])})
            self.encoding = named or detect(content)["encoding"]
        return None if self.encoding is None else _as_text(content, self.encoding)

    def json(self) -> Any:
        """The text, read as JSON."""
        return json.loads(self.text)  # type: ignore[arg-type] # None raises a TypeError, as with FastHttpUser

    def iter_content(self, chunk_size: int = 1024, decode_content: bool = True) -> Iterator[Any]:
        """The streamed body as it comes, in pieces of at most `chunk_size` bytes; `decode_content` makes them text.

        Raises what ends it too early, such as TimeoutError; within a with-block that marks the request as failed.
        """
        while piece := self._streamed("iter_content", chunk_size):
            yield _text_where_possible(piece) if decode_content else piece

    def read(self, size: int | None = None) -> bytes:
        """The streamed body as it is on the wire, at most `size` bytes of it, or all to the end; raises likewise."""
        return self._streamed("read", size)

    def _streamed(self, method: str, size: int | None) -> bytes:
        if self.stream is None:
            if self._head is None:
                assert self.error is not None
                raise self.error
            raise LocustError(f"{method}() reads the answer to a request with stream=True; this one had none")
        try:
            return self.stream.read(size)
        except OSError as error:
            self.error = error
            raise

    def info(self) -> Headers | None:
        """The header fields."""
        return self.headers

    def raise_for_status(self) -> None:
        """Raise what was, or was said to be, wrong."""
        wrong = self._manual_result or self.error
        if isinstance(wrong, BaseException):
            raise wrong

    def leave_open(self, event: EventHook, meta: dict[str, Any]) -> None:
        """A with-block will say how it went; the event is fired at its end."""
        self._event = event
        self.request_meta = meta

    def __enter__(self) -> Self:
        if self.request_meta is None:
            raise LocustError("In order to use a with-block for requests, you must also pass catch_response=True")
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        assert self.request_meta is not None
        assert self._event is not None
        if self._manual_result is not None:
            self.request_meta["exception"] = None if self._manual_result is True else self._manual_result
            self._event.fire(**self.request_meta)
            return kind is None
        if value is not None and value is not self.error and not isinstance(value, ResponseError):
            return False
        self.request_meta["exception"] = value or self.error
        self._event.fire(**self.request_meta)
        return True

    def success(self) -> None:
        """Report the request as successful, whatever its status."""
        self._decide(True)

    def failure(self, reason: object) -> None:
        """Report the request as failed, with an exception or a text."""
        self._decide(reason if isinstance(reason, Exception) else CatchResponseError(reason))

    def _decide(self, result: bool | Exception) -> None:
        if self.request_meta is None:
            raise LocustError(_NO_CATCH)
        if not self._entered:
            raise LocustError(_NO_WITH)
        self._manual_result = result


def _text_where_possible(piece: bytes) -> str | bytes:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return piece


def _as_text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding, errors="replace")
    except (LookupError, ValueError):  # no encoding has this name
        return content.decode(errors="replace")


def decoded(body: bytes, fields: Iterable[str]) -> bytes:
    """The body without its encodings, of which the last was put on last; an empty one has none."""
    names = ",".join(fields).lower().split(",")
    for name in reversed(names):
        body = _decoded_once(body, name.strip()) if body else body
    return body


def _decoded_once(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    decode = _DECODERS.get(encoding)
    if decode is None:
        raise UndecodableBody(f"Content-Encoding {encoding!r} is none of {', '.join(_DECODERS)}")
    try:
        return decode(body)
    except (zlib.error, EOFError, OSError, brotli.error) as error:
        raise UndecodableBody(f"the body is not what its Content-Encoding {encoding!r} says: {error}") from error


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:  # some servers leave out zlib's frame
        return zlib.decompress(body, -zlib.MAX_WBITS)


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "x-gzip": gzip.decompress,
    "deflate": _inflated,
    "br": brotli.decompress,
}
