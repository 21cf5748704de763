"""A process patched as the generator's is, in which tests run functions that use LeanHttpUser.

Used as a program, it reads pickled functions and arguments from its standard input and answers with what they return.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Child:
    """The process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a function of a test module there, and give what it returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((function, arguments, named), self._process.stdin)
        self._process.stdin.flush()
        worked, result = pickle.load(self._process.stdout)
        if not worked:
            raise AssertionError(f"in the child:\n{result}")
        return result  # type: ignore[no-any-return]


@contextmanager
def child() -> Iterator[Child]:
    """A running one."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


class Loaded:
    """A LeanHttpUser with these settings, and every request event that it fires; only for use in the child."""

    def __init__(self, host: str, **settings: Any) -> None:
        from locust.env import Environment

        from pytest_loadperf import LeanHttpUser

        environment = Environment()
        environment.events.request._handlers[:] = [self._see]
        self.events: list[dict[str, Any]] = []
        self.user = type("Some", (LeanHttpUser,), {"host": host, **settings})(environment)
        self.client = self.user.client

    def _see(self, **event: Any) -> None:
        self.events.append(event)

    def failures(self) -> list[str | None]:
        """What each event says went wrong."""
        return [event["exception"] and told(event["exception"]) for event in self.events]


def told(error: object) -> str:
    """An exception's class and text."""
    return f"{type(error).__name__}: {error}"


def serve() -> None:
    import locust  # noqa: F401 # patches this process, before a test module is imported

    answers = sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            function, arguments, named = pickle.load(sys.stdin.buffer)
            result = True, function(*arguments, **named)
        except EOFError:
            return
        except BaseException:
            result = False, traceback.format_exc()
        pickle.dump(result, answers)
        answers.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    serve()
