"""LeanHttpUser beside Locust's own HTTP users: the same calls to a server that nobody here wrote.

It needs httpbin, which on Python 3.11 can't be installed beside Locust (it asks for greenlet < 3, without need). Either
name a Python that has it and gunicorn in LOADPERF_HTTPBIN_PYTHON, or say
`pip install --no-deps httpbin brotlicffi decorator six`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CALLS = Path(__file__).with_name("lean_calls.py")
PYTHON = os.environ.get("LOADPERF_HTTPBIN_PYTHON", sys.executable)
Told = dict[str, dict[str, Any]]

ENCODED = "the length of an encoded body is counted as it came: it is decoded only when it is read"
LIMIT = "the text says how many redirects, and names no address, so that it is one line in the statistics"
TIME = "it has the time in its query"
UNLIKE_FAST = {"encodings": ENCODED, "redirect_without_end": LIMIT, "rest_with_time": TIME}

KIND = "as with FastHttpUser, data goes with a Content-Type that says what it is"
NO_LENGTH = "as with FastHttpUser, a DELETE without a body says no Content-Length"
NOT_THERE = "HttpUser has no default_headers"
UNLIKE_HTTP = dict.fromkeys(
    ("post_a_form", "post_text", "post_bytes", "put_text", "patch_text", "redirect_307_of_a_post"), KIND
) | {"delete": NO_LENGTH, "default_headers": NOT_THERE}


@pytest.fixture(scope="module")
def httpbin() -> Iterator[str]:
    """The address of a running httpbin."""
    if subprocess.run([PYTHON, "-c", "import httpbin, gunicorn"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no httpbin with gunicorn")
    command = [PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:0", "-k", "gthread", "--threads", "4", "httpbin:app"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
        finally:
            process.terminate()
            process.stderr.close()


@pytest.fixture(scope="module")
def told(httpbin: str) -> dict[str, Told]:
    """What each user class made of each call."""
    return {user: told_by(user, httpbin) for user in ("FastHttpUser", "HttpUser", "LeanHttpUser")}


def told_by(user: str, httpbin: str) -> Told:
    done = subprocess.run([sys.executable, str(CALLS), user, httpbin], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls: Told = json.loads(done.stdout)
    return calls


def test_it_is_as_with_fast_http_user(told: dict[str, Told]) -> None:
    fast, lean = told["FastHttpUser"], told["LeanHttpUser"]
    assert len(lean) > 70
    assert {name: lean[name]["gave"] for name in lean} == {name: fast[name]["gave"] for name in fast}
    assert {name for name in lean if lean[name]["events"] != fast[name]["events"]} == set(UNLIKE_FAST)
    for name in UNLIKE_FAST:
        assert outcomes(lean[name]) == outcomes(fast[name])


def test_it_is_as_with_http_user(told: dict[str, Told]) -> None:
    http, lean = told["HttpUser"], told["LeanHttpUser"]
    assert {name for name in lean if lean[name]["gave"] != http[name]["gave"]} == set(UNLIKE_HTTP)
    for name in lean:
        assert outcomes(lean[name]) == outcomes(http[name])


def outcomes(call: dict[str, Any]) -> list[tuple[str, int, bool, dict[str, Any]]]:
    """Of each event what must be the same with every user, whatever it calls a failure."""
    return [
        (event["request_type"], event["status"], event["exception"] is None, event["context"])
        for event in call["events"]
    ]
