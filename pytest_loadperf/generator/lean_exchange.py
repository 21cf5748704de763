"""From a request to its answer: over the right connection, with cookies, through redirects, again where that is due."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar
from ssl import SSLContext
from time import perf_counter
from typing import NamedTuple, Self
from urllib.request import Request

import gevent
from geventhttpclient.header import Headers
from locust.contrib.fasthttp import LocustBadStatusCode

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.generator.lean_connection import DeadlinePassed
from pytest_loadperf.generator.lean_pool import Pool
from pytest_loadperf.generator.lean_request import HeadWriter, Origin, RequestHead
from pytest_loadperf.generator.lean_response import LeanResponse
from pytest_loadperf.generator.lean_tls import default_tls

_FAILURES = (OSError, gevent.Timeout)
_WORTH_ANOTHER_TRY = (errno.ETIMEDOUT, errno.EPIPE)


class BadRedirect(ConnectionError):
    """A redirect that can't be followed."""


class Options(NamedTuple):
    """How one request is to be made; times in seconds."""

    connect_s: float  # until connected
    total_s: float  # until all of the answer is there
    cookies: Mapping[str, str] | None = None  # besides those that the user was given
    streaming: bool = False
    following: bool = True  # redirects


class Settings(NamedTuple):
    """What the class of a user says about all its requests."""

    max_redirects: int
    max_retries: int
    concurrency: int
    insecure: bool
    ssl_context_factory: Callable[[], SSLContext] | None


class _Answered(NamedTuple):
    """As much of an answer as a cookie jar looks at."""

    headers: Headers

    def info(self) -> Headers:
        return self.headers


class Exchanges:
    """All exchanges of one user."""

    def __init__(self, writer: HeadWriter, settings: Settings) -> None:
        self.writer = writer
        self._settings = settings
        self._pools: dict[Origin, Pool] = {}
        self._tls: SSLContext | None = None
        self._jar: CookieJar | None = None

    @property
    def cookiejar(self) -> CookieJar:
        """Made when a cookie comes, or when somebody asks: most users never need one."""
        if self._jar is None:
            self._jar = CookieJar()
        return self._jar

    def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in self._pools.values():
            pool.close()

    def answer(self, head: RequestHead, payload: bytes | None, options: Options) -> LeanResponse:
        """The answer to a request; what went wrong instead is in the response, never raised."""
        tries = self._settings.max_retries if head.idempotent else 0
        while True:
            try:
                return self._followed(head, payload, options, perf_counter() + options.total_s)
            except DeadlinePassed:
                error: BaseException = TimeoutError(f"no complete answer within {options.total_s:g} s")
            except _FAILURES as failure:
                error = failure
            if not tries or not _may_pass(error):
                # Without its traceback, whose frames would keep all of this alive until the garbage collector runs.
                return LeanResponse(head, head.with_body(payload), None, b"", error.with_traceback(None))
            tries -= 1
            head = self.writer.head(*head.asked)  # a replica that is taken away gives its users another base address

    def _followed(self, head: RequestHead, payload: bytes | None, options: Options, deadline: float) -> LeanResponse:
        response = self._exchanged(head, payload, options, deadline)
        if response.location is None or not options.following or not self._settings.max_redirects:
            return response
        first = head.origin
        history: list[LeanResponse] = []
        while (location := response.location) is not None:
            if len(history) == self._settings.max_redirects:
                raise BadRedirect(f"more than {self._settings.max_redirects} redirects")
            history.append(response)
            if response.stream is not None:
                response.stream.release()
            head, payload, options = self._redirected(response, location, payload, options, first)
            response = self._exchanged(head, payload, options, deadline)
        response.history = history
        return response

    def _redirected(
        self, response: LeanResponse, location: str, payload: bytes | None, options: Options, first: Origin
    ) -> tuple[RequestHead, bytes | None, Options]:
        with_body = response.status_code in (307, 308)
        try:
            head = self.writer.redirected(response.asked, location, with_body, first)
        except (UsageFault, ValueError) as error:
            raise BadRedirect(f"a redirect leads nowhere: {error}") from error
        if head.origin != first:
            options = options._replace(cookies=None)
        return head, payload if with_body else None, options

    def _exchanged(self, head: RequestHead, payload: bytes | None, options: Options, deadline: float) -> LeanResponse:
        sent = head.whole
        if payload is not None or self._jar is not None or options.cookies:
            sent = head.with_body(payload, self._cookies(head.url, options.cookies or {}))
        pool = self._pools.get(head.origin) or self._new_pool(head.origin)
        stream = None
        if options.streaming:
            answer, stream = pool.stream(head, sent, deadline, options.connect_s, options.total_s)
            body = b""
        else:
            answer, body = pool.ask(head, sent, deadline, options.connect_s)
        if answer.sets_cookies:
            self.cookiejar.extract_cookies(_Answered(answer.headers), Request(head.url))  # type: ignore[arg-type]
        error = LocustBadStatusCode(head.url, code=answer.status) if answer.status >= 400 else None
        response = LeanResponse(head, sent, answer, body, error)
        response.stream = stream
        return response

    def _cookies(self, url: str, own: Mapping[str, str]) -> str:
        pairs = [f"{name}={value}" for name, value in own.items()]
        if self._jar is not None:
            asking = Request(url)
            self._jar.add_cookie_header(asking)
            if kept := asking.get_header("Cookie"):
                pairs.insert(0, kept)
        return "; ".join(pairs)

    def _new_pool(self, origin: Origin) -> Pool:
        if origin.tls and self._tls is None:
            factory = self._settings.ssl_context_factory
            self._tls = factory() if factory else default_tls(self._settings.insecure)
        pool = self._pools[origin] = Pool(origin, self._tls if origin.tls else None, self._settings.concurrency)
        return pool


class LeanAgent:
    """As much of a geventhttpclient as tasks use: `self.client.client.clientpool.close()`, to connect anew."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    @property
    def clientpool(self) -> Self:
        """The connections."""
        return self

    @property
    def cookiejar(self) -> CookieJar:
        """The cookies that this user was given."""
        return self._exchanges.cookiejar

    def close(self) -> None:
        """Close those that are not in use: the next request opens another."""
        self._exchanges.close()


def _may_pass(error: BaseException) -> bool:
    """Whether another try may fare better, as FastHttpUser sees it."""
    return isinstance(error, TimeoutError) or getattr(error, "errno", None) in _WORTH_ANOTHER_TRY
