"""The fan-out: which answer it gives, how it ends under load, and how red a load is that gets errors alone."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import httpx
import psutil
import pytest
from elsewhere import free_port
from example_images import healthy
from fanout import create_app

FOLDER = Path(__file__).parents[1] / "example_service" / "fanout"


def wait_until_answered(port: int, path: str = "/health") -> None:
    deadline = time.monotonic() + 20
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            connection.getresponse()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()


@contextmanager
def running(command: list[str], port: int, cwd: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *command], cwd=cwd, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until_answered(port)
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, str]]:
    """The addresses of one that is quick, one that takes half a second, one that fails, and one that is not there."""
    kinds = {"quick": ("10", "0"), "slow": ("500", "0"), "failing": ("10", "1")}
    addresses = {"gone": f"http://127.0.0.1:{free_port()}"}
    with ExitStack() as stack:
        for kind, (delay_ms, failures) in kinds.items():
            port = free_port()
            env = {"PORT": str(port), "DELAY_MS": delay_ms, "FAILURES": failures}
            stack.enter_context(running(["upstream.py"], port, FOLDER, **env))
            addresses[kind] = f"http://127.0.0.1:{port}"
        yield addresses


def get(path: str) -> httpx.Response:
    """The answer of a fan-out that asks UPSTREAMS."""

    async def answered() -> httpx.Response:
        app = create_app()
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://fanout{path}")

    return asyncio.run(answered())


@pytest.fixture
def first(upstreams: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> First:
    return First(upstreams, monkeypatch)


class First:
    """Asks a fan-out whose upstreams are of these kinds; names them so in what is answered."""

    def __init__(self, upstreams: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._upstreams = upstreams
        self._monkeypatch = monkeypatch

    def __call__(self, *kinds: str, query: str = "") -> tuple[int, str]:
        self._monkeypatch.setenv("UPSTREAMS", ", ".join(self._upstreams[kind] for kind in kinds))
        answer = get(f"/first{query}")
        text = answer.text
        for kind, address in self._upstreams.items():
            text = text.replace(address.removeprefix("http://"), kind)
        return answer.status_code, text


def test_the_first_success_is_the_answer(first: First) -> None:
    began = time.monotonic()
    assert first("slow", "quick", "slow") == (200, "hello\n")
    assert time.monotonic() - began < 0.4


def test_what_fails_sooner_does_not_count(first: First) -> None:
    assert first("failing", "gone", "slow") == (200, "hello\n")


def test_when_all_fail_each_reason_is_told(first: First) -> None:
    status, text = first("failing", "gone")
    assert status == 502
    assert sorted(text.removeprefix('{"detail":"all upstreams failed: ').removesuffix('"}').split("; ")) == [
        "failing answered 503",
        "gone: All connection attempts failed",
    ]


def test_when_the_time_is_up_it_says_how_many_did_not_answer(first: First) -> None:
    assert first("slow", "failing", "slow", query="?timeout=0.2") == (
        504,
        '{"detail":"no upstream answered in time: failing answered 503; 2 of 3 did not answer within 0.2 s"}',
    )


@pytest.mark.parametrize("timeout", ["0", "-1", "5.1", "inf", "nan", "soon"])
def test_a_timeout_beyond_the_limits_is_refused(first: First, timeout: str) -> None:
    status, text = first("quick", query=f"?timeout={timeout}")
    assert status == 422
    assert '"timeout"' in text


def test_an_address_keeps_its_credentials_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAMS", f"http://me:secret@127.0.0.1:{free_port()}")
    answer = get("/first")
    assert answer.status_code == 502
    assert "secret" not in answer.text


def test_the_health_does_not_depend_on_the_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAMS", f"http://127.0.0.1:{free_port()}")
    assert get("/health").json() == {"status": "ok"}


def test_the_others_are_given_up_once_one_has_answered(
    upstreams: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends_of_others() -> list[bytes]:
        ends: asyncio.Queue[bytes] = asyncio.Queue()

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            ends.put_nowait(await reader.read())  # returns when the client closes
            writer.close()

        async with await asyncio.start_server(never, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("UPSTREAMS", f"http://127.0.0.1:{port},{upstreams['quick']},http://127.0.0.1:{port}")
            app = create_app()
            transport = httpx.ASGITransport(app)
            async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
                assert (await client.get("http://fanout/first?timeout=5")).status_code == 200
                async with asyncio.timeout(2):  # while the client lives, whose end would close them too
                    return [await ends.get(), await ends.get()]

    assert asyncio.run(ends_of_others()) == [b"", b""]


def test_callers_share_connections_but_no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connections_and_requests() -> tuple[int, list[bytes]]:
        connections: list[asyncio.StreamWriter] = []
        requests: list[bytes] = []

        async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            with suppress(asyncio.IncompleteReadError):
                while True:
                    requests.append(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: caller=1\r\nContent-Length: 0\r\n\r\n")

        async with await asyncio.start_server(welcome, "127.0.0.1") as server:
            monkeypatch.setenv("UPSTREAMS", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            app = create_app()
            transport = httpx.ASGITransport(app)
            async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
                for _ in range(3):
                    assert (await client.get("http://fanout/first")).status_code == 200
            for connection in connections:
                connection.close()
                await connection.wait_closed()
        return len(connections), requests

    connections, requests = asyncio.run(connections_and_requests())
    assert (connections, len(requests)) == (1, 3)
    assert not any(b"cookie" in request.lower() for request in requests)


@pytest.mark.parametrize(
    ("upstreams", "error"),
    [
        ("", "fanout: UPSTREAMS is not set; give the addresses to ask"),
        (" , ", "fanout: UPSTREAMS is not set; give the addresses to ask"),
        ("http://one,two:9000", "fanout: UPSTREAMS has two:9000, which is no address; expected http://… or https://…"),
    ],
)
def test_without_addresses_it_does_not_start_and_says_why(upstreams: str, error: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "fanout:create_app", "--port=0"]
    env = {**os.environ, "UPSTREAMS": upstreams}
    done = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(error)


NOTING = """
from fanout import create_app

