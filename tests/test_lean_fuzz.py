"""Whatever a server says, a LeanHttpUser records one request with a name, in time, and goes on."""

from __future__ import annotations

import gc
import random
import re
from collections.abc import Iterator

import h11
import psutil
import pytest
from lean_child import Child, Loaded, child, told
from lean_server import CLOSE, OK, RESET, Script, Step, scripted, serving

TIMEOUT_S = 0.4
Outcome = tuple[int, bytes | None, str | None]


@pytest.fixture(scope="module")
def lean() -> Iterator[Child]:
    with child() as running:
        yield running


def asks(url: str, paths: list[str], at_once: int = 1) -> list[Outcome]:
    """What became of a request for each path, by users that go on after each."""
    from gevent.pool import Pool

    users = [Loaded(url, network_timeout=TIMEOUT_S) for _ in range(at_once)]

    def ask(path: str) -> Outcome:
        loaded = users.pop()
        response = loaded.client.get(path)
        users.append(loaded)
        (event,) = loaded.events
        loaded.events.clear()
        assert event["exception"] is response.error
        assert event["response_time"] < 1000 * (TIMEOUT_S + 2)
        return response.status_code, response.content, response.error and told(response.error)

    outcomes: list[Outcome] = Pool(at_once).map(ask, paths)
    return outcomes


