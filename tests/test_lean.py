"""LeanHttpUser as a task sees it, and as Locust and the generator do."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lean_child import Child, Loaded, child, told
from lean_server import OK, scripted
from test_generator import Run

from pytest_loadperf.errors import HostRefused
from pytest_loadperf.plan import Plan, Reference, Stage

USERS = Path(__file__).with_name("lean_users.py")


@pytest.fixture(scope="module")
def lean() -> Iterator[Child]:
    with child() as running:
        yield running


def answer(*fields: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    lines = (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def fields_of(request: bytes) -> list[str]:
    """The lines of a request's head."""
    return request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def field(request: bytes, name: str) -> list[str]:
    """Every value of one header field."""
    lines = (line.partition(": ") for line in fields_of(request)[1:])
    return [value for known, _, value in lines if known.lower() == name]


# What is refused


def refused(how: str, *arguments: Any, host: str = "http://127.0.0.1:9", **named: Any) -> str:
    from pytest_loadperf.errors import UsageFault

    try:
        loaded = Loaded(host, **(named if how == "settings" else {}))
        if how == "request":
            loaded.client.request(*arguments, **named)
    except UsageFault as fault:
        return str(fault)
    return "nothing"


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("proxy_host", "it knows no proxies"),
        ("proxy_port", "it knows no proxies"),
        ("client_pool", "its users share no connections"),
        ("pool_manager", "its users share no connections"),
        ("http2", "it speaks HTTP/1.1"),
    ],
)
def test_a_setting_that_it_has_not_is_refused_when_the_class_is_made(lean: Child, setting: str, why: str) -> None:
    expected = f"Some.{setting} is set, but LeanHttpUser can't do that: {why}; use FastHttpUser instead"
    assert lean.run(refused, "settings", **{setting: 1}) == expected
    assert lean.run(refused, "settings", **{setting: None}) == "nothing"


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("verify", "insecure = True on the class loads a server whose certificate can't be verified"),
        ("cert", "ssl_context_factory on the class brings a certificate"),
        ("proxies", "it knows no proxies; HttpUser does"),
        ("http2", "it speaks HTTP/1.1"),
        ("hooks", "Locust's request event tells of every request"),
        ("tiemout", "it takes params, files, cookies and timeout beside what FastHttpUser names"),
    ],
)
def test_an_argument_that_it_does_not_know_is_refused(lean: Child, name: str, instead: str) -> None:
    expected = f"LeanHttpUser takes no {name}=; {instead}"
    assert lean.run(refused, "request", "GET", "/", **{name: False}) == expected


ADDRESS = "expected one such as http://127.0.0.1:8000/path"
NO_PORT = "Port could not be cast to integer value as 'x'"
ONE_LINE = "can't be sent; expected a name, and one line of Latin-1"
WHOLE = "LeanHttpUser sends a body whole, with its length; leave Transfer-Encoding out"


@pytest.mark.parametrize(
    ("arguments", "named", "expected"),
    [
        (("GE T", "/"), {}, "'GE T' is no method that LeanHttpUser sends; expected 'GET', for instance"),
        (("CONNECT", "/"), {}, "'CONNECT' is no method that LeanHttpUser sends; expected 'GET', for instance"),
        (("GET", "http://h:x/"), {}, f"'http://h:x/' is no address: {NO_PORT}; {ADDRESS}"),
        (("GET", "http:///x"), {}, f"'http:///x' is no address that can be loaded; {ADDRESS}"),
        (("GET", "/"), {"auth": "me"}, "auth is a str; expected a tuple of user name and password"),
        (("GET", "/"), {"headers": {"X": "a\r\nY: b"}}, f"the header field 'X': 'a\\r\\nY: b' {ONE_LINE}"),
        (("GET", "/"), {"headers": {"X Y": "a"}}, f"the header field 'X Y': 'a' {ONE_LINE}"),
        (("GET", "/"), {"headers": {"X": "ŵ"}}, f"the header field 'X': 'ŵ' {ONE_LINE}"),
        (("GET", "/"), {"headers": {"X": ["a"]}}, "the header field 'X' is a list; expected one line of text"),
        (("GET", "/"), {"headers": {"transfer-encoding": "chunked"}}, WHOLE),
        (("POST", "/"), {"data": 5}, "data is a int; expected str, bytes, a mapping, pairs or an open file"),
    ],
)
def test_what_can_not_be_sent_is_refused(
    lean: Child, arguments: tuple[str, ...], named: dict[str, Any], expected: str
) -> None:
    assert lean.run(refused, "request", *arguments, **named) == expected


