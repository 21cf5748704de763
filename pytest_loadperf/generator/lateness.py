"""How late the arrival began for which a greenlet works, until its first request bears it.

gevent hands a greenlet's `spawn_tree_locals` down to those that it starts. With a dictionary of its own for each task,
what a task starts shares the lateness of that task's arrival, and what was started before has no part in it.
"""

from __future__ import annotations

from typing import Any

_KEY = "loadperf_late_ms"


def begin_task(greenlet: Any, late_ms: float = 0.0) -> None:
    """This greenlet begins a task, whose arrival was so late."""
    greenlet.spawn_tree_locals = {**(greenlet.spawn_tree_locals or {}), _KEY: late_ms}


def late_ms(greenlet: Any) -> float:
    """Of the arrival that this greenlet works for, unless a request has borne it; 0 for all others."""
    late: float = (getattr(greenlet, "spawn_tree_locals", None) or {}).get(_KEY, 0.0)
    return late


def bear(greenlet: Any) -> float:
    """The same, and no other request bears it from now on."""
    late = late_ms(greenlet)
    if late:
        greenlet.spawn_tree_locals[_KEY] = 0.0
    return late
