"""The second of a load in which a broken threshold broke most: where to look for why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import label
from pytest_loadperf.model import Trial, Window
from pytest_loadperf.quantity import show_ms
from pytest_loadperf.records import LoadRecord, Verdict

_USUAL = Metric("p95")  # of a threshold that is about no latency, such as one on throughput


@dataclass(frozen=True)
class Moment:
    """One second of one trial; of a long one, so many seconds."""

    trial: int  # its place
    second: int  # since the load began
    seen: str  # '37 of 120 requests failed'
    seconds: int = 1


def worst_moment(load: LoadRecord, verdict: Verdict) -> Moment | None:
    """Where most requests failed, or, of a threshold on a latency, where it was highest; None without any second.

    Of builds that are measured in pairs, that is in the last pair, whose service is still there.
    """
    metric = _metric(verdict)
    first = len(load.trials) - 1 if load.against else 0
    found = {
        (place, second): windows
        for place, trial in enumerate(load.trials)
        if place >= first
        for second, windows in _seconds(trial, metric)
    }
    if not found:
        return None
    lasts = {at: max(window.seconds for window in windows) for at, windows in found.items()}
    failures = {at: sum(window.failures for window in windows) for at, windows in found.items()}
    worst = max(failures, key=lambda at: failures[at] / lasts[at])
    if metric.tail is None and failures[worst]:
        requests = sum(window.requests for window in found[worst])
        return Moment(*worst, f"{failures[worst]:,} of {requests:,} requests failed", lasts[worst])
    latency = metric if metric.tail is not None else _USUAL
    values = {at: _latency_ms(windows, latency) for at, windows in found.items()}
    worst = max(values, key=lambda at: values[at])
    return Moment(*worst, f"{latency.name} was {show_ms(values[worst])}", lasts[worst])


def _metric(verdict: Verdict) -> Metric:
    """What the threshold is about; a load that was stopped, or not what was asked for, is about its failures."""
    try:
        return parse(verdict.threshold).metric
    except UsageFault:
        return Metric("failures")


def _seconds(trial: Trial, metric: Metric) -> Iterator[tuple[int, Sequence[Window]]]:
    """The windows that the metric is of, second by second, where anything was requested."""
    found: defaultdict[int, list[Window]] = defaultdict(list)
    for window in trial.windows:
        if window.stage < 0:  # after the last one
            continue
        stage = trial.stages[window.stage].stage
        wanted = stage.measured if metric.stage is None else stage.name == metric.stage
        names = (window.endpoint, label(window.method, window.endpoint))
        if wanted and metric.endpoint in (None, *names) and window.requests:
            found[window.second].append(window)
    yield from sorted(found.items())


def _latency_ms(windows: Sequence[Window], metric: Metric) -> float:
    """Of one second; for the mean, least or most of a load the slowest request tells."""
    if metric.percent is None:
        return max(window.max_ms for window in windows)
    return Histogram.merged(window.histogram for window in windows).percentile_ms(metric.percent)
