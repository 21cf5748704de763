"""The heads of requests, each written once and kept."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from requests.utils import requote_uri

from pytest_loadperf.errors import UsageFault

Fields = tuple[tuple[str, str | None], ...]
Auth = tuple[str | bytes, str | bytes]

_DEFAULTS: Fields = (("User-Agent", "pytest-loadperf"), ("Accept-Encoding", "gzip, deflate, br"))
_MOST_HEADS = 16384  # some twenty MB
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_PLAIN_TARGET = re.compile(r"[/?][!$&'()*+,\-./0-9:;=?@A-Z_a-z~]*")  # nothing to quote, no fragment
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WITH_LENGTH = ("POST", "PUT", "PATCH")  # they say Content-Length: 0 rather than nothing
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))  # RFC 9110, 9.2.2
_OF_THE_BODY = frozenset(("content-type", "content-length", "content-encoding"))
_LEFT_BEHIND: Fields = (("Authorization", None), ("Cookie", None), ("Host", None))  # those of the class, too


class Origin(NamedTuple):
    """Where a connection leads."""

    tls: bool
    host: str
    port: int

    @property
    def field(self) -> str:
        """As the Host field names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.tls) else f"{host}:{self.port}"


class Asked(NamedTuple):
    """What a head is written from."""

    method: str
    url: str
    fields: Fields
    auth: Auth | None
    implied: Fields


class RequestHead:
    """A request's head in bytes, and what else its sender needs to know."""

    __slots__ = ("_fields", "_opening", "asked", "bodiless", "idempotent", "method", "origin", "url", "whole")

    def __init__(self, asked: Asked, url: str, origin: Origin, opening: bytes, fields: frozenset[str]) -> None:
        self.asked = asked
        self.method = asked.method.upper()
        self.url = url
        self.origin = origin
        self.bodiless = self.method == "HEAD"  # the answer is
        self.idempotent = self.method in _IDEMPOTENT
        self._opening = opening
        self._fields = fields
        self.whole = self.with_body(None)  # as it is sent when there is neither body nor cookie

    def with_body(self, payload: bytes | None, cookies: str = "") -> bytes:
        """All that is sent; a user's own Cookie and Content-Length stand."""
        cookie = length = b""
        if cookies and "cookie" not in self._fields:
            cookie = b"Cookie: %s\r\n" % cookies.encode("latin-1")
        if (payload or self.method in _WITH_LENGTH) and "content-length" not in self._fields:
            length = b"Content-Length: %d\r\n" % len(payload or b"")
        return b"%s%s%s\r\n%s" % (self._opening, cookie, length, payload or b"")


