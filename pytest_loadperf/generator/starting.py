"""Locust's test_start event, before the time of the load begins.

Locust fires it with the first users that it is asked for, in a greenlet that ends when it is asked for others. So the
time that listeners take would be the first stage's, whose arrivals would wait for them, and whatever asks for users
meanwhile would have them called once more.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import gevent
from gevent.event import Event
from locust.runners import STATE_INIT, STATE_SPAWNING, Runner

from pytest_loadperf.generator.protocol import Waiting

_LOOK_S = 0.01
_QUIET_S = 2.0  # most of them are done within this time
_TELL_EVERY_S = 10.0


def start_test(runner: Runner, stopping: Event, tell: Callable[[Waiting], None]) -> None:
    """Return when its listeners are done, or the load is to stop; from then on Locust only starts users."""

    def fire() -> None:  # as Locust's own start() does it
        runner.stats.clear_all()
        runner.environment._filter_tasks_by_tags()
        runner.environment.events.test_start.fire(environment=runner.environment)
        if runner.state == STATE_INIT:  # else a listener has stopped it
            runner.update_state(STATE_SPAWNING)

    firing = gevent.spawn(fire)
    wait_for_listeners(firing.ready, stopping, tell)
    if firing.ready():
        firing.get()  # raises what Locust lets a listener raise


def wait_for_listeners(done: Callable[[], bool], stopping: Event, tell: Callable[[Waiting], None]) -> None:
    """Return when they are done, or the load is to stop."""
    tell_at = monotonic() + _QUIET_S
    while not done() and not stopping.wait(_LOOK_S):
        if monotonic() > tell_at:
            tell_at += _TELL_EVERY_S
            tell(Waiting("waiting for the listeners of Locust's test_start event"))
