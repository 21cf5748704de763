"""A user's repository whose service has another state in git than in its folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

SERVICE = """
import asyncio, sys

DELAY_S = 0.02

async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            await asyncio.sleep(DELAY_S)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""
TESTS = """
import pytest
from locust import FastHttpUser, task
from pytest_loadperf import Stage, load

class Caller(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/", name="ask")

rush = load(Caller, Stage("rush", users=4, duration="700ms"))
"""
MARKED = TESTS + '@pytest.mark.loadperf("p50 < baseline + 20%")\ndef test_rush(rush): pass\n'


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    done = subprocess.run(["git", *me, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def change(folder: Path, old: str, new: str) -> None:
    """Put another text into the service."""
    service = folder / "app" / "service.py"
    service.write_text(service.read_text().replace(old, new))
