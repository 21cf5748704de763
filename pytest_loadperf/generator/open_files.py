"""How many files a process may have open: each user of an HTTP service holds a connection."""

from __future__ import annotations

import math
import resource
from contextlib import suppress

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.plan import Plan

_MOST = 100_000
_BESIDES = 50  # of the generator's own: pipes, logs, modules that are being read


def raise_limit() -> None:
    """As many as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_limit(plan: Plan) -> None:
    """GeneratorError where connections would be refused by this machine, and look like the service's failures.

    Of the users of stages: how many a shape asks for, or arrivals need at one time, nobody knows before. Workers of
    other machines have limits of their own.
    """
    if plan.crew is not None and plan.crew.joined:
        return
    processes = plan.crew.size if plan.crew else 1
    most = math.ceil(max((stage.users or 0 for stage in plan.stages), default=0) / processes)
    limit, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[0], most + _BESIDES
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise GeneratorError(
            f"{most} users{' in each process' if processes > 1 else ''} need up to {needed} open files, and a process "
            f"may have {limit} here. Raise the limit (`ulimit -Hn {needed}`; for a container `--ulimit "
            f"nofile={needed}`), or give the load fewer users or more workers (--loadperf-workers)"
        )