def create_noting_app():
    app = create_app()
    async def noting(scope, receive, send):
        if scope["path" if scope["type"] == "http" else "type"] == "/first":
            print(dict(scope["headers"])[b"x-number"].decode(), flush=True)
        await app(scope, receive, send)
    return noting
"""


def keep_asking(port: int, numbers: count[int], answered: dict[int, int], *, anew: bool) -> None:
    """Ask until the server closes the connection, or, where each request has a new one, refuses it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        while True:
            number = next(numbers)
            connection.request("GET", "/first", headers={"X-Number": str(number)})
            answer = connection.getresponse()
            answer.read()
            answered[number] = answer.status
            if anew or answer.will_close:
                connection.close()
    except (OSError, HTTPException):
        connection.close()


def test_asked_to_stop_under_load_it_answers_every_request_that_it_took(
    upstreams: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "noting.py").write_text(NOTING)
    port = free_port()
    command = ["-m", "uvicorn", "--factory", "noting:create_noting_app", f"--port={port}", "--no-access-log"]
    env = {"UPSTREAMS": upstreams["slow"], "PYTHONPATH": os.pathsep.join([str(FOLDER), str(tmp_path)])}
    numbers, answered = count(), dict[int, int]()
    with running(command, port, tmp_path, **env) as server:
        users = [
            threading.Thread(target=keep_asking, args=(port, numbers, answered), kwargs={"anew": index % 2 == 0})
            for index in range(40)
        ]
        for user in users:
            user.start()
            time.sleep(0.02)  # so that some requests have just begun when others are done
        time.sleep(1)
        server.send_signal(signal.SIGTERM)
        before = len(answered)
        for user in users:
            user.join()
        out, _ = server.communicate(timeout=10)
    taken = {int(line) for line in out.splitlines()}
    assert len(answered) - before >= 20  # they were on their way when it was asked to stop
    assert {number: answered.get(number) for number in taken} == dict.fromkeys(taken, 200)


def test_as_a_local_process_it_brings_its_upstreams() -> None:
    port = free_port()
    with running(["local.py", f"--port={port}"], port, FOLDER) as fanout:
        upstreams = psutil.Process(fanout.pid).children()
        answer = httpx.get(f"http://127.0.0.1:{port}/first")
        for upstream in upstreams:
            upstream.kill()
    assert len(upstreams) == 3
    assert answer.text == "hello\n"


def test_a_test_beside_the_load_test_is_none(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "conftest.py", tmp_path)
    (tmp_path / "test_beside.py").write_text("def test_beside(): ...\n")
    done = subprocess.run([sys.executable, "-m", "pytest"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(r"^=+ 1 passed in ", done.stdout, re.MULTILINE), done.stdout


STOPPED = "stopped after 5 s by abort='failure_rate > 50% for 5s': 100% was seen"


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (["--loadperf-scale=0.02"], []),
        (
            [],
            [rf"  BROKEN  askers  the load runs as asked  {STOPPED}", r"  BROKEN  askers  failure_rate < 0\.1%  +100%"],
        ),
    ],
    ids=["small", "full"],
)
def test_a_load_that_gets_errors_alone_is_red_and_says_what_they_were(
    upstreams: dict[str, str], tmp_path: Path, size: list[str], told: list[str]
) -> None:
    shutil.copytree(FOLDER, tmp_path / "fanout", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    port = free_port()
    command = ["-m", "uvicorn", "--factory", "fanout:create_app", f"--port={port}", "--no-access-log"]
    with running(command, port, FOLDER, UPSTREAMS=upstreams["gone"]):
        run = [
            sys.executable,
            "-m",
            "pytest",
            "--loadperf",
            f"--loadperf-url=http://127.0.0.1:{port}",
            *size,
            "fanout/test_fanout_perf.py",
        ]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    reason = f"all upstreams failed: {upstreams['gone'].removeprefix('http://')}: All connection attempts failed"
    assert done.returncode == 1
    for line in (
        rf"E +AssertionError: (\d+) of \1 requests failed: .*{reason}",
        *told,
        r"=+ 1 failed in .*",
    ):
        assert re.search(rf"^{line}", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.docker
def test_the_image_finds_itself_healthy_and_runs_without_rights() -> None:
    with healthy(FOLDER, {"UPSTREAMS": "http://127.0.0.1:9"}) as container:
        assert container.exec_run("id -un").output == b"fanout\n"
        assert b"ERROR" not in container.logs()