def test_a_host_that_is_no_address_is_refused(lean: Child) -> None:
    expected = f"'localhost:8000' is no address that can be loaded; {ADDRESS}"
    assert lean.run(refused, "settings", host="localhost:8000") == expected


def has_no_host() -> str:
    from locust.exception import StopTest

    try:
        Loaded(None)  # type: ignore[arg-type]
    except StopTest as stop:
        return str(stop)
    return "nothing"


def test_a_user_without_a_host_stops_the_test(lean: Child) -> None:
    assert lean.run(has_no_host) == "LeanHttpUser has no host to load; set host on the class, or say --host"


# What is sent


def asks(url: str, *calls: tuple[str, str, dict[str, Any]], **settings: Any) -> list[Any]:
    """Send some requests as one user, and give what each came to."""
    loaded = Loaded(url, **settings)
    answers = []
    for method, path, named in calls:
        response = loaded.client.request(method, path, **named)
        answers.append((response.status_code, response.content, response.error and told(response.error)))
    return answers


def test_a_request_is_written_as_curl_would(lean: Child) -> None:
    with scripted() as server:
        lean.run(asks, server.url, ("POST", "/a?b=c", {"json": {"a": 1}, "headers": {"X-A": "b"}}))
        assert server.requests == [
            (
                f"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
                "Accept: application/json\r\nUser-Agent: pytest-loadperf\r\nAccept-Encoding: gzip, deflate, br\r\n"
                'X-A: b\r\nContent-Length: 8\r\n\r\n{"a": 1}'
            ).encode()
        ]


def test_values_that_are_equal_but_not_the_same_are_sent_as_they_are(lean: Child) -> None:
    with scripted() as server:
        given = (1, True, 1.0, "1", b"1", None)
        lean.run(asks, server.url, *(("GET", "/", {"headers": {"X": value}}) for value in given))
        assert [field(request, "x") for request in server.requests] == [["1"], ["True"], ["1.0"], ["1"], ["1"], []]


def test_a_length_and_a_cookie_of_the_users_own_stand(lean: Child) -> None:
    with scripted() as server:
        own = {"Content-Length": "3", "Cookie": "own=1"}
        lean.run(asks, server.url, ("POST", "/", {"data": "abc", "headers": own, "cookies": {"a": "b"}}))
        assert field(server.requests[0], "content-length") == ["3"]
        assert field(server.requests[0], "cookie") == ["own=1"]


def test_credentials_of_the_address_go_nowhere_else(lean: Child) -> None:
    with scripted() as server, scripted() as other:
        url = server.url.replace("//", "//me:geheim@")
        lean.run(
            asks, url, ("GET", "/", {}), ("GET", f"{other.url}/", {}), ("GET", "/", {"headers": {"Authorization": "x"}})
        )
        assert [field(request, "authorization") for request in server.requests] == [["Basic bWU6Z2VoZWlt"], ["x"]]
        assert field(other.requests[0], "authorization") == []


