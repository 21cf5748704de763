"""What the tests of the service room share: asking a service, and owners of services that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest_loadperf

HERE = Path(__file__).parent


def told(url: str) -> dict[str, Any]:
    """What `telling.py` says of itself."""
    with urlopen(url, timeout=5) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


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
    env = {**os.environ, "PYTHONPATH": str(Path(pytest_loadperf.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, str(HERE / "owning.py"), *words], stdout=subprocess.PIPE, text=True, env=env
    ) as owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.kill()
