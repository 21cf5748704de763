"""The workers that the generator starts itself, as processes that end with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, sleep

from pytest_loadperf.generator.protocol import Join, send
from pytest_loadperf.generator.start import command


class LocalWorkers:
    """Some processes; each ends when its input does, which is when this one is gone."""

    def __init__(self, count: int) -> None:
        self._processes = [
            subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0)
            for _ in range(count)
        ]

    def join(self, host: str, port: int, token: str) -> None:
        """Tell them where the generator listens."""
        for number, process in enumerate(self._processes, 1):
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # what has ended already is seen by `ended`
                send(process.stdin.fileno(), Join(host, port, number, token=token))

    def ended(self) -> Iterator[tuple[int, int]]:
        """Those that are gone: number and status."""
        for number, process in enumerate(self._processes, 1):
            if (status := process.poll()) is not None:
                yield number, status

    def pid(self, number: int) -> int:
        """Of the one with this number."""
        return self._processes[number - 1].pid

    def close(self, wait_s: float) -> None:
        """Let each end by itself, for a while: the user's code may have something to do at its end."""
        deadline = monotonic() + wait_s
        while len(list(self.ended())) < len(self._processes) and monotonic() < deadline:
            sleep(0.02)
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