def test_a_redirect_elsewhere_leaves_behind_what_belongs_to_the_first_host(lean: Child) -> None:
    with scripted() as other, scripted([answer(f"Location: {other.url}/there", status="307 Elsewhere")]) as server:
        headers = {"Authorization": "x", "Host": "first.example", "X-A": "b"}
        named = {"headers": headers, "cookies": {"c": "d"}, "data": "abc"}
        of_the_class = {"authorization": "y", "cookie": "e=f", "X-C": "g"}
        lean.run(asks, server.url, ("POST", "/", named), default_headers=of_the_class)
        assert field(server.requests[0], "host") == ["first.example"]
        assert field(server.requests[0], "cookie") == ["e=f"]
        (request,) = other.requests
        assert fields_of(request)[:2] == ["POST /there HTTP/1.1", f"Host: 127.0.0.1:{other.port}"]
        seen = [field(request, name) for name in ("authorization", "cookie", "x-a", "x-c")]
        assert seen == [[], [], ["b"], ["g"]]
        assert request.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        ("301 Moved", "POST", ("GET", b"")),
        ("302 Found", "PUT", ("GET", b"")),
        ("303 See", "GET", ("GET", b"")),
        ("302 Found", "HEAD", ("HEAD", b"")),
        ("307 There", "GET", ("GET", b"abc")),
        ("308 There", "PATCH", ("PATCH", b"abc")),
    ],
)
def test_a_redirect_takes_the_body_along_where_it_says_so(
    lean: Child, status: str, method: str, expected: tuple[str, bytes]
) -> None:
    there = f"HTTP/1.1 {status}\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".encode()
    with scripted([there], [answer()]) as server:
        lean.run(asks, server.url, (method, "/", {"data": "abc", "cookies": {"c": "d"}}))
        request = server.requests[1]
        assert fields_of(request)[0] == f"{expected[0]} /there HTTP/1.1"
        assert request.partition(b"\r\n\r\n")[2] == expected[1]
        assert bool(field(request, "content-type")) == bool(expected[1])
        assert field(request, "cookie") == ["c=d"]


def test_a_redirect_in_utf_8_is_followed(lean: Child) -> None:
    with scripted([answer("Location: /grüße?a b", status="302 Found")], [OK]) as server:
        assert lean.run(asks, server.url, ("GET", "/", {})) == [(200, b"ok", None)]
        assert fields_of(server.requests[1])[0] == "GET /gr%C3%BC%C3%9Fe?a%20b HTTP/1.1"


def test_no_redirects_are_followed_where_none_are_allowed(lean: Child) -> None:
    with scripted([answer("Location: /", status="302 Found")]) as server:
        assert lean.run(asks, server.url, ("GET", "/", {}), max_redirects=0) == [(302, b"", None)]
        many = (0, None, "BadRedirect: more than 2 redirects")
        assert lean.run(asks, server.url, ("GET", "/", {}), max_redirects=2) == [many]


def test_a_host_in_unicode_is_written_as_dns_knows_it(lean: Child) -> None:
    with scripted() as server:
        url = server.url.replace("127.0.0.1", "LocalHost")
        lean.run(asks, url, ("GET", "/", {}))
        assert field(server.requests[0], "host") == [f"localhost:{server.port}"]
    assert lean.run(host_of, "http://bücher.example/") == "xn--bcher-kva.example"


def host_of(url: str) -> str:
    from pytest_loadperf.generator.lean_request import head_writer

    return head_writer(url, ()).head("GET", "/").origin.host


def test_cookies_are_each_users_own(lean: Child) -> None:
    with scripted([answer("Set-Cookie: a=1; Path=/")], [OK]) as server:
        given = {"cookies": {"b": "2"}}
        lean.run(asks, server.url, ("GET", "/", {}), ("GET", "/", {}), ("GET", "/", given), ("GET", "/", {}))
        lean.run(asks, server.url, ("GET", "/", {}), ("GET", "/", given))
        cookies = [field(request, "cookie") for request in server.requests]
        assert cookies == [[], ["a=1"], ["a=1; b=2"], ["a=1"], [], ["b=2"]]


def clears_its_cookies(url: str) -> int:
    loaded = Loaded(url)
    loaded.client.get("/")
    kept = len(loaded.client.cookiejar)
    loaded.client.cookiejar.clear()
    loaded.client.get("/")
    return kept


def test_cookies_can_be_cleared(lean: Child) -> None:
    with scripted([answer("SET-COOKIE: a=1; Path=/")], [OK]) as server:
        assert lean.run(clears_its_cookies, server.url) == 1
        assert field(server.requests[1], "cookie") == []


def writes_many_heads(times: int) -> int:
    from pytest_loadperf.generator.lean_request import head_writer

    writer = head_writer("http://127.0.0.1", ())
    for number in range(times):
        writer.head("GET", f"/{number}")
    return len(writer._heads)


