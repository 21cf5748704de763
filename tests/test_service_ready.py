"""Waiting until a service answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.ready import NotReady, wait_ready


class Answers(BaseHTTPRequestHandler):
    """Answers `/status/N` with N, `/after/N` with 200 from the Nth request on, and drops `/drop`."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, number = self.path.partition("?")[0].lstrip("/").partition("/")
        if kind == "drop":
            self.close_connection = True
            return
        status = int(number or 404) if kind != "after" else 200 if len(self.asked) >= int(number) else 503
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def url(asked: list[str]) -> Iterator[str]:
    handler = type("Handler", (Answers,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def alive() -> None:
    pass


@pytest.mark.parametrize("path", ["/status/200", "/status/204", "/status/302", "/status/200?key=1"])
def test_a_chosen_path_is_ready_with_2xx_and_3xx(url: str, asked: list[str], path: str) -> None:
    assert wait_ready(url + path, 1, alive, "it") < 0.5
    assert asked == [path]


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_chosen_path_is_not_ready_with_4xx_and_5xx(url: str, status: int) -> None:
    with pytest.raises(NotReady) as raised:
        wait_ready(f"{url}/status/{status}", 0.1, alive, "shop", advice="Look at it.")

    assert str(raised.value) == (
        f"shop was not ready within 0.1 s: GET {url}/status/{status} got status {status}, expected a status from 200 "
        "to 399. Check ready= and port=, or allow more time with timeout=. Look at it."
    )


def test_without_a_chosen_path_any_answer_below_500_is_ready(url: str, asked: list[str]) -> None:
    wait_ready(f"{url}/", 1, alive, "it")  # 404: a service without a start page

    assert asked == ["/"]


def test_it_waits_as_long_as_it_takes_and_returns_the_seconds(url: str, asked: list[str]) -> None:
    began = time.monotonic()
    seconds = wait_ready(f"{url}/after/4", 5, alive, "it")

    assert len(asked) == 4
    assert seconds == pytest.approx(time.monotonic() - began, abs=0.02)
    assert 0.08 < seconds < 1  # pauses of 20, 30 and 45 ms


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(
        NotReady, match=rf"GET http://127.0.0.1:{port}/ got connection refused, expected a status below"
    ):
        wait_ready(f"http://127.0.0.1:{port}/", 0.1, alive, "it")


def test_a_connection_that_closes_unanswered_is_named(url: str) -> None:
    with pytest.raises(NotReady, match="/drop got a connection that closed without an answer, expected"):
        wait_ready(f"{url}/drop", 0.1, alive, "it")


def test_a_port_that_accepts_and_says_nothing_is_named_in_time() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(NotReady, match=r"got no answer for 0\.\d s, expected"):
            wait_ready(f"http://127.0.0.1:{port}/", 0.5, alive, "it")
    assert time.monotonic() - began < 1.5


def test_what_does_not_speak_http_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-Other\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotReady, match=r"got BadStatusLine: SSH-2\.0-Other"):
            wait_ready(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.0, alive, "it")
        thread.join()


def test_values_in_the_path_are_not_shown(url: str) -> None:
    with pytest.raises(NotReady, match=r"/status/500\?key=\*\*\* got status 500"):
        wait_ready(f"{url}/status/500?key=secret", 0.05, alive, "it")


def test_the_end_of_the_service_ends_the_wait_at_once(url: str, asked: list[str]) -> None:
    def dies() -> None:
        if len(asked) == 2:
            raise ServiceError("it ended")

    began = time.monotonic()
    with pytest.raises(ServiceError, match="it ended"):
        wait_ready(f"{url}/status/503", 30, dies, "it")
    assert time.monotonic() - began < 1


def test_a_proxy_of_the_environment_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    wait_ready(f"{url}/status/200", 1, alive, "it")
