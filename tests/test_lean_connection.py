"""LeanHttpUser's connections, against servers that say exactly what a test wants, and when."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from lean_child import Child, Loaded, child, told
from lean_server import CLOSE, DEAF, OK, RESET, Script, scripted

CERTIFICATE = Path(__file__).with_name("localhost.pem")
Answers = list[tuple[int, str | None, str | None]]


@pytest.fixture(scope="module")
def lean() -> Iterator[Child]:
    with child() as running:
        yield running


def head(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode()


def gets(url: str, times: int = 1, pause_s: float = 0.0, method: str = "GET", **settings: Any) -> Answers:
    """Status, text and failure of some requests, one after the other."""
    loaded = Loaded(url, **settings)
    answers = []
    for _ in range(times):
        response = loaded.client.request(method, "/")
        answers.append((response.status_code, response.text, response.error and told(response.error)))
        time.sleep(pause_s)
    assert loaded.failures() == [answer[2] for answer in answers]
    return answers


# Connections


def test_a_connection_is_kept(lean: Child) -> None:
    with scripted() as server:
        assert lean.run(gets, server.url, 5) == [(200, "ok", None)] * 5
        assert server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("ending", [CLOSE, RESET])
@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_a_connection_that_the_server_closed_between_requests_is_opened_again(
    lean: Child, method: str, ending: str, pause_s: float
) -> None:
    with scripted([OK, ending]) as server:
        answers = lean.run(gets, server.url, 5, pause_s, method)
        if method == "GET" or pause_s:
            assert answers == [(200, "ok", None)] * 5
            assert server.connections == 5


def test_a_connection_that_the_answer_closes_is_not_used_again(lean: Child) -> None:
    with scripted([head("Connection: close", "Content-Length: 2") + b"ok"]) as server:
        assert lean.run(gets, server.url, 3) == [(200, "ok", None)] * 3
        assert server.connections == 3


def test_an_answer_of_http_1_0_ends_its_connection(lean: Child) -> None:
    with scripted([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"]) as server:
        assert lean.run(gets, server.url, 2) == [(200, "ok", None)] * 2
        assert server.connections == 2


NO_ANSWER = "NoAnswer: the server closed the connection without an answer"


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_used_connection_that_closes_instead_of_an_answer_is_opened_again_once(lean: Child, ending: str) -> None:
    with scripted([OK], [ending], [OK]) as server:
        assert lean.run(gets, server.url, 2) == [(200, "ok", None)] * 2
    with scripted([OK], [ending], [ending], [OK]) as server:
        assert lean.run(gets, server.url, 3) == [(200, "ok", None), (0, None, NO_ANSWER), (200, "ok", None)]


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_what_is_not_idempotent_is_not_asked_twice(lean: Child, ending: str) -> None:
    with scripted([OK], [ending], [OK]) as server:
        answers = lean.run(gets, server.url, 3, 0.0, "POST")
        assert answers == [(200, "ok", None), (0, None, NO_ANSWER), (200, "ok", None)]
        assert len(server.requests) == 3


def test_a_new_connection_that_closes_without_an_answer_is_a_failure_at_once(lean: Child) -> None:
    with scripted([CLOSE]) as server:
        assert lean.run(gets, server.url) == [(0, None, NO_ANSWER)]
        assert server.connections == 1


def test_an_answer_that_began_is_not_asked_for_again(lean: Child) -> None:
    with scripted([OK], [b"HTTP/1.1 2", CLOSE], [OK]) as server:
        failure = "IncompleteAnswer: the server closed the connection in the middle of the head"
        assert lean.run(gets, server.url, 2)[1] == (0, None, failure)
        assert len(server.requests) == 2


def test_what_comes_after_an_answer_is_never_taken_for_the_next(lean: Child) -> None:
    with scripted([OK + OK.replace(b"ok", b"no")], [OK]) as server:
        assert lean.run(gets, server.url, 2) == [(200, "ok", None)] * 2
        assert server.connections == 2
    with scripted([OK, 0.02, OK.replace(b"ok", b"no"), 0.2], [OK]) as server:
        assert lean.run(gets, server.url, 2, 0.1) == [(200, "ok", None)] * 2
        assert server.connections == 2


def asks_at_once(url: str, times: int, concurrency: int) -> tuple[int, float]:
    import gevent

    loaded = Loaded(url, concurrency=concurrency)
    began = time.perf_counter()
    gevent.joinall([gevent.spawn(loaded.client.get, "/") for _ in range(times)], raise_error=True)
    assert loaded.failures() == [None] * times
    return len(loaded.events), time.perf_counter() - began


def test_greenlets_of_one_user_ask_at_once_as_far_as_its_concurrency_lets_them(lean: Child) -> None:
    with scripted([0.1, OK]) as server:
        answered, lasted_s = lean.run(asks_at_once, server.url, 6, 10)
        assert (answered, server.connections) == (6, 6)
        assert lasted_s < 0.3
    with scripted([0.1, OK]) as server:
        answered, lasted_s = lean.run(asks_at_once, server.url, 6, 2)
        assert (answered, server.connections) == (6, 2)
        assert 0.3 <= lasted_s < 0.5


def test_a_request_that_waits_too_long_for_its_turn_is_a_failure(lean: Child) -> None:
    with scripted([0.5, OK]) as server:
        assert lean.run(late_for_its_turn, server.url) == [
            "TimeoutError: no complete answer within 0.2 s",
            None,
        ]


def late_for_its_turn(url: str) -> list[str | None]:
    import gevent

    loaded = Loaded(url, concurrency=1)
    first = gevent.spawn(loaded.client.get, "/")
    gevent.sleep(0.05)
    loaded.client.get("/", timeout=0.2)
    first.join()
    return loaded.failures()


# Bodies

WHOLE: dict[str, tuple[bytes, tuple[int, str | None]]] = {
    "length": (head("Content-Length: 5") + b"hello", (200, "hello")),
    "nothing": (head("Content-Length: 0"), (200, "")),
    "no content": (head(status="204 No Content"), (204, "")),
    "not modified": (head("Content-Length: 5", status="304 Not Modified"), (304, "")),
    "chunks": (
        head("Transfer-Encoding: chunked") + b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
        (200, "hello"),
    ),
    "no chunks": (head("Transfer-Encoding: chunked") + b"0\r\n\r\n", (200, "")),
    "interim": (head(status="100 Continue") + head("Link: </a>", status="103 Early Hints") + OK, (200, "ok")),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", (200, "ok")),
    "empty fields": (head("X:", "Y: ", "Content-Length: 2") + b"ok", (200, "ok")),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_an_answer_is_understood_however_it_is_cut(lean: Child, kind: str) -> None:
    answer, expected = WHOLE[kind]
    by_byte: Script = [step for byte in answer for step in (bytes([byte]), 0.0005)]
    in_two: Script = [answer[: len(answer) // 2], 0.02, answer[len(answer) // 2 :]]
    with scripted([answer], by_byte, in_two) as server:
        assert lean.run(gets, server.url, 4, 0.0) == [(*expected, None)] * 4
        assert server.connections == 1


@pytest.mark.parametrize("fields", [(), ("Transfer-Encoding: gzip",), ("Connection: keep-alive",)])
def test_a_body_without_a_length_goes_on_until_the_connection_closes(lean: Child, fields: tuple[str, ...]) -> None:
    with scripted([head(*fields) + b"hel", 0.02, b"lo", CLOSE]) as server:
        assert lean.run(gets, server.url, 2) == [(200, "hello", None)] * 2


def test_the_answer_to_head_has_no_body_whatever_its_length(lean: Child) -> None:
    for fields in (("Content-Length: 5",), ("Transfer-Encoding: chunked",), ()):
        with scripted([head(*fields)]) as server:
            assert lean.run(gets, server.url, 2, 0.0, "HEAD") == [(200, "", None)] * 2
            assert server.connections == 1


def receives_much(url: str, megabytes: int, **settings: Any) -> tuple[int, float]:
    loaded = Loaded(url, **settings)
    began = time.perf_counter()
    response = loaded.client.get("/")
    assert response.content == bytes(megabytes << 20)
    assert loaded.events[0]["response_length"] == megabytes << 20
    return response.status_code, time.perf_counter() - began


def test_a_large_body_is_read_in_time_that_grows_with_its_size_only(lean: Child) -> None:
    megabytes = 100
    zeros = bytes(1 << 20)
    with scripted([head(f"Content-Length: {megabytes << 20}"), *[zeros] * megabytes]) as server:
        status, lasted_s = lean.run(receives_much, server.url, megabytes)
        assert (status, lasted_s < 3) == (200, True)
    chunk = b"100000\r\n" + zeros + b"\r\n"
    with scripted([head("Transfer-Encoding: chunked"), *[chunk] * megabytes, b"0\r\n\r\n"]) as server:
        status, lasted_s = lean.run(receives_much, server.url, megabytes)
        assert (status, lasted_s < 3) == (200, True)


def sends_much(url: str, megabytes: int, **settings: Any) -> list[tuple[int, str | None]]:
    loaded = Loaded(url, network_timeout=5, **settings)
    answers = [loaded.client.post("/", data=bytes(megabytes << 20)) for _ in range(2)]
    return [(response.status_code, response.text) for response in answers]


def test_a_large_body_is_sent_whole(lean: Child) -> None:
    with scripted() as server:
        assert lean.run(sends_much, server.url, 20) == [(200, "ok")] * 2
        assert [request[-1] for request in server.requests] == [0, 0]
        assert [len(request) > 20 << 20 for request in server.requests] == [True, True]


EARLY = head("Content-Length: 3", status="413 Content Too Large") + b"big"


@pytest.mark.parametrize("ending", [CLOSE, RESET, 1.0])
def test_a_server_that_answers_before_it_has_heard_everything_is_heard(lean: Child, ending: str | float) -> None:
    with scripted([DEAF, EARLY, 0.1, ending], [OK]) as server:
        began = time.monotonic()
        assert lean.run(sends_much, server.url, 20) == [(413, "big"), (200, "ok")]
        assert time.monotonic() - began < 2
        assert server.connections == 2


# Times


def test_no_answer_is_a_failure_when_the_time_is_over(lean: Child) -> None:
    late = (0, None, "TimeoutError: no complete answer within 0.2 s")
    with scripted([1.0, OK]) as server:
        began = time.monotonic()
        assert lean.run(gets, server.url, 2, network_timeout=0.2) == [late, late]
        assert 0.4 <= time.monotonic() - began < 0.7


@pytest.mark.parametrize(
    "opening", [head("Content-Length: 100"), head("Transfer-Encoding: chunked"), head(), b"HTTP/1.1 200 "]
)
def test_an_answer_that_drips_is_a_failure_when_the_time_is_over(lean: Child, opening: bytes) -> None:
    drops = [step for _ in range(40) for step in (b"1", 0.02)]
    with scripted([opening, *drops]) as server:
        began = time.monotonic()
        assert lean.run(gets, server.url, network_timeout=0.2) == [
            (0, None, "TimeoutError: no complete answer within 0.2 s")
        ]
        assert time.monotonic() - began < 0.4


def asks_with_timeouts(url: str, timeouts: list[Any]) -> list[str | None]:
    loaded = Loaded(url)
    for timeout in timeouts:
        loaded.client.get("/", timeout=timeout)
    return loaded.failures()


def test_a_timeout_counts_for_its_request_only(lean: Child) -> None:
    def late(seconds: float) -> str:
        return f"TimeoutError: no complete answer within {seconds:g} s"

    with scripted([0.1, OK]) as server:
        asked = [1, 0.05, 1, (1, 0.05), (0.05, None), 0.06, None]
        expected = [None, late(0.05), None, late(0.05), None, late(0.06), None]
        assert lean.run(asks_with_timeouts, server.url, asked) == expected


def test_a_request_that_ran_into_its_timeout_is_tried_again_as_often_as_allowed(lean: Child) -> None:
    late = (0, None, "TimeoutError: no complete answer within 0.1 s")
    for method, retries, expected in (("GET", 1, late), ("GET", 2, (200, "ok", None)), ("POST", 2, late)):
        with scripted([0.3, OK], [0.3, OK], [OK]) as server:
            answers = lean.run(gets, server.url, 1, 0.0, method, network_timeout=0.1, max_retries=retries)
            assert answers == [expected]


def test_a_connection_that_is_not_accepted_is_a_failure_when_the_time_is_over(lean: Child) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert lean.run(gets, url, connection_timeout=0.2) == [(0, None, "TimeoutError: no connection within 0.2 s")]
        for one in filling:
            one.close()


def is_stopped_while_it_waits(url: str) -> tuple[int, list[str | None]]:
    import gevent

    loaded = Loaded(url)
    asking = gevent.spawn(loaded.client.get, "/")
    gevent.sleep(0.05)
    asking.kill()
    loaded.client.get("/")
    return len(loaded.events), loaded.failures()


def test_a_user_that_is_stopped_while_it_waits_reports_nothing_and_closes(lean: Child) -> None:
    with scripted([5.0], [OK]) as server:
        assert lean.run(is_stopped_while_it_waits, server.url) == (1, [None])
        assert server.connections == 2


def waits_within_a_timeout_of_its_own(url: str) -> list[str | None]:
    import gevent

    loaded = Loaded(url)
    with gevent.Timeout(0.1):
        loaded.client.get("/")
    loaded.client.get("/")
    return loaded.failures()


def test_a_timeout_of_the_task_fails_the_request_that_it_meets(lean: Child) -> None:
    with scripted([0.5, OK], [OK]) as server:
        assert lean.run(waits_within_a_timeout_of_its_own, server.url) == ["Timeout: 0.1 seconds", None]


# Addresses


def test_ipv6_is_spoken(lean: Child) -> None:
    with scripted(host="::1") as server:
        assert lean.run(gets, server.url) == [(200, "ok", None)]
        assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.requests[0]


def test_every_address_of_a_name_is_tried(lean: Child) -> None:
    with scripted() as server:  # on 127.0.0.1 only, while localhost may be ::1 first
        assert lean.run(gets, f"http://localhost:{server.port}") == [(200, "ok", None)]


def test_a_name_that_can_not_be_one_is_a_failure(lean: Child) -> None:
    (answer,) = lean.run(gets, f"http://{'a' * 64}.example")
    assert answer[2] is not None
    assert answer[2].startswith("ConnectionError: 'aaaa")


# TLS


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def gets_trusting(url: str, certificate: str, times: int) -> Answers:
    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=certificate)

    return gets(url, times, ssl_context_factory=staticmethod(trusting))


def test_a_certificate_is_verified(lean: Child, tls: ssl.SSLContext) -> None:
    with scripted(tls=tls) as server:
        ((status, _, failure),) = lean.run(gets, server.url)
        assert status == 0
        assert failure is not None
        assert failure.startswith("SSLCertVerificationError: ")
        assert lean.run(gets_trusting, server.url, str(CERTIFICATE), 3) == [(200, "ok", None)] * 3
        assert server.connections == 2


def test_a_certificate_of_another_host_is_refused(lean: Child, tls: ssl.SSLContext) -> None:
    with scripted(tls=tls, host="127.0.0.2") as server:
        ((_, _, failure),) = lean.run(gets_trusting, server.url, str(CERTIFICATE), 1)
        assert failure is not None
        assert "IP address mismatch" in failure


def test_insecure_loads_whoever_answers(lean: Child, tls: ssl.SSLContext) -> None:
    with scripted([OK], [OK], [OK, CLOSE], [head() + b"to the end", CLOSE], tls=tls) as server:
        answers = lean.run(gets, server.url, 4, 0.02, insecure=True)
        assert answers == [(200, "ok", None)] * 3 + [(200, "to the end", None)]
        assert server.connections == 2


def test_much_is_sent_and_received_over_tls(lean: Child, tls: ssl.SSLContext) -> None:
    zeros = bytes(1 << 20)
    with scripted([head(f"Content-Length: {30 << 20}"), *[zeros] * 30], tls=tls) as server:
        assert lean.run(receives_much, server.url, 30, insecure=True)[0] == 200
    with scripted(tls=tls) as server:
        assert lean.run(sends_much, server.url, 20, insecure=True) == [(200, "ok")] * 2
    with scripted([DEAF, EARLY, 1.0], [OK], tls=tls) as server:
        assert lean.run(sends_much, server.url, 20, insecure=True) == [(413, "big"), (200, "ok")]


def test_a_handshake_without_an_answer_is_a_failure_when_the_time_is_over(lean: Child) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        assert lean.run(gets, url, connection_timeout=0.2) == [(0, None, "TimeoutError: no connection within 0.2 s")]


def test_a_server_that_speaks_no_tls_is_a_failure(lean: Child) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_plainly() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(head(status="400 Bad Request"))

        threading.Thread(target=answer_plainly, daemon=True).start()
        ((_, _, failure),) = lean.run(gets, f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert failure is not None
        assert failure.startswith("SSLError: ")


# Streams


def reads_a_stream(url: str, how: str) -> tuple[list[Any], list[str | None], int]:
    loaded = Loaded(url, network_timeout=0.3)
    read: list[Any] = []
    try:
        if how == "lines":
            read += loaded.client.iter_lines("/")
        elif how == "pieces":
            read += loaded.client.get("/", stream=True).iter_content(3)
        elif how == "dropped":
            loaded.client.get("/", stream=True)
        elif how == "content":
            read.append(loaded.client.get("/", stream=True).content)
        elif how == "with":
            with loaded.client.get("/", stream=True, catch_response=True) as response:
                read += response.iter_content(decode_content=False)
        elif how == "read":
            with loaded.client.get("/", stream=True, catch_response=True) as response:
                read += [response.read(3), response.read()]
    except OSError as error:
        read.append(told(error))
    loaded.client.get("/")
    return read, loaded.failures(), loaded.events[0]["response_length"]


def test_a_stream_is_read_as_it_comes_and_its_connection_used_again(lean: Child) -> None:
    chunked: Script = [head("Transfer-Encoding: chunked"), b"5\r\na\nb\nc\r\n", 0.05, b"3\r\nd\ne\r\n0\r\n\r\n"]
    with scripted(chunked, [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "lines") == (["a", "b", "cd", "e"], [None, None], 0)
        assert server.connections == 1
    counted: Script = [head("Content-Length: 7"), 0.05, b"abcd", 0.05, b"efg"]
    with scripted(counted, [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "pieces") == (["abc", "d", "efg"], [None, None], 7)
        assert server.connections == 1
    with scripted(counted, [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "content") == ([b"abcdefg"], [None, None], 7)
        assert server.connections == 1


def test_a_stream_that_is_dropped_closes_its_connection(lean: Child) -> None:
    with scripted([head("Content-Length: 7"), b"abc", 0.2], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "dropped") == ([], [None, None], 7)
        assert server.connections == 2


def test_a_stream_that_ends_early_says_so(lean: Child) -> None:
    early = "IncompleteAnswer: the server closed the connection in the middle of the body"
    with scripted([head("Content-Length: 7"), b"abc", CLOSE], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "pieces") == (["abc", early], [None, None], 7)
    with scripted([head("Content-Length: 7"), b"abc", CLOSE], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "with") == ([b"abc"], [early, None], 7)
    with scripted([head("Content-Length: 7"), b"abc", CLOSE], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "read") == ([], [early, None], 7)
    with scripted([head("Content-Length: 7"), b"abc", CLOSE], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "content") == ([None], [None, None], 7)


@pytest.mark.parametrize("how", ["with", "read"])
def test_a_stream_that_never_began_raises_what_prevented_it(lean: Child, how: str) -> None:
    with scripted([CLOSE], [OK]) as server:
        read, (failure, _), _ = lean.run(reads_a_stream, server.url, how)
    assert read == []
    assert failure is not None
    assert failure.startswith("NoAnswer: ")


def test_a_stream_may_take_longer_than_a_request_as_long_as_something_comes(lean: Child) -> None:
    drops = [step for _ in range(7) for step in (0.1, b"x")]
    with scripted([head("Content-Length: 7"), *drops], [OK]) as server:
        assert lean.run(reads_a_stream, server.url, "pieces") == (["x"] * 7, [None, None], 7)
    with scripted([head("Content-Length: 7"), b"x", 0.6, b"x"], [OK]) as server:
        late = "TimeoutError: no more of the answer within 0.3 s"
        assert lean.run(reads_a_stream, server.url, "pieces") == (["x", late], [None, None], 7)


def test_no_socket_is_left(lean: Child) -> None:
    before = lean.run(files_after_collecting)
    scripts: list[Script] = [[OK], [CLOSE], [0.3, OK], [b"junk"], [head("Content-Length: 7"), b"abc", 0.3]]
    for script in scripts:
        with scripted(script) as server:
            for _ in range(3):
                lean.run(gets, server.url, 3, network_timeout=0.05)
                lean.run(reads_a_stream, server.url, "dropped")
    lean.run(gets, "http://127.0.0.1:9", 20)
    assert lean.run(files_after_collecting) <= before


def files_after_collecting() -> int:
    gc.collect()
    return psutil.Process().num_fds()
