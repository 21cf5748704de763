"""Ctrl-C and SIGTERM end a run in order: what it has started is removed, whatever else is pressed meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2  # the next one is obeyed wherever it comes
_FORGET_S = 10.0


@contextmanager
def ending_in_order(say: Callable[[str], None]) -> Iterator[None]:
    """The first interrupt ends the run, as Ctrl-C always does; a second one does not cut short what is done then.

    SIGTERM, with which CI cancels a job, is one as well: by itself it would end pytest, and leave the service.
    """
    seen: list[float] = []

    def handle(number: int, _: FrameType | None) -> None:
        __tracebackhide__ = True  # pytest says what was interrupted
        now = time.monotonic()
        if seen and now - seen[-1] > _FORGET_S:
            seen.clear()
        seen.append(now)
        if 1 < len(seen) <= _PATIENCE:
            say("loadperf: removing what this run has started; once more leaves it to the next run")
        else:
            raise KeyboardInterrupt(signal.Signals(number).name)

    with _handled({number: handle for number in _SIGNALS if _is_default(number)}):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Within, an interrupt waits for the end: what is half removed is left behind. Not so a third one."""
    waiting: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        handler = before[signal.Signals(number)]
        if len(waiting) > _PATIENCE and callable(handler):
            handler(number, frame)

    with _handled({number: handle for number in _SIGNALS if callable(before[number])}):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


def _is_default(number: signal.Signals) -> bool:
    """Whether nobody has asked for something else: a shell may have had SIGINT ignored."""
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


@contextmanager
def _handled(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone hears of signals
        handlers = {}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
