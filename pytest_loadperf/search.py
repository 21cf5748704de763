"""What is asked of a search for capacity: what has to hold, where it begins, and the stages of each step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.limits import Quantity
from pytest_loadperf.judge.thresholds import Threshold, parse
from pytest_loadperf.plan import Stage
from pytest_loadperf.quantity import duration_s
from pytest_loadperf.records import By, size_in_words

RAMP = "ramp"
_RAMP_S = 3.0  # at most, before each step is measured: its users come in the first half, and are at work then
_LEAST_S = 1.0


@dataclass(frozen=True)
class Search:
    """A search for the highest load of which all demands hold."""

    by: By
    until: str  # as written
    demands: tuple[Threshold, ...]
    start: int  # users, or arrivals a second
    most: int | None
    step_s: float

    @classmethod
    def ask(cls, until: Any, by: Any, start: Any, most: Any, step: Any) -> Search:
        """Check what capacity() was given, all faults at once."""
        faults = [*_faults(by, start, most)]
        demands: list[Threshold] = []
        step_s = 0.0
        try:
            demands = [*demands_of(until)]
            step_s = duration_s(step, "step")
        except UsageFault as fault:
            faults.append(str(fault))
        if faults:
            raise UsageFault("capacity(): " + "; ".join(faults))
        return cls(by, until, tuple(demands), start, most, step_s)

    @property
    def words(self) -> str:
        """What makes two searches comparable, for the fingerprint."""
        return f"capacity by {self.by} until {self.until}, from {self.start} in steps of {self.step_s:g} s"

    def stages(self, size: int, longer: float, scale: float) -> tuple[Stage, ...]:
        """A step: the ramp, and what is measured, so many times as long as usual."""
        usual_s = max(_LEAST_S, self.step_s * scale)
        lasts, ramp_s = f"{usual_s * longer:g}s", min(_RAMP_S, usual_s)
        name = size_in_words(self.by, size)
        if self.by == "rate":
            before = Stage(RAMP, rate=f"{size}/s", duration=f"{ramp_s:g}s", measured=False)
            return before, Stage(name, rate=f"{size}/s", duration=lasts)
        speed = max(1.0, size / (ramp_s / 2))
        before = Stage(RAMP, users=size, spawn_rate=speed, duration=f"{ramp_s:g}s", measured=False)
        return before, Stage(name, users=size, duration=lasts)


def _faults(by: Any, start: Any, most: Any) -> Iterator[str]:
    if by not in ("users", "rate"):
        yield f"by is {by!r}; expected 'users' or 'rate'"
    for name, number in (("start", start), ("most", 1 if most is None else most)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            yield f"{name} is {number!r}; expected a whole number from 1"
            return
    if most is not None and most < start:
        yield f"most is {most}, less than start, which is {start}"


def demands_of(until: Any) -> Iterator[Threshold]:
    """What has to hold, one by one; UsageFault for what no step can show."""
    example = "such as 'p95 < 500ms and failure_rate < 1%'"
    if not isinstance(until, str):
        raise UsageFault(f"until is {until!r}; expected a text {example}")
    for text in re.split(r"\s+and\s+", until.strip()):
        demand = parse(text)
        if not isinstance(demand.limit, Quantity) or demand.load or demand.metric.stage or demand.metric.of_capacity:
            raise UsageFault(f"until={until!r}: {text!r} can't be asked of a step; expected a fixed limit, {example}")
        yield demand