def test_heads_are_kept_but_not_without_end(lean: Child) -> None:
    assert lean.run(writes_many_heads, 10_000) == 10_000
    assert lean.run(writes_many_heads, 40_000) <= 16_384


# What comes back


def decodes(url: str, times: int) -> list[tuple[str | None, int]]:
    loaded = Loaded(url)
    texts = [loaded.client.get("/").text for _ in range(times)]
    assert loaded.failures() == [None] * times
    return list(zip(texts, (event["response_length"] for event in loaded.events), strict=True))


def test_a_body_is_decoded_as_it_says(lean: Child) -> None:
    body = "grüße".encode()
    kind = "Content-Type: text/plain; charset=utf-8"
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bodies = {
        "gzip": gzip.compress(body),
        "X-GZIP": gzip.compress(body[:3]) + gzip.compress(body[3:]),
        "deflate": zlib.compress(body),
        "Deflate": raw.compress(body) + raw.flush(),
        "br": b"\x0b\x03\x80gr\xc3\xbc\xc3\x9fe\x03",
        "identity": body,
        "gzip, deflate": zlib.compress(gzip.compress(body)),
    }
    with scripted(*([answer(kind, f"Content-Encoding: {name}", body=sent)] for name, sent in bodies.items())) as server:
        assert lean.run(decodes, server.url, len(bodies)) == [("grüße", len(sent)) for sent in bodies.values()]


def reads_what_can_not_be_decoded(url: str) -> list[Any]:
    loaded = Loaded(url)
    response = loaded.client.get("/")
    seen = [response.content, response.text, told(response.error)]
    with loaded.client.get("/", catch_response=True) as response:
        seen.append(response.content)
    with loaded.user.rest("GET", "/"):
        pass
    return [seen, loaded.failures()]


@pytest.mark.parametrize(
    ("encoding", "complaint"),
    [
        ("gzip", "the body is not what its Content-Encoding 'gzip' says: Not a gzipped file (b'ju')"),
        ("zstd", "Content-Encoding 'zstd' is none of gzip, x-gzip, deflate, br"),
    ],
)
def test_a_body_that_can_not_be_decoded_is_none_and_fails_a_with_block(
    lean: Child, encoding: str, complaint: str
) -> None:
    with scripted([answer(f"Content-Encoding: {encoding}", body=b"junk")]) as server:
        error = f"UndecodableBody: {complaint}"
        expected = [[None, None, error, None], [None, error, f"CatchResponseError: {complaint}"]]
        assert lean.run(reads_what_can_not_be_decoded, server.url) == expected


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=latin-1", b"gr\xfc\xdfe", "grüße"),
        ("text/plain", b"gr\xfc\xdfe", "grüße"),
        ("application/json", "grüße".encode(), "grüße"),
        ("application/octet-stream", "grüße, und noch mehr: äöü".encode(), "grüße, und noch mehr: äöü"),
        ("text/plain; charset=klingon", "grüße".encode(), "grüße"),
        ("text/plain; charset=utf-8", b"gr\xff", "gr\ufffd"),
    ],
)
def test_a_text_is_read_in_its_encoding(lean: Child, kind: str, body: bytes, text: str) -> None:
    with scripted([answer(f"Content-Type: {kind}", body=body)]) as server:
        assert lean.run(decodes, server.url, 1) == [(text, len(body))]


def looks_at_everything(url: str) -> dict[str, Any]:
    loaded = Loaded(url, context=lambda _user: {"user": 1})
    response = loaded.client.post("/start", data="abc", headers={"X-A": "b"}, name="named", context={"call": 2})
    (event,) = loaded.events
    assert event.pop("response") is response
    assert event["response_time"] == pytest.approx(response.elapsed.total_seconds() * 1000, abs=0.001)
    assert event["response_time"] > 0
    assert event.pop("start_time") > 1e9
    return {
        "event": {name: value for name, value in event.items() if name != "response_time"},
        "fields": [response.headers["x-one"], response.headers["X-ONE"], response.headers.get("nothing")],
        "json": response.json(),
        "ok": response.ok,
        "url": response.url,
        "history": [(earlier.status_code, earlier.url) for earlier in response.history],
        "request": (response.request.method, response.request.url, response.request.body),
        "asked": response.history[0].request.headers["x-a"],
    }


