"""The scheduler for xdist; imported only where xdist is."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.scheduler.loadgroup import LoadGroupScheduling
from xdist.scheduler.loadscope import LoadScopeScheduling

_TOGETHER = "load tests"
_SCOPES = {
    "loadscope": LoadScopeScheduling._split_scope,
    "loadfile": LoadFileScheduling._split_scope,
    "loadgroup": LoadGroupScheduling._split_scope,
}


class LoadTestsTogether(LoadScopeScheduling):  # type: ignore[misc] # xdist's scheduler is untyped here
    """Load tests go together; the others go as --dist says, one by one for `load` and `worksteal`."""

    def __init__(self, config: pytest.Config, log: Any, dist: str, load_tests: Path) -> None:
        super().__init__(config, log)
        self._split = _SCOPES.get(dist, lambda _scheduling, nodeid: nodeid)
        self._file = load_tests

    @cached_property
    def _load_tests(self) -> frozenset[str]:
        return frozenset(json.loads(self._file.read_text()))

    def _split_scope(self, nodeid: str) -> str:
        return _TOGETHER if nodeid in self._load_tests else str(self._split(self, nodeid))
