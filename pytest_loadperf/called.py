"""What a load is called where its service is parametrised."""

from __future__ import annotations

from typing import Any

import pytest


def variant_of(request: pytest.FixtureRequest) -> str:
    """'[4]' where the service (or what it depends on) is parametrised, so that each variant is a series of its own."""
    item: Any = request._pyfuncitem
    callspec = getattr(item, "callspec", None)
    if callspec is None or request.scope == "function":
        return ""  # a test's own id says it already
    names = [name for name in _closure(item, request.fixturename or "") if name in callspec.params]
    if not names:
        return ""
    return "[" + "-".join(_shown(name, callspec.params[name], callspec.indices[name]) for name in names) + "]"


def _closure(item: Any, name: str) -> list[str]:
    """The fixture and all that it depends on; pytest has no public way to ask."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.append(current)
            for definition in item._fixtureinfo.name2fixturedefs.get(current, ()):  # and those it overrides
                waiting.extend(definition.argnames)
    return found


def _shown(name: str, value: object, index: int) -> str:
    return str(value) if isinstance(value, str | int | float) else f"{name}{index}"
