"""Runs stages one after the other on Locust's runner, without restarting users.

Locust's own shape loop blocks while it ramps and then skips the stages whose time has passed; here every stage gets
its time, counted from one beginning so that it does not drift, or until its requests are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic, perf_counter

import gevent
from gevent.event import Event
from locust import LoadTestShape
from locust.runners import STATE_RUNNING, Runner

from pytest_loadperf.plan import Stage

_LOOK_EVERY_S = 1.0  # whether a stage that waits for its requests still has users
_TICK_S = 1.0  # how often a shape is asked, as Locust does


def run_stages(
    runner: Runner,
    stages: Sequence[Stage],
    began: float,
    stopping: Event,
    requests_made: Event,
    begin_stage: Callable[[str, float, Stage | None], None],
) -> None:
    """Each stage for its time, until `requests_made` is set for it, or until `stopping` is.

    Arrivals, and so many requests, are made by those that `begin_stage` tells.
    """
    begins = began
    for stage in stages:
        requests_made.clear()
        begin_stage(stage.name or "", begins, stage)
        if stopping.is_set():
            return
        if stage.rate is None:
            users = stage.users or 0
            runner.start(users, stage.spawn_rate or max(users, runner.user_count))
        ends = begins + stage.duration_s
        _wait(runner, stage, ends, [stopping, requests_made])
        if stopping.is_set():
            return
        begins = min(ends, monotonic()) if stage.requests else ends


def _wait(runner: Runner, stage: Stage, ends: float, over: Sequence[Event]) -> None:
    """Until its time has come, or one of the events; nobody makes the requests of a stage whose users have all gone."""
    gone = 0  # how often in succession there were no users
    while (left_s := ends - monotonic()) > 0 and gone < 2 and not any(event.is_set() for event in over):
        gevent.wait(over, min(left_s, _LOOK_EVERY_S) if stage.requests else left_s, count=1)
        gone = gone + 1 if stage.requests and runner.state == STATE_RUNNING and not runner.user_count else 0


def run_shape(
    runner: Runner,
    shape: LoadTestShape,
    scale: float,
    began: float,
    stopping: Event,
    begin_stage: Callable[[str, float, Stage | None], None],
) -> None:
    """A LoadTestShape as one stage: its tick is asked every second until it returns None.

    Scaled, it lives through its time faster, and gets a part of the users that it asks for.
    """
    begin_stage(type(shape).__name__, began, None)
    shape.reset_time()
    shape.start_time -= monotonic() - began  # its clock begins with the stage; the shape may reset it
    shape.get_run_time = lambda: (perf_counter() - shape.start_time) / scale  # type: ignore[method-assign]
    last: object = None
    ticks = 0
    while (tick := shape.tick()) is not None:
        if tick != last:
            users, spawn_rate, *classes = tick
            fewer = max(1, round(users * scale)) if users else 0
            runner.start(fewer, spawn_rate, user_classes=classes[0] if classes else None)
            last = tick
        ticks += 1
        if stopping.wait(max(0.0, began + ticks * _TICK_S * scale - monotonic())):
            return