def answer(*fields: str, body: bytes = b"", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join((status, *fields, "", "")).encode("latin-1") + body


GOOD = (200, b"ok", None)
CHUNKED = "Transfer-Encoding: chunked"
NOT_PARSED = "MalformedAnswer: the answer is not HTTP/1.1: "  # and the parser's own words, which are not ours to pin
NOT_HTTP = "MalformedAnswer: the answer does not begin with HTTP/1."
LATE = f"TimeoutError: no complete answer within {TIMEOUT_S:g} s"
CUT_BODY = "IncompleteAnswer: the server closed the connection in the middle of the body"
CUT_HEAD = "IncompleteAnswer: the server closed the connection in the middle of the head"


def nowhere(why: str) -> str:
    return f"BadRedirect: a redirect leads nowhere: {why}; expected one such as http://127.0.0.1:8000/path"


def drops(piece: bytes) -> list[Step]:
    """More of it than a request waits for."""
    return [piece, 0.05] * 20


FAILING: dict[str, tuple[list[Step], str]] = {
    "nothing": ([CLOSE], "NoAnswer: the server closed the connection without an answer"),
    "reset": ([RESET], "NoAnswer: the server closed the connection without an answer"),
    "silence": ([1.0], LATE),
    "status line cut": ([b"HTTP/1.1 20", CLOSE], CUT_HEAD),
    "head cut": ([b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE], CUT_HEAD),
    "head that never ends": ([b"HTTP/1.1 200 OK\r\nX: y\r\n", 1.0], LATE),
    "field cut by a line": ([b"HTTP/1.1 200 OK\r\nX", b"\r\nY: z", 1.0], NOT_PARSED),
    "head reset": ([b"HTTP/1.1 200 OK\r\n", 0.02, RESET], "ConnectionResetError: "),
    "huge head": (
        [answer(*(f"X-{n}: {'x' * 1000}" for n in range(100)))],
        "MalformedAnswer: the answer's head is longer than 64 KiB",
    ),
    "huge head without end": (
        [b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 1000] * 100],
        "MalformedAnswer: the answer's head is longer than 64 KiB",
    ),
    "another protocol": ([b"SSH-2.0-OpenSSH_9.6\r\n"], NOT_HTTP),
    "garbage": ([bytes(range(256))], NOT_HTTP),
    "garbage with an empty line": ([b"garbage\r\n\r\n"], NOT_HTTP),
    "zeros": ([bytes(1000)], NOT_HTTP),
    "empty lines first": ([b"\r\n\r\n" + OK], NOT_HTTP),
    "HTTP/0.9": ([b"<html>hello</html>", CLOSE], NOT_HTTP),
    "HTTP/2": ([answer("Content-Length: 0", status="HTTP/2.0 200 OK")], NOT_HTTP),
    "HTTP/1.2": ([answer("Content-Length: 0", status="HTTP/1.2 200 OK")], NOT_PARSED),
    "no status": ([answer("Content-Length: 0", status="HTTP/1.1  OK")], NOT_PARSED),
    "status of two digits": ([answer("Content-Length: 0", status="HTTP/1.1 20 OK")], NOT_PARSED),
    "status of letters": ([answer("Content-Length: 0", status="HTTP/1.1 2x0 OK")], NOT_PARSED),
    "line feeds only": ([b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 1.0], NOT_PARSED),
    "switching protocols": (
        [answer("Upgrade: x", "Connection: upgrade", status="HTTP/1.1 101 Switching")],
        "MalformedAnswer: the answer switches to another protocol",
    ),
    "interim only": ([answer(status="HTTP/1.1 100 Continue"), CLOSE], CUT_HEAD),
    "length too large": ([answer("Content-Length: 9", body=b"ok"), CLOSE], CUT_BODY),
    "length never reached": ([answer("Content-Length: 9", body=b"ok"), 1.0], LATE),
    "body reset": (
        [answer("Content-Length: 9", body=b"ok"), 0.02, RESET],
        "ConnectionResetError: ",
    ),
    "negative length": ([answer("Content-Length: -2", body=b"ok")], NOT_PARSED),
    "length of letters": ([answer("Content-Length: two", body=b"ok")], NOT_PARSED),
    "hexadecimal length": ([answer("Content-Length: 0x2", body=b"ok")], NOT_PARSED),
    "length with a sign": ([answer("Content-Length: +2", body=b"ok")], NOT_PARSED),
    "no length": ([answer("Content-Length:", body=b"ok")], NOT_PARSED),
    "two lengths": ([answer("Content-Length: 2", "Content-Length: 3", body=b"ok")], NOT_PARSED),
    "the same length twice": (
        [answer("Content-Length: 2", "Content-Length: 2", body=b"ok")],
        NOT_PARSED,
    ),
    "list of lengths": ([answer("Content-Length: 2, 2", body=b"ok")], NOT_PARSED),
    "length past 64 bits": ([answer("Content-Length: 99999999999999999999")], NOT_PARSED),
    "length past 63 bits": (
        [answer("Content-Length: 9223372036854775809")],
        "MalformedAnswer: the answer's Content-Length is past all bounds",
    ),
    "length and chunks": (
        [answer("Content-Length: 2", CHUNKED, body=b"0\r\n\r\n")],
        NOT_PARSED,
    ),
    "chunks and length": (
        [answer(CHUNKED, "Content-Length: 2", body=b"0\r\n\r\n")],
        NOT_PARSED,
    ),
    "chunk size of letters": (
        [answer(CHUNKED, body=b"xy\r\nok\r\n0\r\n\r\n")],
        NOT_PARSED,
    ),
    "negative chunk": ([answer(CHUNKED, body=b"-2\r\nok\r\n0\r\n\r\n")], NOT_PARSED),
    "huge chunk": ([answer(CHUNKED, body=b"fffffffffffffffff\r\nok")], NOT_PARSED),
    "chunk longer than said": ([answer(CHUNKED, body=b"1\r\nok\r\n0\r\n\r\n")], NOT_PARSED),
    "chunk cut": ([answer(CHUNKED, body=b"5\r\nok"), CLOSE], CUT_BODY),
    "last chunk missing": ([answer(CHUNKED, body=b"2\r\nok\r\n"), CLOSE], CUT_BODY),
    "trailer cut": ([answer(CHUNKED, body=b"2\r\nok\r\n0\r\nX: "), CLOSE], CUT_BODY),
    "chunks that drip": ([answer(CHUNKED), *drops(b"1\r\nx\r\n")], LATE),
    "until close, that drips": ([answer(), *drops(b"x")], LATE),
    "field without a colon": ([answer("Bad", "Content-Length: 2", body=b"ok")], NOT_PARSED),
    "space before the colon": ([answer("X : y", "Content-Length: 2", body=b"ok")], NOT_PARSED),
    "folded field": (
        [answer("X: y", " z", "Content-Length: 2", body=b"ok")],
        NOT_PARSED,
    ),
    "zero byte in a field": ([answer("X: a\0b", "Content-Length: 2", body=b"ok")], NOT_PARSED),
    "carriage return in a field": (
        [answer("X: a\rb", "Content-Length: 2", body=b"ok")],
        NOT_PARSED,
    ),
    "redirect to another protocol": (
        [answer("Location: ftp://127.0.0.1/", "Content-Length: 0", status="HTTP/1.1 302 Found")],
        nowhere("'ftp://127.0.0.1/' is no address that can be loaded"),
    ),
    "redirect to no port": (
        [answer("Location: http://h:99999/", "Content-Length: 0", status="HTTP/1.1 302 Found")],
        nowhere("'http://h:99999/' is no address: Port out of range 0-65535"),
    ),
    "redirect to half a bracket": (
        [answer("Location: http://[::1/", "Content-Length: 0", status="HTTP/1.1 302 Found")],
        "BadRedirect: a redirect leads nowhere: Invalid IPv6 URL",
    ),
    "redirect to itself": (
        [answer("Location: /", "Content-Length: 0", status="HTTP/1.1 302 Found")],
        "BadRedirect: more than 30 redirects",
    ),
}

