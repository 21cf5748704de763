"""Ctrl-C and SIGTERM end a run in order: what it has started is removed, whatever else is pressed meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_SAID = "loadperf: removing what this run has started; once more leaves it to the next run"


class Interrupts:
    """A plugin of pytest. The first interrupt ends the run, as Ctrl-C always does; the next one changes nothing.

    SIGTERM, with which CI cancels a job, is one as well: by itself it would end pytest, and leave the service.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._pid = os.getpid()
        self._before: dict[signal.Signals, Any] = {}
        self._ending = False
        self._deferring = 0
        self._waiting: signal.Signals | None = None
        self._unheeded = 0

    def install(self) -> None:
        """Hear of every interrupt, unless the user has arranged for something else: a shell may ignore Ctrl-C."""
        _installed.append(self)
        if threading.current_thread() is threading.main_thread():
            numbers = [number for number in _SIGNALS if signal.getsignal(number) in _DEFAULTS]
            self._before = {number: signal.signal(number, self._handle) for number in numbers}

    def restore(self) -> None:
        """Leave them to whom they were before."""
        _installed.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """One was obeyed: pytest is about to say where, which takes it a moment, and to tear down."""
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The tests are over: what is left is to remove services, to keep what was measured and to tell it."""
        self._end()

    def _end(self) -> None:
        if not self._ending:
            self._ending, self._unheeded = True, 0

    def _handle(self, number: int, _: FrameType | None) -> None:
        __tracebackhide__ = True  # pytest says what was interrupted
        if os.getpid() != self._pid:  # a fork of the user's, in which nothing is ours
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)
            return
        patience = 1 if self._ending else 2  # one that waits is the first, which is obeyed in the end
        if (self._ending or self._deferring) and self._unheeded < patience:
            self._unheeded += 1
            if not self._ending:
                self._waiting = signal.Signals(number)
            with suppress(RuntimeError, ValueError, OSError):  # something else is being written this moment
                self._say(_SAID)
        else:
            self._waiting = None
            raise KeyboardInterrupt(signal.Signals(number).name)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within, the first one waits for the end."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1
            if self._waiting is not None and not self._deferring:
                number, self._waiting, self._unheeded = self._waiting, None, 0
                raise KeyboardInterrupt(number.name)


_installed: list[Interrupts] = []


@contextmanager
def deferred() -> Iterator[None]:
    """Within, an interrupt waits for the end: what is half removed is left behind. Not so a third one."""
    if not _installed or threading.current_thread() is not threading.main_thread():  # which alone hears of signals
        yield
        return
    with _installed[-1].deferred():
        yield
