"""LeanHttpUser: FastHttpUser's interface at a third of its cost.

A task's code is the same with either. What differs inside: a request's head is written once, an answer's head is
understood once, and a wait costs one switch to gevent's loop and back. What it can't do (proxies, HTTP/2, a client
pool that users share, a body sent in chunks) is refused in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from math import inf
from ssl import SSLContext
from time import perf_counter, time
from typing import Any

from locust import User
from locust.env import Environment
from locust.event import EventHook
from locust.exception import StopTest
from locust.user.users import RestMixin

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.generator.lean_body import encoded_body, with_params
from pytest_loadperf.generator.lean_exchange import Exchanges, LeanAgent, Options, Settings
from pytest_loadperf.generator.lean_request import Auth, Fields, RequestHead, head_writer, header_fields_given
from pytest_loadperf.generator.lean_response import LeanResponse

Seconds = float | None

_REFUSED = {
    "proxy_host": "it knows no proxies",
    "proxy_port": "it knows no proxies",
    "client_pool": "its users share no connections",
    "pool_manager": "its users share no connections",
    "http2": "it speaks HTTP/1.1",
}
_INSTEAD = {
    "verify": "insecure = True on the class loads a server whose certificate can't be verified",
    "cert": "ssl_context_factory on the class brings a certificate",
    "proxies": "it knows no proxies; HttpUser does",
    "http2": "it speaks HTTP/1.1",
    "hooks": "Locust's request event tells of every request",
}
_OTHERS = "it takes params, files, cookies and timeout beside what FastHttpUser names"


class LeanHttpSession:
    """The client of a LeanHttpUser: sends requests, keeps connections and cookies, fires Locust's request event."""

    def __init__(
        self,
        base_url: str,
        request_event: EventHook,
        user: LeanHttpUser,
        insecure: bool | None = None,
        client_pool: None = None,
        ssl_context_factory: Callable[[], SSLContext] | None = None,
    ) -> None:
        """What is not given is as the class of the user says."""
        if client_pool is not None:
            raise UsageFault(f"LeanHttpSession takes no client_pool=; {_REFUSED['client_pool']}")
        self.user = user
        self.request_event = request_event
        self.request_name: str | None = None  # for every request that is given no name
        self._writer = head_writer(base_url, header_fields_given(user.default_headers or {}))
        self._authorization: Fields = ()  # of this user alone, which the writer shares with others
        self._usual = Options(_limit(user.connection_timeout), _limit(user.network_timeout))
        insecure = user.insecure if insecure is None else insecure
        factory = ssl_context_factory or user.ssl_context_factory
        settings = Settings(user.max_redirects, user.max_retries, user.concurrency, insecure, factory)
        self._exchanges = Exchanges(self._writer, settings)

    @property
    def base_url(self) -> str:
        """What stands before a path; without credentials. Another one may be set."""
        return self._writer.base_url

    @base_url.setter
    def base_url(self, base_url: str) -> None:
        self._writer = self._exchanges.writer = self._writer.at(base_url)

    @property
    def auth_header(self) -> str | None:
        """The Authorization of requests without `auth=`, at first that of the base address. Another one may be set."""
        return self._authorization[0][1] if self._authorization else self._writer.authorization

    @auth_header.setter
    def auth_header(self, value: str | None) -> None:
        self._authorization = (("Authorization", value),)

    @property
    def client(self) -> LeanAgent:
        """Where FastHttpUser has its geventhttpclient."""
        return LeanAgent(self._exchanges)

    @property
    def cookiejar(self) -> CookieJar:
        """The cookies that this user was given."""
        return self._exchanges.cookiejar

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Within the block, a name for every request that is given none."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Any = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, Any] | None = None,
        auth: Auth | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> LeanResponse:
        """Send a request, and fire Locust's request event for it once; what goes wrong is in the response.

        Others are `params`, `files`, `cookies` and `timeout`: seconds for connecting and answer together, or a pair,
        for connecting and for both.
        """
        # The end of a load reads `method`, `url`, `name` and `start_perf_counter` off the stack of users that wait.
        name = name or self.request_name or url
        options = self._usual
        if others or stream or not allow_redirects:
            options = self._options(stream, allow_redirects, **others)
        payload, implied = encoded_body(data, json, others.get("files"))
        head = self._head(method, url, others.get("params"), headers, auth, implied)
        context = {**self.user.context(), **(context or {})}
        start_time = time()
        start_perf_counter = perf_counter()
        response = self._exchanges.answer(head, payload, options)
        response.elapsed_s = perf_counter() - start_perf_counter
        meta = {
            "request_type": method,
            "name": name,
            "context": context,
            "response": response,
            "exception": response.error,
            "start_time": start_time,
            "url": self._writer.built(url) if others else head.url,
            "response_length": response.length,
            "response_time": response.elapsed_s * 1000,
        }
        if catch_response:
            response.leave_open(self.request_event, meta)
        else:
            self.request_event.fire(**meta)
        return response

    def _head(
        self, method: str, url: str, params: Any, headers: Mapping[str, Any] | None, auth: Any, implied: Fields
    ) -> RequestHead:
        if params is not None:
            url = with_params(url, params)
        if auth is not None and not (isinstance(auth, tuple) and len(auth) == 2):
            raise UsageFault(f"auth is a {type(auth).__name__}; expected a tuple of user name and password")
        fields = self._authorization
        if headers:
            fields = (*fields, *header_fields_given(headers))
        return self._writer.head(method, url, fields, auth, implied)

    def _options(
        self,
        stream: bool,
        allow_redirects: bool,
        cookies: Mapping[str, str] | None = None,
        timeout: Seconds | tuple[Seconds, Seconds] = None,
        **others: Any,
    ) -> Options:
        for name in sorted(others.keys() - {"params", "files"}):
            raise UsageFault(f"LeanHttpUser takes no {name}=; {_INSTEAD.get(name, _OTHERS)}")
        connect_s, total_s = self._usual[:2]
        if isinstance(timeout, tuple):
            connect_s, total_s = map(_limit, timeout)
        elif timeout is not None:
            connect_s = total_s = timeout
        return Options(connect_s, total_s, cookies, stream, allow_redirects)

    def get(self, url: str, **kwargs: Any) -> LeanResponse:
        """Send a GET request."""
        return self.request("GET", url, **kwargs)

    def head(self, url: str, **kwargs: Any) -> LeanResponse:
        """Send a HEAD request."""
        return self.request("HEAD", url, **kwargs)

    def options(self, url: str, **kwargs: Any) -> LeanResponse:
        """Send an OPTIONS request."""
        return self.request("OPTIONS", url, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> LeanResponse:
        """Send a DELETE request."""
        return self.request("DELETE", url, **kwargs)

    def post(self, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> LeanResponse:
        """Send a POST request."""
        return self.request("POST", url, data=data, json=json, **kwargs)

    def put(self, url: str, data: Any = None, **kwargs: Any) -> LeanResponse:
        """Send a PUT request."""
        return self.request("PUT", url, data=data, **kwargs)

    def patch(self, url: str, data: Any = None, **kwargs: Any) -> LeanResponse:
        """Send a PATCH request."""
        return self.request("PATCH", url, data=data, **kwargs)

    def iter_lines(self, url: str, method: str = "GET", **kwargs: Any) -> Iterator[str]:
        """Send a request, and give the lines of its answer as they come; raises for a status of 400 and above."""
        response = self.request(method, url, stream=True, **kwargs)
        response.raise_for_status()
        rest = b""
        for piece in response.iter_content(decode_content=False):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")


class LeanHttpUser(User, RestMixin[LeanResponse]):
    """An HTTP user with FastHttpUser's interface and settings, at a third of its cost; set them on the class.

    Unlike FastHttpUser it verifies certificates, and its timeouts limit the whole of a request.
    """

    abstract = True

    network_timeout: float | None = 60.0
    """Seconds until all of an answer is there, connecting included; with stream=True until its head is."""

    connection_timeout: float | None = 60.0
    """Seconds until connected."""

    max_redirects: int = 30
    """Redirects that one request follows."""

    max_retries: int = 0
    """How often a request that ran into a timeout is tried again, if it is idempotent."""

    insecure: bool = False
    """True loads a server whose certificate can't be verified."""

    default_headers: Mapping[str, Any] | None = None
    """Header fields of every request."""

    concurrency: int = 10
    """Requests that one user makes at once, with greenlets of its own."""

    ssl_context_factory: Callable[[], SSLContext] | None = None
    """Makes the SSL context of a user instead of the default one."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse(cls, cls.__name__)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        _refuse(self, type(self).__name__)
        if self.host is None:
            raise StopTest("LeanHttpUser has no host to load; set host on the class, or say --host")
        self.client = LeanHttpSession(self.host, environment.events.request, self)


def _refuse(user: LeanHttpUser | type[LeanHttpUser], name: str) -> None:
    for setting, why in _REFUSED.items():
        if getattr(user, setting, None) is not None:
            raise UsageFault(
                f"{name}.{setting} is set, but LeanHttpUser can't do that: {why}; use FastHttpUser instead"
            )


def _limit(seconds: float | None) -> float:
    return inf if seconds is None else seconds
