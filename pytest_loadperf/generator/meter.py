"""Measures in a process of the generator: what its users request, and every second how the process itself fares."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import gevent
from gevent import Greenlet

from pytest_loadperf.generator.protocol import Second
from pytest_loadperf.generator.pulse import PulseMeter
from pytest_loadperf.generator.recorder import Recorder

_FOLD_S = 0.1
_MOMENT_S = 0.01  # what is told of less than this would say nothing


class Meter:
    """Folds requests often, and tells about every second; time is the monotonic clock's, since `begin`."""

    def __init__(self, recorder: Recorder, count_users: Callable[[], int], tell: Callable[[Second], None]) -> None:
        self._recorder = recorder
        self._count_users = count_users
        self._tell = tell
        self._most_users = 0
        self._late_s = 0.0  # the longest that anything was, in this second
        self._began = self._told = 0.0
        self._pulses = PulseMeter()
        self._greenlet: Greenlet | None = None

    def begin(self, at: float) -> None:
        """The load begins."""
        self._began = self._told = at
        self._recorder.begin(at)
        self._pulses = PulseMeter()
        self._greenlet = gevent.spawn(self._run)

    def see_late(self, late_s: float) -> None:
        """Something began so late that was this process's to begin in time."""
        self._late_s = max(self._late_s, late_s)

    def end_stage(self) -> None:
        """What was measured until now is told apart from what comes: the next stage, or the effort of stopping."""
        if monotonic() > self._told + _MOMENT_S:
            self._tell(self._second())

    def end(self) -> None:
        """Tell what is left to tell."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._tell(self._second())

    def _run(self) -> None:
        looked = self._began
        while True:
            gevent.sleep(_FOLD_S)
            now = monotonic()
            self.see_late(now - looked - _FOLD_S)  # what is done below holds the loop as well
            looked = now
            self._recorder.see_users(self._look())
            self._recorder.fold()
            if int(now - self._began) != int(self._told - self._began):
                self._tell(self._second())

    def _look(self) -> int:
        users = self._count_users()
        self._most_users = max(self._most_users, users)
        return users

    def _second(self) -> Second:
        self._told = monotonic()
        at_s = self._told - self._began
        users = self._look()
        pulse = self._pulses.take(at_s, self._late_s, self._most_users)
        self._most_users, self._late_s = 0, 0.0
        return Second(at_s, users, self._recorder.flush(), (pulse,))
