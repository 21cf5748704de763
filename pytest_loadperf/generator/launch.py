"""Starts the generator's process, hands it the plan, and gives its messages until it ends or dies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.protocol import Addresses, End, Failed, Message, Order, Reader, Stop, send
from pytest_loadperf.generator.start import command, end, how_ended
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.plan import Plan
from pytest_loadperf.redact import redact, without_cut_secret

_SILENCE_S = 60.0  # it tells something every second unless user code holds its loop
_LOOK_S = 0.5
_LAST_WORDS = 4000  # bytes


class Generator:
    """The running child."""

    def __init__(self, process: subprocess.Popen[bytes], words: IO[bytes], secrets: Sequence[str]) -> None:
        self._process = process
        self._words = words
        self._secrets = secrets
        self._speaking = threading.Lock()  # the messages of two threads must not mix
        self.pid = process.pid

    def messages(self) -> Iterator[Message]:
        """Each message as it comes, the last one an End; raises what went wrong in words."""
        assert self._process.stdout is not None
        reader = Reader(self._process.stdout.fileno())
        while True:
            message = self._next(reader)
            if isinstance(message, Failed):
                raise self._failed(message)
            yield message
            if isinstance(message, End):
                return

    def _next(self, reader: Reader) -> Message:
        heard = time.monotonic()
        while time.monotonic() - heard < _SILENCE_S:
            # Looked at as well as listened to: a process that user code forked would keep the pipe of a dead one open.
            dead = self._process.poll() is not None
            try:
                message = reader.next(_LOOK_S)
            except TimeoutError:
                if not dead:
                    continue
                message = None
            if message is None:
                raise self._error(self._died())
            return message
        raise self._error(
            f"the load generator (pid {self.pid}) has told nothing for {_SILENCE_S:g} s; "
            "user code that computes, or waits without gevent knowing, holds its loop"
        )

    def stop(self) -> None:
        """Ask for an early end; the messages go on until it."""
        self._say(Stop())

    def move(self, urls: Sequence[str]) -> None:
        """Spread the users over these addresses; may be called from any thread."""
        self._say(Addresses(tuple(urls)))

    def _say(self, order: Order) -> None:
        assert self._process.stdin is not None
        with self._speaking, suppress(BrokenPipeError):  # it has ended; what it told last may not have been read yet
            send(self._process.stdin.fileno(), order)

    def _died(self) -> str:
        how = how_ended(self._process.wait())
        return f"the load generator (pid {self.pid}) {how} before the load ended; there is no result to judge"

    def _failed(self, failed: Failed) -> Exception:
        if failed.why == "refused":
            return HostRefused(failed.text)
        return self._error(f"the load generator could not run the load:\n{redact(failed.text, self._secrets)}")

    def _error(self, text: str) -> GeneratorError:
        return self.with_last_words(GeneratorError(text))

    def with_last_words(self, error: GeneratorError) -> GeneratorError:
        """The error with what the child wrote last as a note."""
        words = self.last_words()
        if words:
            error.add_note(f"the generator's last words:\n{words}")
        return error

    def last_words(self) -> str:
        """The end of what the child, which holds the user's code, printed."""
        self._words.seek(0, os.SEEK_END)
        before = max(0, self._words.tell() - _LAST_WORDS)
        self._words.seek(before)
        words = self._words.read()
        if before:
            words = without_cut_secret(words, self._secrets)
        return redact(words.decode(errors="replace").strip(), self._secrets)


@contextmanager
def launched(plan: Plan) -> Iterator[Generator]:
    """A generator that runs the plan; gone, whatever happens, when the context ends."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is pytest's to handle; it ends the child by closing its input
        )
        try:
            assert process.stdin is not None
            send(process.stdin.fileno(), plan)
            generator = Generator(process, words, plan.secrets)
            yield generator
            sys.stderr.write(generator.last_words())  # where pytest shows it with a test that fails
        finally:
            with deferred():
                end(process)
