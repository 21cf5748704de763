"""The pytest process stays an ordinary Python while test modules import Locust."""

from __future__ import annotations

import pytest
from projects import BRIEF, Project

ORDINARY = """
import asyncio, socket, ssl, subprocess, sys, threading, time

NATIVE = "import socket, threading; print(socket.socket.__module__, threading.Thread.__module__)"


def test_sockets_are_the_standard_librarys():
    assert socket.socket.__module__ == "socket"
    assert ssl.SSLSocket.__module__ == "ssl"
    assert "gevent.monkey" not in sys.modules or not sys.modules["gevent.monkey"].saved


def test_asyncio_serves_and_asks():
    async def talk():
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\\n")
            said = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return said
    assert asyncio.run(talk()) == b"hello\\n"


def test_threads_are_threads():
    names = []
    threads = [threading.Thread(target=lambda: names.append(threading.get_native_id())) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(names) == 3
    assert threading.get_native_id() not in names


def test_a_subprocess_sees_no_switch_of_ours():
    code = "import os; print([name for name in os.environ if name.startswith('LOCUST')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\\n"


def test_the_locust_command_is_patched_as_usual(tmp_path):
    (tmp_path / "locustfile.py").write_text(
        "from locust import HttpUser, task\\n"
        "from gevent.monkey import is_module_patched\\n"
        "print('patched', is_module_patched('socket'))\\n"
        "class U(HttpUser):\\n    host = 'http://127.0.0.1:9'\\n    @task\\n    def t(self): pass\\n"
    )
    done = subprocess.run([sys.executable, "-m", "locust", "--list"], cwd=tmp_path, capture_output=True, text=True)
    assert "patched True" in done.stdout
"""


@pytest.mark.parametrize("arguments", [[], ["-n2"]], ids=["plain", "xdist"])
def test_ordinary_tests_beside_a_load_notice_nothing(project: Project, arguments: list[str]) -> None:
    project.module("test_load", f"rush = load(Shopper, {BRIEF})\ndef test_rush(rush): pass\n" + ORDINARY)
    (project.path / "test_ordinary.py").write_text("from locust import HttpUser\n" + ORDINARY)
    project.run(*arguments).assert_outcomes(passed=11)


def test_without_the_option_an_import_of_locust_patches_nothing_either(
    pytester: pytest.Pytester, project: Project
) -> None:
    (project.path / "test_ordinary.py").write_text("from locust import HttpUser\n" + ORDINARY)
    pytester.runpytest_subprocess().assert_outcomes(passed=5)


def test_the_fixtures_of_locusts_own_plugin_still_work(project: Project, server: str) -> None:
    (project.path / "test_session.py").write_text(
        "def test_it(session):\n    assert session.get('/anything').status_code == 200\n"
    )
    project.run("--host", server).assert_outcomes(passed=1)
