"""What the machine adds to a latency, told by the control: earlier runs are taken to the machine as it is now."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from pytest_loadperf.judge.metrics import LATENCY, Metric
from pytest_loadperf.records import LoadRecord


def as_now(metric: Metric, earlier: LoadRecord, now: LoadRecord) -> float:
    """The number of an earlier run; a latency, as many times as large as the machine is slower by now."""
    value = metric.value(earlier)
    return value * slowdown(earlier, now) if metric.kind.noun == LATENCY else value


def slowdown(earlier: LoadRecord, now: LoadRecord) -> float:
    """How many times as long as then the machine takes for the same work; 1 where no control tells."""
    slower = now.control_ms / earlier.control_ms
    return 1.0 if math.isnan(slower) else slower


def again_of(load: LoadRecord) -> LoadRecord:
    """The second measurement as a load of its own."""
    return replace(load, trials=load.again, control_ms=load.again_control_ms, again=())


def machine_since(metric: Metric, earlier: Iterable[LoadRecord], now: LoadRecord) -> str:
    """How the machine stands against those of earlier runs, where their latencies were taken to it; else empty."""
    known = [load.control_ms for load in earlier if not math.isnan(load.control_ms)]
    if metric.kind.noun != LATENCY or math.isnan(now.control_ms) or not known:
        return ""
    return f"; the control {now.control_ms / median(known) - 1:+.1%}, allowed for"