def test_a_response_tells_everything(lean: Child) -> None:
    last = answer("X-One: 1", "Content-Type: application/json", body=b"[1]")
    with scripted([answer("Location: /end", status="303 See")], [last]) as server:
        assert lean.run(looks_at_everything, server.url) == {
            "event": {
                "request_type": "POST",
                "name": "named",
                "context": {"user": 1, "call": 2},
                "exception": None,
                "url": f"{server.url}/start",
                "response_length": 3,
            },
            "fields": ["1", "1", None],
            "json": [1],
            "ok": True,
            "url": f"{server.url}/end",
            "history": [(303, f"{server.url}/start")],
            "request": ("GET", f"{server.url}/end", None),
            "asked": "b",
        }


def changes_a_header(url: str) -> str:
    loaded = Loaded(url)
    loaded.client.get("/").headers["X-A"] = "changed"
    return str(loaded.client.get("/").headers["X-A"])


def test_what_a_task_does_to_an_answers_header_stays_with_that_answer(lean: Child) -> None:
    with scripted([answer("X-A: as sent")]) as server:
        assert lean.run(changes_a_header, server.url) == "as sent"


def authorizes(url: str, base: str) -> list[str | None]:
    client = Loaded(base).client
    told: list[str | None] = [client.auth_header]
    client.get("/")
    client.auth_header = "Bearer abc"
    client.get("/")
    client.get("/", auth=("me", "secret"))
    client.base_url = f"{url}/v2"
    told += [client.auth_header, client.base_url]
    client.get("/there")
    client.auth_header = None
    client.get("/")
    return told


def test_address_and_authorization_may_be_changed(lean: Child) -> None:
    with scripted([OK]) as server:
        told = lean.run(authorizes, server.url, server.url.replace("http://", "http://api:key@"))
    basic, of_call = "Basic YXBpOmtleQ==", "Basic bWU6c2VjcmV0"
    assert told == [basic, "Bearer abc", f"{server.url}/v2"]
    sent = [field(request, "authorization") for request in server.requests]
    assert sent == [[basic], ["Bearer abc"], [of_call], ["Bearer abc"], []]
    assert fields_of(server.requests[3])[0] == "GET /v2/there HTTP/1.1"


def moves(base: str, elsewhere: str) -> str:
    client = Loaded(base).client
    client.base_url += "/v2"
    client.get("/")
    client.get(elsewhere)
    client.base_url = base.replace("key", "other")
    client.get("/")
    client.base_url = elsewhere
    client.get("/")
    return str(client.auth_header)


def test_another_address_of_the_same_server_keeps_the_credentials_unless_it_has_its_own(lean: Child) -> None:
    with scripted([OK]) as server, scripted([OK]) as elsewhere:
        told = lean.run(moves, server.url.replace("http://", "http://api:key@"), elsewhere.url)
    ours, other = "Basic YXBpOmtleQ==", "Basic YXBpOm90aGVy"
    assert [field(request, "authorization") for request in elsewhere.requests] == [[], []]
    assert [field(request, "authorization") for request in server.requests] == [[ours], [other]]
    assert told == "None"


def heads_written(url: str) -> int:
    from pytest_loadperf.generator.lean_request import head_writer

    head_writer.cache_clear()
    for number in range(100):
        client = Loaded(url).client
        client.auth_header = f"Bearer {number}"
        client.get("/")
    return head_writer.cache_info().currsize


def test_users_with_a_token_each_share_the_writer_of_heads_and_what_it_may_keep(lean: Child) -> None:
    with scripted([OK]) as server:
        assert lean.run(heads_written, server.url) == 1


def connects_anew(url: str) -> None:
    client = Loaded(url).client
    for _ in range(2):
        client.get("/")
    client.client.clientpool.close()
    client.get("/")


def test_a_task_may_close_its_connections(lean: Child) -> None:
    with scripted([OK]) as server:
        lean.run(connects_anew, server.url)
    assert server.connections == 2


def reads_a_stream(url: str) -> list[Any]:
    client = Loaded(url).client
    with client.get("/", stream=True, catch_response=True) as response:
        return [response.read(4), response.read(), response.info()["X-Kind"]]


