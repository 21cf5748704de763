"""How often the 95 % interval of p95 holds the true one, on a simulated queue whose true p95 is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.verdict_runs import Numbers
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.interval import effects
from pytest_loadperf.model import Summary

_SERVICE_MS = 10.0  # the mean
_SIGMA = 1.0  # of the lognormal service
_STAGE_S = 20
_SETTLING = 1000  # requests until a queue is as long as it will be
_LONG = (10_000, 500)  # requests of each of so many queues, which tell the true percentile to a few in 1,000

Draw = Callable[[np.random.Generator, tuple[int, int]], Numbers]
SERVICES: dict[str, Draw] = {
    "exponential": lambda chance, shape: chance.exponential(_SERVICE_MS, shape),
    "lognormal": lambda chance, shape: chance.lognormal(math.log(_SERVICE_MS) - _SIGMA**2 / 2, _SIGMA, shape),
}


class Coverage(NamedTuple):
    """What was seen of one queue."""

    service: str
    utilisation: float
    requests: int
    held: float  # share of the intervals with the true p95 in them
    width: float  # the median interval's, beside the true p95; infinite where most are
    unbounded: float  # share of those that reach to infinity


def coverages(simulations: int) -> list[Coverage]:
    """Every service at .3 and .6 of its capacity, with 1,000 and 5,000 requests."""
    found = []
    for service in SERVICES:
        for utilisation in (0.3, 0.6):
            chance = np.random.default_rng([len(service), round(utilisation * 10)])
            _, long = _queues(chance, SERVICES[service], utilisation, *_LONG)
            true_ms = float(np.percentile(long, 95))
            for requests in (1000, 5000):
                found.append(_coverage(chance, service, utilisation, true_ms, requests, simulations))
    return found


def _coverage(
    chance: np.random.Generator, service: str, utilisation: float, true_ms: float, requests: int, simulations: int
) -> Coverage:
    arrived, took = _queues(chance, SERVICES[service], utilisation, requests, simulations)
    intervals = np.array([_interval(*queue) for queue in zip(arrived, took, strict=True)])
    low, high = intervals[:, 0], intervals[:, 1]
    return Coverage(
        service,
        utilisation,
        requests,
        held=float(np.mean((low <= true_ms) & (true_ms <= high))),
        width=float(np.median(high - low)) / true_ms,
        unbounded=float(np.mean(np.isinf(high))),
    )


def _queues(
    chance: np.random.Generator, draw: Draw, utilisation: float, requests: int, count: int
) -> tuple[Numbers, Numbers]:
    """When the requests of so many queues came, and how long they took, a row for each queue; in ms."""
    shape = (count, _SETTLING + requests)
    gaps = chance.exponential(_SERVICE_MS / utilisation, shape)
    served = draw(chance, shape)
    waited = np.zeros(shape)
    for number in range(1, shape[1]):
        waited[:, number] = np.maximum(0.0, waited[:, number - 1] + served[:, number - 1] - gaps[:, number])
    return np.cumsum(gaps, axis=1)[:, _SETTLING:], (waited + served)[:, _SETTLING:]


def _interval(arrived: Numbers, took: Numbers) -> tuple[float, float]:
    """What the plugin would make of these requests, sent in one stage."""
    since = (arrived - arrived[0]) / (arrived[-1] - arrived[0])
    seconds = np.minimum((since * _STAGE_S).astype(int), _STAGE_S - 1)
    parts = []
    for second in range(_STAGE_S):
        latencies = Histogram()
        latencies.add(*took[seconds == second].tolist())
        parts.append((second, latencies, 0))
    whole = Histogram.merged(latencies for _, latencies, _ in parts)
    least, most = float(took.min()), float(took.max())
    found = effects(parts, _STAGE_S)
    summary = Summary(_STAGE_S, requests=len(took), min_ms=least, max_ms=most, histogram=whole, effects=found)
    return summary.interval_ms(95)
