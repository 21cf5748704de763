"""Starts the generator's process, hands it the plan, and gives its messages until it ends or dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.protocol import End, Failed, Message, Reader, send
from pytest_loadperf.model import Plan
from pytest_loadperf.redact import redact

_SILENCE_S = 60.0  # it tells something every second unless user code holds its loop
_LAST_WORDS = 4000  # bytes
# The package is found wherever pytest found it, without a PYTHONPATH that the user's own subprocesses would inherit.
_START = "import sys; sys.path.insert(0, {path!r}); from pytest_loadperf.generator.child import main; main()"


class Generator:
    """The running child."""

    def __init__(self, process: subprocess.Popen[bytes], words: IO[bytes]) -> None:
        self._process = process
        self._words = words
        self.pid = process.pid

    def messages(self) -> Iterator[Message]:
        """Each message as it comes, the last one an End; raises what went wrong in words."""
        assert self._process.stdout is not None
        reader = Reader(self._process.stdout.fileno())
        while True:
            try:
                message = reader.next(_SILENCE_S)
            except TimeoutError:
                raise self._error(
                    f"the load generator (pid {self.pid}) has told nothing for {_SILENCE_S:g} s; "
                    "user code that computes, or waits without gevent knowing, holds its loop"
                ) from None
            if message is None:
                raise self._error(self._died())
            if isinstance(message, Failed):
                raise self._failed(message)
            yield message
            if isinstance(message, End):
                return

    def stop(self) -> None:
        """Ask for an early end; the messages go on until it."""
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), b"s")

    def _died(self) -> str:
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        return f"the load generator (pid {self.pid}) {how} before the load ended; there is no result to judge"

    def _failed(self, failed: Failed) -> Exception:
        if failed.why == "refused":
            return HostRefused(failed.text)
        return self._error(f"the load generator could not run the load:\n{redact(failed.text)}")

    def _error(self, text: str) -> GeneratorError:
        error = GeneratorError(text)
        words = self._last_words()
        if words:
            error.add_note(f"the generator's last words:\n{words}")
        return error

    def _last_words(self) -> str:
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_WORDS))
        return redact(self._words.read().decode(errors="replace").strip())


@contextmanager
def launched(plan: Plan) -> Iterator[Generator]:
    """A generator that runs the plan; gone, whatever happens, when the context ends."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START.format(path=str(Path(__file__).parents[2]))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is pytest's to handle; it ends the child by closing its input
        )
        try:
            assert process.stdin is not None
            send(process.stdin.fileno(), plan)
            yield Generator(process, words)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