def test_a_stream_may_be_read_by_the_response(lean: Child) -> None:
    with scripted([answer("X-Kind: plain", body=b"hello there")]) as server:
        assert lean.run(reads_a_stream, server.url) == [b"hell", b"o there", "plain"]


def has_a_session_of_its_own(url: str) -> tuple[int, str]:
    from locust.event import EventHook

    from pytest_loadperf.errors import UsageFault
    from pytest_loadperf.generator.lean import LeanHttpSession

    user = Loaded(url).user
    session = LeanHttpSession(url, EventHook(), user, insecure=True)
    try:
        LeanHttpSession(url, EventHook(), user, client_pool=session)  # type: ignore[arg-type]
    except UsageFault as fault:
        return session.get("/").status_code, str(fault)
    return 0, ""


def test_a_user_may_make_another_session(lean: Child) -> None:
    with scripted([OK]) as server:
        told = lean.run(has_a_session_of_its_own, server.url)
    assert told == (200, "LeanHttpSession takes no client_pool=; its users share no connections")


def uses_it_wrongly(url: str) -> list[str]:
    from locust.exception import LocustError

    client = Loaded(url).client
    uses: list[Callable[[], object]] = [
        lambda: client.get("/").success(),
        lambda: client.get("/").failure("no"),
        lambda: client.get("/", catch_response=True).success(),
        lambda: client.get("/").__enter__(),
        lambda: next(client.get("/").iter_content()),
    ]
    errors = []
    for use in uses:
        try:
            use()
        except LocustError as error:
            errors.append(str(error).partition("\n")[0])
    return errors


def test_wrong_use_is_told_as_locust_tells_it(lean: Child) -> None:
    catch = (
        "If you want to change the state of the request, you must pass catch_response=True. "
        "See http://docs.locust.io/en/stable/writing-a-locustfile.html#validating-responses"
    )
    with scripted() as server:
        assert lean.run(uses_it_wrongly, server.url) == [
            catch,
            catch,
            "Tried to set status on a request that has not yet been made. Make sure you use a with-block, like this:",
            "In order to use a with-block for requests, you must also pass catch_response=True",
            "iter_content() reads the answer to a request with stream=True; this one had none",
        ]


# In the generator


def plan(server: str, user: str, **others: Any) -> Plan:
    return Plan(
        users=(Reference(str(USERS), "lean_users", user),),
        stages=(Stage("only", users=3, duration="1s"),),
        urls=(server,),
        sys_path=(str(USERS.parent), *sys.path),
        **others,
    )


def test_the_generator_records_every_request(server: str) -> None:
    run = Run(plan(server, "Lean"))
    assert run.end.requests == run.end.locust_requests == run.endpoints()["GET ask"] > 100
    assert run.end.failures == 0
    assert run.collector.stage(0, 1.0).status_codes.keys() == {"200"}


def test_an_unanswered_request_is_a_failure_with_the_time_it_waited(server: str) -> None:
    run = Run(plan(server, "Hanging", answer_wait_s=0.5))
    hang = run.collector.stage(0, 1.0).endpoints["GET hang"]
    assert (hang.requests, hang.failures) == (3, 3)
    (error,) = hang.errors
    assert error.startswith("no answer 0.5 s after ")
    assert hang.max_ms == pytest.approx(1500, abs=150)


def test_a_host_that_is_not_allowed_gets_no_connection(server: str) -> None:
    with pytest.raises(HostRefused, match=r"192\.0\.2\.77 is not loaded"):
        Run(plan(server, "Leaving"))


def test_pytest_may_import_it_and_stays_as_it_is() -> None:
    code = """
        import socket, sys, threading
        import pytest_loadperf
        assert "locust" not in sys.modules
        from pytest_loadperf.unpatched import install
        install()
        from pytest_loadperf import LeanHttpUser
        from locust import task
        class Some(LeanHttpUser):
            @task
            def ask(self): self.client.get("/")
        print(socket.socket.__module__, threading.Thread.__module__, Some.abstract, LeanHttpUser.abstract)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("socket threading False True\n", "")
