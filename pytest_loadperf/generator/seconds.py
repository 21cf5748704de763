"""Puts together what the processes of a load tell of each second."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pytest_loadperf.generator.names import Names
from pytest_loadperf.generator.protocol import Second
from pytest_loadperf.model import Pulse, Window


class Seconds:
    """Tells of a second once every process has; of the numbers, none is lost and none is counted twice."""

    def __init__(self, names: Names, tell: Callable[[Second], None]) -> None:
        self._names = names
        self._tell = tell
        self._members: set[int] = set()
        self._elsewhere: set[int] = set()  # on another machine
        self._parts: dict[int, Second] = {}  # what was told since the last one
        self._newest: dict[int, Second] = {}  # what each member told last
        self._users: defaultdict[int, Counter[int]] = defaultdict(Counter)  # of each process, in each second
        self.requests: Counter[int] = Counter()  # of each process
        self.failures: Counter[int] = Counter()

    def join(self, process: int, elsewhere: bool = False) -> None:
        """From now on this process is waited for."""
        self._members.add(process)
        if elsewhere:
            self._elsewhere.add(process)

    def leave(self, process: int) -> None:
        """It is lost, or has told everything."""
        self._members.discard(process)
        self._newest.pop(process, None)
        self._flush_if_complete()

    def add(self, process: int, second: Second, users: Mapping[int, int]) -> None:
        """What a process tells; one that tells again before all others did does not wait for them."""
        if process in self._parts:
            self.flush()
        self._parts[process] = self._newest[process] = second
        for at, count in users.items():
            self._users[at][process] = count
        for window in second.windows:
            self.requests[process] += window.requests
            self.failures[process] += window.failures
        self._flush_if_complete()

    def _flush_if_complete(self) -> None:
        if self._parts and self._parts.keys() >= self._members:
            self.flush()

    def flush(self) -> None:
        """Tell of what is there."""
        parts, self._parts = self._parts, {}
        if not parts:
            return
        self._tell(
            Second(
                at_s=max(part.at_s for part in parts.values()),
                users=sum(newest.users for newest in self._newest.values()),
                windows=tuple(self._whole(window) for part in parts.values() for window in part.windows),
                pulses=tuple(self._pulses(parts)),
            )
        )

    def _whole(self, window: Window) -> Window:
        """With the users of all processes in that second, and names that no worker was told to hide."""
        method, endpoint = self._names.endpoint(window.method, window.endpoint)
        errors: Counter[str] = Counter()
        for text, count in window.errors.items():
            errors[self._names.error(text)] += count
        users = self._users[window.second].total()
        return replace(window, method=method, endpoint=endpoint, users=users, errors=dict(errors))

    def _pulses(self, parts: Mapping[int, Second]) -> Iterator[Pulse]:
        """Each with its process; how busy another machine is says nothing of this one."""
        for process, part in parts.items():
            for pulse in part.pulses:
                own = replace(pulse, process=process)
                yield replace(own, busy_percent=math.nan) if process in self._elsewhere else own
