"""pytest-loadperf: performance as a test."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_loadperf.fixtures import capacity, compose_service, docker_service, load, process_service, url_service
    from pytest_loadperf.generator.lean import LeanHttpUser
    from pytest_loadperf.plan import Stage
    from pytest_loadperf.result import LoadResult
    from pytest_loadperf.service.autoscale import Autoscale

__all__ = [
    "Autoscale",
    "LeanHttpUser",
    "LoadResult",
    "Stage",
    "capacity",
    "compose_service",
    "docker_service",
    "load",
    "process_service",
    "url_service",
]


def __getattr__(name: str) -> Any:
    """The public names, each loaded when it is first asked for: pytest imports this package in every run."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {
        "Autoscale": "service.autoscale",
        "LeanHttpUser": "generator.lean",
        "LoadResult": "result",
        "Stage": "plan",
    }.get(name, "fixtures")
    return getattr(import_module(f"{__name__}.{home}"), name)