PASSING: dict[str, tuple[list[Step], Outcome]] = {
    "junk after the answer": ([OK + b"junk"], GOOD),
    "another answer after it": ([OK + answer("Content-Length: 3", body=b"bad")], GOOD),
    "junk after the last chunk": ([answer(CHUNKED, body=b"2\r\nok\r\n0\r\n\r\njunk")], GOOD),
    "an answer after the last chunk": ([answer(CHUNKED, body=b"2\r\nok\r\n0\r\n\r\n") + OK], GOOD),
    "a body where none is allowed": ([answer(body=b"ok", status="HTTP/1.1 204 No Content")], (204, b"", None)),
    "a redirect without a place": (
        [answer("Content-Length: 2", body=b"ok", status="HTTP/1.1 302 Found")],
        (302, b"ok", None),
    ),
    "a redirect to two places": (
        [answer("Location: /a", "Location: /b", "Content-Length: 2", body=b"ok", status="HTTP/1.1 302 Found")],
        (302, b"ok", None),
    ),
    "an unknown status": ([answer("Content-Length: 2", body=b"ok", status="HTTP/1.1 299 Odd")], (299, b"ok", None)),
    "fields of Latin-1": ([answer("X: grüße", "Content-Length: 2", body=b"ok")], GOOD),
    "fields that inject": ([answer("X: a%0d%0aSet-Cookie: b", "Content-Length: 2", body=b"ok")], GOOD),
    "a cookie that is none": ([answer("Set-Cookie: ;;=;==\xff", "Content-Length: 2", body=b"ok")], GOOD),
    "a large head": ([answer("X: " + "x" * 60000, "Content-Length: 2", body=b"ok")], GOOD),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_wrong_answer_is_a_failure_with_its_name(lean: Child, kind: str) -> None:
    script, expected = FAILING[kind]
    with scripted(script) as server:
        (status, content, failure), _ = lean.run(asks, server.url, ["/", "/"])
        assert (status, content) == (0, None)
        assert failure is not None
        assert failure == expected or (expected.endswith(": ") and failure.startswith(expected))


@pytest.mark.parametrize("kind", PASSING)
def test_an_odd_answer_is_taken_as_far_as_http_lets_it(lean: Child, kind: str) -> None:
    script, expected = PASSING[kind]
    with scripted(script, [OK]) as server:
        assert lean.run(asks, server.url, ["/", "/"]) == [expected, GOOD]


SEEDS = (
    OK,
    answer("Server: x", "Date: Fri, 20 Nov 2026 06:37:05 GMT", "Content-Length: 11", body=b"hello world"),
    answer(CHUNKED, "X-A: b", body=b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"),
    answer("Connection: close", body=b"until the end"),
    answer("Content-Length: 0", "Set-Cookie: a=b; Path=/; Max-Age=60", status="HTTP/1.1 404 Not Found"),
    answer(status="HTTP/1.1 100 Continue") + answer(status="HTTP/1.1 103 Early Hints") + OK,
    answer("Content-Length: 2", "Connection: keep-alive", body=b"ok", status="HTTP/1.0 200 OK"),
    answer(status="HTTP/1.1 204 No Content"),
)
PIECES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"-1",
    b"9" * 20,
    b"0",
)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.choice((1, 1, 2, 5, 20)))
        match chance.randrange(6):
            case 0:
                data[at:until] = chance.randbytes(until - at)
            case 1:
                del data[at:until]
            case 2:
                data[at:at] = data[at:until]
            case 3:
                data[at:at] = chance.choice(PIECES)
            case 4:
                del data[at:]
            case 5:
                data[at:until] = bytes(byte ^ (1 << chance.randrange(8)) for byte in data[at:until])
    return bytes(data)


def read_by_h11(data: bytes) -> tuple[int, bytes] | None:
    """What another strict parser makes of the same bytes, after which the connection closes; None if it objects."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    reader.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        reader.receive_data(data)
        reader.receive_data(b"")
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None
    return status, body


def test_thousands_of_mutated_answers_are_each_a_success_or_a_named_failure(lean: Child) -> None:
    chance = random.Random(20261120)
    answers = [mutated(chance.choice(SEEDS), chance) for _ in range(3000)]

    def script_for(request: bytes) -> Script:
        number = int(request.split(b" ", 2)[1][1:])
        return [answers[number], 0.5 if number % 20 == 0 else 0.0, CLOSE]

    files = lean.run(open_files)
    with serving(script_for) as server:
        outcomes = lean.run(asks, server.url, [f"/{number}" for number in range(len(answers))], 20)
    assert lean.run(open_files) <= files
    for data, (status, content, failure) in zip(answers, outcomes, strict=True):
        assert failure is None or NAMED.fullmatch(failure)
        assert not status or reads_as(data, status, content)
    assert sum(1 for status, _, _ in outcomes if status) > len(answers) / 5


NAMED = re.compile(
    "(NoAnswer|IncompleteAnswer|MalformedAnswer|TimeoutError|LocustBadStatusCode|ConnectionResetError): .+"
)


ODD_REASON = re.compile(rb"HTTP/1.. \d{3}[^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")


def reads_as(data: bytes, status: int, content: bytes | None) -> bool:
    """Whether another strict parser makes the same of it, or objects to what is no matter.

    That is an unknown Transfer-Encoding, with which the end of the connection ends the answer (RFC 9112, 6.3), and
    control characters in the text beside the status.
    """
    other = read_by_h11(data)
    return other == (status, content) or (
        other is None and (b"Transfer-Encoding" in data or ODD_REASON.search(data) is not None)
    )


def open_files() -> int:
    gc.collect()
    return int(psutil.Process().num_fds())
