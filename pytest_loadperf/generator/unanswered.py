"""What users still wait for when the load is over, read off their stacks.

Locust fires no event for a request whose user is stopped, so a service that hangs would lose just its worst requests.
Reading the stack once, at the end, costs the requests nothing. What a user waits for outside of its own greenlet, or
with a client of its own, is no request that could be named: then it is only known that something is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from types import FrameType
from typing import NamedTuple

import gevent
from gevent import Greenlet
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession

from pytest_loadperf.generator.lateness import late_ms
from pytest_loadperf.generator.lean import LeanHttpSession

_REQUEST_CODES = {session.request.__code__ for session in (HttpSession, FastHttpSession, LeanHttpSession)}
_SLEEP_CODE = gevent.sleep.__code__  # time.sleep is the same where users run


class Unanswered(NamedTuple):
    """One request without an answer."""

    method: str
    name: str
    waited_ms: float


def unanswered(greenlet: Greenlet) -> Unanswered | None:
    """The request that this user waits for; None where it is busy with something else."""
    frame = next((frame for frame in _stack(greenlet) if frame.f_code in _REQUEST_CODES), None)
    if frame is None:
        return None
    asked = frame.f_locals
    waited_ms = (perf_counter() - asked["start_perf_counter"]) * 1000 + late_ms(greenlet)
    return Unanswered(asked["method"], asked["name"] or asked["url"], waited_ms)


def sleeps(greenlet: Greenlet) -> bool:
    """Whether this user is busy with nothing but the time: it waits for no service."""
    return any(frame.f_code is _SLEEP_CODE for frame in _stack(greenlet))


def _stack(greenlet: Greenlet) -> Iterator[FrameType]:
    frame = greenlet.gr_frame
    while frame is not None:
        yield frame
        frame = frame.f_back