class HeadWriter:
    """Writes the heads of requests to one base address, each once."""

    def __init__(self, base_url: str, defaults: Fields, auth: Auth | None) -> None:
        base = _split(base_url)
        self._auth = _userinfo(base) or auth
        self._origin = _origin(base)
        self._path = requote_uri(base.path)
        self._fields = defaults
        self._defaults = {name.lower(): (name, value) for name, value in (*_DEFAULTS, *defaults)}
        self._heads: dict[tuple[Any, ...], RequestHead] = {}
        self.base_url = _without_userinfo(base)

    @property
    def authorization(self) -> str | None:
        """What goes with requests that say nothing else: of the base address, or of the fields."""
        return _basic(self._auth) if self._auth is not None else self._defaults.get("authorization", ("", None))[1]

    def at(self, base_url: str) -> HeadWriter:
        """One for another address; credentials stay where they belong."""
        is_there = _origin(_split(base_url)) == self._origin
        return head_writer(base_url, self._fields, self._auth if is_there else None)

    def built(self, url: str) -> str:
        """The whole URL of what a task asks for."""
        return url if _ABSOLUTE.match(url) else self.base_url + url

    def head(
        self, method: str, url: str, fields: Fields = (), auth: Auth | None = None, implied: Fields = ()
    ) -> RequestHead:
        """The head of a request; `implied` fields stand where the user gives none."""
        asked = (method, url, fields, auth, implied)
        head = self._heads.get(asked)
        if head is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            head = self._heads[asked] = self._written(Asked(*asked))
        return head

    def redirected(self, head: RequestHead, location: str, with_body: bool, first: Origin) -> RequestHead:
        """The head of the request that a redirect asks for; what belongs to the first origin stays with it."""
        url = urljoin(head.url, location)
        method, _, fields, auth, implied = head.asked
        dropped = {"cookie"}
        if not with_body:
            method, implied = "HEAD" if head.bodiless else "GET", ()
            dropped |= _OF_THE_BODY
        fields = tuple(field for field in fields if field[0].lower() not in dropped)
        if _origin(_split(url)) != first:
            fields, auth = fields + _LEFT_BEHIND, None
        return self.head(method, url, fields, auth, implied)

    def _written(self, asked: Asked) -> RequestHead:
        method = asked.method.upper()
        if not _TOKEN.fullmatch(method) or method == "CONNECT":
            raise UsageFault(f"{asked.method!r} is no method that LeanHttpUser sends; expected 'GET', for instance")
        url, origin, target, own_auth = self._where(asked.url)
        fields = self._merged(asked, own_auth)
        host = fields.pop("host", ("Host", origin.field))
        lines = [f"{method} {target} HTTP/1.1", *(_line(*field) for field in (host, *fields.values()))]
        opening = "\r\n".join(lines).encode("latin-1") + b"\r\n"
        return RequestHead(asked, url, origin, opening, frozenset(fields))

    def _merged(self, asked: Asked, own_auth: Auth | None) -> dict[str, tuple[str, str]]:
        fields = {name.lower(): (name, value) for name, value in asked.implied} | self._defaults
        if own_auth is not None:
            fields["authorization"] = ("Authorization", _basic(own_auth))
        fields |= {name.lower(): (name, value) for name, value in asked.fields}
        if asked.auth is not None:
            fields["authorization"] = ("Authorization", _basic(asked.auth))
        if "transfer-encoding" in fields:
            raise UsageFault("LeanHttpUser sends a body whole, with its length; leave Transfer-Encoding out")
        return {key: (name, text) for key, (name, text) in fields.items() if text is not None}

    def _where(self, url: str) -> tuple[str, Origin, str, Auth | None]:
        """The whole URL, its origin, what stands in the request line, and the credentials that go with it."""
        built = self.built(url)
        if built is not url and _PLAIN_TARGET.fullmatch(url):
            target = self._path + url
            return built, self._origin, target if target[0] == "/" else f"/{target}", self._auth
        parts = _split(built)
        origin = _origin(parts)
        target = requote_uri(parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl())
        auth = _userinfo(parts) or (self._auth if origin == self._origin else None)
        return _without_userinfo(parts), origin, target, auth


@lru_cache(maxsize=64)
def head_writer(base_url: str, defaults: Fields, auth: Auth | None = None) -> HeadWriter:
    """One for all users with the same base address: ten thousand of them would write the same heads.

    `auth` is for an address without credentials.
    """
    return HeadWriter(base_url, defaults, auth)


def _split(url: str) -> SplitResult:
    expected = "expected one such as http://127.0.0.1:8000/path"
    try:
        parts = urlsplit(url)
        port = parts.port  # raises when it is none
    except ValueError as error:
        raise UsageFault(f"{url!r} is no address: {error}; {expected}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageFault(f"{url!r} is no address that can be loaded; {expected}")
    return parts


def _origin(parts: SplitResult) -> Origin:
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    return Origin(tls, host if host.isascii() else host.encode("idna").decode(), parts.port or _default_port(tls))


def _default_port(tls: bool) -> int:
    return 443 if tls else 80


def _userinfo(parts: SplitResult) -> Auth | None:
    if parts.username and parts.password:
        return unquote(parts.username), unquote(parts.password)
    return None


def _without_userinfo(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _basic(auth: Auth) -> str:
    pair = (part.encode("latin-1") if isinstance(part, str) else part for part in auth)
    return f"Basic {b64encode(b':'.join(pair)).decode('ascii')}"


def _line(name: str, text: str) -> str:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(text):
        raise UsageFault(f"the header field {name!r}: {text!r} can't be sent; expected a name, and one line of Latin-1")
    return f"{name}: {text}"


def header_fields_given(headers: Mapping[str, Any]) -> Fields:
    """The fields with their values as text; None, which leaves a field out, as it is."""
    return tuple([(name, value if value.__class__ is str else _text(name, value)) for name, value in headers.items()])


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, int | float):
        return str(value)
    raise UsageFault(f"the header field {name!r} is a {type(value).__name__}; expected one line of text")
