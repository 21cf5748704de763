"""What the tests of the service room share: asking a service, and owners of services that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.spec import Spec

HERE = Path(__file__).parent


def told(url: str) -> dict[str, Any]:
    """What `telling.py` says of itself."""
    with urlopen(url, timeout=5) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def failure(asked: Spec, said: list[str] | None = None) -> tuple[str, str]:
    """What the error of a service that does not start says, and its notes; with no traceback of a library's."""
    say = print if said is None else said.append
    with pytest.raises(ServiceError) as raised, start(asked, say=say):
        pytest.fail("it started")
    assert raised.value.__cause__ is None
    return str(raised.value), "\n".join(getattr(raised.value, "__notes__", ()))


def soon(true: Callable[[], bool], within_s: float = 3.0) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def owner_of(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that owns a service, and the service's address."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "owning.py"), *words], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.kill()
