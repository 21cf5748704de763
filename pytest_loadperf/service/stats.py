"""What a container uses, as the engine tells it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from docker import APIClient

from pytest_loadperf.service.sampler import Reading


class StatsMeter:
    """Listens to one container's statistics, once a second and at the engine's beat, from its making until closed."""

    def __init__(self, api: APIClient, container: str) -> None:
        self._api = api
        self._url = f"{api.base_url}/v{api.api_version}/containers/{container}/stats"
        self._closed = False
        self._heard: tuple[Reading, ...] = ()  # the last two
        self._told = threading.Event()  # that there is an answer, or will be none
        threading.Thread(target=self._listen, name="loadperf-stats", daemon=True).start()

    def await_answer(self, patience_s: float) -> None:
        """Wait for the first answer: a load that begins without one would lack what it uses until then."""
        self._told.wait(patience_s)

    def begin(self) -> Reading | None:
        """How things should stand now, if the container went on as it did between the last two answers."""
        if not self._heard:
            return None
        first, last = self._heard[0], self._heard[-1]
        now = time.monotonic()
        rate = (last.cpu_s - first.cpu_s) / (last.at - first.at) if last.at > first.at else 0.0
        return Reading(now, last.cpu_s + rate * (now - last.at), last.memory_bytes)

    def latest(self) -> Reading | None:
        """The last answer."""
        return self._heard[-1] if self._heard else None

    def close(self) -> None:
        """Stop listening, with the next answer at the latest."""
        self._closed = True

    def _listen(self) -> None:
        try:
            # Not with the SDK's own generator, which leaves its connection open when it is left.
            with self._api.get(self._url, stream=True) as answers:
                for answer in answers.iter_lines():
                    if self._closed:
                        return
                    if (reading := reading_of(json.loads(answer))) is not None:
                        self._heard = (*self._heard[-1:], reading)
                        self._told.set()
        except Exception:
            # The container, the engine or the connection is gone, each with an error of its own library: `check`
            # tells of it, and a load does not break for want of samples.
            return
        finally:
            self._told.set()


def reading_of(answer: dict[str, Any]) -> Reading | None:
    """One answer of the engine's statistics; None for a container that has ended."""
    memory = answer.get("memory_stats", {})
    if "usage" not in memory:
        return None
    details = memory.get("stats", {})
    # Files that were read once are the kernel's to drop, and `docker stats` does not count them either.
    unused = details.get("total_inactive_file", details.get("inactive_file", 0))  # cgroup v1, v2
    cpu_s = answer["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    return Reading(time.monotonic(), cpu_s, max(0, memory["usage"] - unused))
