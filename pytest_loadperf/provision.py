"""From a measured capacity to what a target takes: replicas and CPUs, with the assumptions said."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.measure.summary import cpu_percent_of, measured, stages_of
from pytest_loadperf.quantity import show_number, show_per_second
from pytest_loadperf.records import Capacity, LoadRecord

_TARGET = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)\s*/\s*(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Provision:
    """What a target takes."""

    target: str  # as written
    replicas: int
    cpus: float  # of all replicas; NaN where the service's use is not known
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        """All of it: '12/s take 3 replicas with 3 CPUs, if', and each assumption in a line of its own."""
        replicas = "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
        cpus = "" if math.isnan(self.cpus) else f" with {_cpus(self.cpus)}"
        return "\n- ".join((f"{self.target} takes {replicas}{cpus}, if", *self.assumptions))


def provision(capacity: Capacity, load: LoadRecord, target: str, *, utilisation: float, peak: float) -> Provision:
    """What so many calls take, of a service whose capacity was searched for."""
    wanted = _per_second(target, utilisation, peak)
    if (scaled := load.service.limits.get("autoscale")) is not None:
        raise UsageFault(
            f"the capacity was measured with {scaled}, which does not tell what one replica answers: search for it "
            "with replicas= in place of autoscale="
        )
    measured_with = load.service.most_replicas
    each = measured(load).rps / measured_with
    if not capacity.size or not each > 0:
        raise UsageFault(f"no load held ({capacity.until}), so nothing tells what {target!r} takes")
    replicas = max(1, math.ceil(wanted * peak / (each * utilisation) - 1e-9))
    limit = load.service.cpu_limit_percent
    used = cpu_percent_of(stages_of(load)) / measured_with
    assumptions = _assumptions(capacity, load, each, measured_with, utilisation, peak)
    return Provision(target, replicas, replicas * (used if limit is None else limit) / 100, tuple(assumptions))


def _per_second(target: object, utilisation: float, peak: float) -> float:
    match = _TARGET.fullmatch(target.strip()) if isinstance(target, str) else None
    if match is None:
        raise UsageFault(f"plan({target!r}): expected calls in a time, such as '200/s', '3000/min' or '1000/h'")
    if not 0 < utilisation <= 1:
        raise UsageFault(f"utilisation is {utilisation!r}; expected more than 0 and at most 1")
    if not peak >= 1:
        raise UsageFault(f"peak is {peak!r}; expected 1 or more, times the mean")
    return float(match[1].replace(",", "")) / _SECONDS[match[2]]


def _assumptions(
    capacity: Capacity, load: LoadRecord, each: float, measured_with: int, utilisation: float, peak: float
) -> Iterator[str]:
    limit = load.service.cpu_limit_percent
    with_ = "one replica" if measured_with == 1 else f"{measured_with} replicas"
    at_least = "at least " if capacity.limited else ""
    yield f"calls are like those of {load.name}, and {capacity.until} is what is to hold"
    yield (
        f"a replica answers {at_least}{show_per_second(each)}, as measured with {with_} at {capacity.load}"
        + ("" if limit is None else f", each limited to {_cpus(limit / 100)}")
    )
    yield f"{utilisation:.0%} of that is planned with: what is left is for moments with more calls than usual"
    yield "calls come evenly" if peak == 1 else f"the busiest moment asks for {peak:g} times the mean"
    if measured_with == 1:
        yield "replicas share nothing that limits them (a database, a lock); measure with several to know"


def _cpus(number: float) -> str:
    return "1 CPU" if number == 1 else f"{show_number(number)} CPUs"
