"""The variants of a parametrised load side by side: how they compare in speed, size and cost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev

from pytest_loadperf.report.charts import bar
from pytest_loadperf.result import LoadResult

_PARAMETERS = re.compile(r"(?P<before>[^[]*)\[(?P<parameters>.*)\](?P<after>[^]]*)")  # of the test, or of the load
_FEWEST = 2


@dataclass(frozen=True)
class Variant:
    """One load of several that differ in a parameter."""

    name: str  # "flask-base64"
    anchor: str  # of all that is shown of it
    result: LoadResult
    slowest_ms: float  # p95 of the slowest variant, for the bars
    fastest_rps: float  # requests a second of the one with the most

    @property
    def group(self) -> str:
        """The first of several parameters: variants that share it stand together."""
        return self.name.partition("-")[0]

    @property
    def p95_bar(self) -> str:
        """Its p95 as a bar."""
        return bar(self.result.p95_ms / self.slowest_ms if self.slowest_ms else math.nan, "blue")

    @property
    def rps_bar(self) -> str:
        """Its requests a second as a bar."""
        return bar(self.result.rps / self.fastest_rps if self.fastest_rps else math.nan, "green")

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the service's CPU that a request took."""
        return self.result.service.cpu_percent * 10 / self.result.rps if self.result.rps else math.nan

    @property
    def spread(self) -> float:
        """How much p95 of its trials differs, as a part of their mean; NaN of a single one."""
        found = [trial.p95_ms for trial in self.result.trials if trial.requests]
        return stdev(found) / fmean(found) if len(found) > 1 else math.nan


@dataclass(frozen=True)
class Variants:
    """The variants of one load."""

    name: str  # "test_images.py::upload"
    all: tuple[Variant, ...]

    @property
    def groups(self) -> list[list[Variant]]:
        """Those that share their first parameter together, in the order in which they ran."""
        return [list(group) for _, group in groupby(self.all, lambda variant: variant.group)]


def variants(loads: Sequence[tuple[str, LoadResult]]) -> list[Variants]:
    """The parametrised loads among these (each with its anchor), where a load has several variants."""
    found: dict[str, list[tuple[str, str, LoadResult]]] = {}
    for base, name, anchor, result in _parametrised(loads):
        found.setdefault(base, []).append((name, anchor, result))
    return [Variants(base, tuple(_compared(members))) for base, members in found.items() if len(members) >= _FEWEST]


def _parametrised(loads: Sequence[tuple[str, LoadResult]]) -> Iterator[tuple[str, str, str, LoadResult]]:
    for anchor, result in loads:
        file, _, name = result.record.key.partition("::")
        if match := _PARAMETERS.fullmatch(name):
            yield f"{file}::{match['before']}{match['after']}", match["parameters"], anchor, result


def _compared(members: Sequence[tuple[str, str, LoadResult]]) -> Iterator[Variant]:
    slowest = max((result.p95_ms for _, _, result in members if result.requests), default=0.0)
    fastest = max((result.rps for _, _, result in members if result.requests), default=0.0)
    for name, anchor, result in sorted(members, key=lambda member: _order(members, member[0])):
        yield Variant(name, anchor, result, slowest, fastest)


def _order(members: Sequence[tuple[str, str, LoadResult]], name: str) -> int:
    """The place of the first variant that shares its first parameter."""
    return [other.partition("-")[0] for other, _, _ in members].index(name.partition("-")[0])
