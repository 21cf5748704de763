"""What the generator's process connects to: never another address than one that was checked."""

from __future__ import annotations

import http.server
import socket
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dns_server import name_server
from test_generator import Run, plan

from pytest_loadperf.errors import HostRefused
from pytest_loadperf.plan import Plan, Stage

ELSEWHERE = "192.0.2.77"  # reserved for documentation: nothing is there
REFUSED = r"192\.0\.2\.77.* is not loaded: .*--loadperf-allow-host "


def loaded(server: str, folder: Path, users: str) -> Run:
    """A second of the users of a locustfile."""
    file = folder / "users_of_names.py"
    file.write_text("import socket\nfrom locust import FastHttpUser, HttpUser, User, task\n" + textwrap.dedent(users))
    asked = plan(server)
    stages = (Stage("only", users=1, duration="1s"),)
    return Run(Plan(locustfile=str(file), stages=stages, urls=asked.urls, sys_path=asked.sys_path))


def by_name(name: str, port: int, connected: Path) -> str:
    """A user that connects twice by a name, and notes each connection."""
    return f"""
        class Moving(User):
            @task
            def connect(self):
                for _ in range(2):
                    with socket.socket(socket.AF_INET) as own:
                        own.connect(({name!r}, {port}))
                    with open({str(connected)!r}, "a") as notes:
                        print({name!r}, file=notes)
                self.environment.events.request.fire(
                    request_type="", name="connected", response_time=1, response_length=0, exception=None
                )
                self.stop()
    """


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def test_a_name_that_moves_between_check_and_connection_is_followed_nowhere(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    # Each answer but the first is elsewhere: there a connection would go, were the name resolved again after its check.
    with name_server({"moving.test": [["127.0.0.1"], [ELSEWHERE]]}) as names:
        for variable, value in names.environ.items():
            monkeypatch.setenv(variable, value)
        with pytest.raises(HostRefused, match=r"^moving\.test \(192\.0\.2\.77\) is not loaded: "):
            loaded(server, tmp_path, by_name("moving.test", port_of(server), notes))
    assert notes.read_text() == "moving.test\n"


def test_a_name_with_one_address_that_may_not_be_loaded_is_refused(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with name_server({"mixed.test": [["127.0.0.1", ELSEWHERE]]}) as names:
        for variable, value in names.environ.items():
            monkeypatch.setenv(variable, value)
        with pytest.raises(HostRefused, match=REFUSED + r"mixed\.test"):
            loaded(server, tmp_path, by_name("mixed.test", 80, tmp_path / "notes"))


def test_a_name_that_stays_where_it_is_is_loaded(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "notes"
    with name_server({"staying.test": [["127.0.0.1"]]}) as names:
        for variable, value in names.environ.items():
            monkeypatch.setenv(variable, value)
        run = loaded(server, tmp_path, by_name("staying.test", port_of(server), notes))
    assert run.endpoints()[" connected"] == 1
    assert notes.read_text() == "staying.test\n" * 2


@pytest.mark.parametrize(
    "call",
    [
        f"own.connect(({ELSEWHERE!r}, 81))",
        f"own.connect((b'{ELSEWHERE}', 81))",
        f"own.connect_ex(({ELSEWHERE!r}, 81))",
        f"own.sendto(b'x', ({ELSEWHERE!r}, 81))",
        f"own.sendto(b'x', 0, ({ELSEWHERE!r}, 81))",
        f"own.sendmsg([b'x'], [], 0, ({ELSEWHERE!r}, 81))",
        "own.sendto(b'x', ('255.255.255.255', 81))",
    ],
)
def test_no_call_of_a_socket_leads_elsewhere(server: str, tmp_path: Path, call: str) -> None:
    users = f"""
        class Leaving(User):
            @task
            def leave(self):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                    own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    {call}
    """
    with pytest.raises(HostRefused, match=r"is not loaded: it is neither this machine, nor a private address"):
        loaded(server, tmp_path, users)


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6 here")
@pytest.mark.parametrize("address", ["::ffff:192.0.2.77", "2001:db8::77", "fe80::77%lo", "64:ff9b::c000:24d"])
def test_an_address_of_the_newer_kind_is_no_way_around(server: str, tmp_path: Path, address: str) -> None:
    users = f"""
        class Leaving(User):
            @task
            def leave(self):
                with socket.socket(socket.AF_INET6) as own:
                    own.connect(({address!r}, 81))
    """
    with pytest.raises(HostRefused) as caught:
        loaded(server, tmp_path, users)
    assert str(caught.value).startswith(f"{address} is not loaded: ")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Counts what it is asked for, and passes nothing on."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[http.server.ThreadingHTTPServer]:
    Proxy.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def test_a_proxy_of_the_environment_is_no_way_around_either(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: http.server.ThreadingHTTPServer
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
    users = f"""
        class Redirected(HttpUser):
            @task
            def leave(self):
                self.client.get("/redirect?to=http://{ELSEWHERE}:81/")
    """
    with pytest.raises(HostRefused, match=REFUSED):
        loaded(server, tmp_path, users)
    assert Proxy.asked == []
