"""Imports Locust without its monkey patching, so that the pytest process stays an ordinary Python.

`import locust` patches sockets, threads and subprocesses of the whole process unless LOCUST_SKIP_MONKEY_PATCH is set.
Setting it for the whole run would reach the processes that the user's tests start, so it is set for the moment of the
import only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_SWITCH = "LOCUST_SKIP_MONKEY_PATCH"


class UnpatchedLocust:
    """Finds the package `locust`, and executes it with its patching switched off."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The ordinary spec of `locust` with a guarded loader; None for every other module."""
        if fullname != "locust":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with _switched_off():
                execute(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign] # this spec's own loader, no one else's
        return spec


@contextmanager
def _switched_off() -> Iterator[None]:
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before


def install() -> Callable[[], None]:
    """Make later imports of Locust in this process unpatched; gives what undoes it."""
    finder = UnpatchedLocust()
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder) if finder in sys.meta_path else None
