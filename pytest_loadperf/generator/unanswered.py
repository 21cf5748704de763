"""Requests that were still under way when the load was over, read off the stacks of the users that wait for them.

Locust fires no event for a request whose user is stopped, so a service that hangs would lose just its worst requests.
Reading the stack once, at the end, costs the requests nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

from gevent import Greenlet
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession

from pytest_loadperf.generator.lean import LeanHttpSession

_REQUEST_CODES = {session.request.__code__ for session in (HttpSession, FastHttpSession, LeanHttpSession)}


class Unanswered(NamedTuple):
    """One request without an answer."""

    method: str
    name: str
    waited_ms: float


def unanswered(greenlets: Iterable[Greenlet]) -> Iterator[Unanswered]:
    """What these users are waiting for."""
    for greenlet in greenlets:
        frame = greenlet.gr_frame
        while frame is not None and frame.f_code not in _REQUEST_CODES:
            frame = frame.f_back
        if frame is None:
            continue  # busy with something else than a request
        asked = frame.f_locals
        late_ms = getattr(greenlet, "loadperf_late_ms", None) or 0.0  # of its arrival
        waited_ms = (perf_counter() - asked["start_perf_counter"]) * 1000 + late_ms
        yield Unanswered(asked["method"], asked["name"] or asked["url"], waited_ms)
