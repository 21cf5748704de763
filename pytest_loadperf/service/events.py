"""What the engine says happened to a service's containers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

from docker import APIClient

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.model import ServiceEvent
from pytest_loadperf.service.engine import in_words

_ACTIONS = ("die", "health_status", "kill", "oom", "pause", "restart", "start", "stop", "unpause")
_EVERY_S = 5.0  # the engine remembers 256 events, every step of a health check among them
_OVERLAP_S = 1.0  # an event may be known a moment after its own time
_KEPT = 1000
_MOST = 100  # of one load
_REPEATED_NS = 10**9

_Key = tuple[int, str, str]  # time in ns, container and action


class EventLog:
    """Asks the engine now and then, since it forgets, for the events of all containers with a label."""

    def __init__(self, api: APIClient, label: str) -> None:
        self._api = api
        self._filters = json.dumps({"type": ["container"], "label": [label], "event": _ACTIONS})
        self._asked_at = time.time()
        self._known: dict[_Key, dict[str, Any]] = {}

    def look(self) -> None:
        """Ask, unless that was done a moment ago."""
        if time.time() - self._asked_at >= _EVERY_S:
            self._ask()

    def between(
        self,
        since: float,
        until: float,
        called: Callable[[dict[str, Any]], str],
        meant: Collection[tuple[str, str]] = (),
    ) -> list[ServiceEvent]:
        """What happened between two moments of `time.time()`, `called` naming the container of each.

        What was `meant` is left out: the actions on containers (by id) that this run has asked for itself.
        """
        self._ask()
        inside = sorted(key for key in self._known if since <= key[0] / 1e9 <= until and key[1:] not in meant)
        told = [*_told_once(inside)][:_MOST]
        return [_event(self._known[key], key[0] / 1e9 - since, called) for key in told]

    def _ask(self) -> None:
        now = time.time()
        # A load does not break for want of events, nor for those of an engine that tells them in another form.
        with suppress(ServiceError, ValueError, KeyError, TypeError):
            for event in self._happened(self._asked_at - _OVERLAP_S, now):
                self._known[event["timeNano"], event["Actor"]["ID"], event["Action"]] = event
            self._asked_at = now
        for key in list(self._known)[:-_KEPT]:
            del self._known[key]

    def _happened(self, since: float, until: float) -> Iterator[dict[str, Any]]:
        url = f"{self._api.base_url}/v{self._api.api_version}/events"
        asked = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": self._filters}
        with in_words("asking for what happened to the containers"):
            answer = self._api.get(url, params=asked, timeout=self._api.timeout)
            answer.raise_for_status()
            yield from (json.loads(line) for line in answer.content.split(b"\n") if line)


def _told_once(keys: Iterable[_Key]) -> Iterator[_Key]:
    """Without what the engine repeats within a second, as it does for each process that a lack of memory ended."""
    last: dict[tuple[str, str], int] = {}
    for at_ns, container, action in keys:
        if at_ns - last.get((container, action), 0) > _REPEATED_NS:
            yield at_ns, container, action
        last[container, action] = at_ns


def _event(event: dict[str, Any], at_s: float, called: Callable[[dict[str, Any]], str]) -> ServiceEvent:
    actor = event["Actor"]
    action, _, state = event["Action"].partition(": ")
    given = actor["Attributes"]
    detail = {"die": given.get("exitCode"), "kill": given.get("signal")}.get(action) or state
    return ServiceEvent(round(at_s, 3), called(actor), action, detail)
