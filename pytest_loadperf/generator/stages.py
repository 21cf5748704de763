"""Runs stages one after the other on Locust's local runner, without restarting users.

Locust's own shape loop blocks while it ramps and then skips the stages whose time has passed; here every stage gets
its time, counted from one beginning so that it does not drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic, perf_counter

from gevent.event import Event
from locust import LoadTestShape
from locust.runners import LocalRunner

from pytest_loadperf.generator.arrivals import Arrivals
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Stage

_TICK_S = 1.0  # how often a shape is asked, as Locust does


def run_stages(
    runner: LocalRunner,
    stages: Sequence[Stage],
    arrivals: Arrivals | None,
    began: float,
    stopping: Event,
    announce: Callable[[str, float], None],
) -> Iterator[ArrivalRecord | None]:
    """Each stage for its time, or until `stopping` is set; gives what became of its arrivals, where it has some."""
    begins = began
    for stage in stages:
        announce(stage.name or "", begins)
        if arrivals is not None and stage.rate is not None:
            yield arrivals.run(stage, runner.user_count, begins, stopping)
        else:
            if arrivals is not None:
                arrivals.release()
            users = stage.users or 0
            runner.start(users, stage.spawn_rate or max(users, runner.user_count))
            stopping.wait(max(0.0, begins + stage.duration_s - monotonic()))
            yield None
        if stopping.is_set():
            return
        begins += stage.duration_s


def run_shape(
    runner: LocalRunner,
    shape: LoadTestShape,
    scale: float,
    began: float,
    stopping: Event,
    announce: Callable[[str, float], None],
) -> None:
    """A LoadTestShape as one stage: its tick is asked every second until it returns None.

    Scaled, it lives through its time faster, and gets a part of the users that it asks for.
    """
    announce(type(shape).__name__, began)
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
