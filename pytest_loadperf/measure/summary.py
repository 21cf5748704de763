"""Windows merged into the numbers of endpoints, stages and loads."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_loadperf.measure import interval
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.percentiles import Percentile, Percentiles
from pytest_loadperf.model import UNSENT, ArrivalRecord, StageRecord, Summary, Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import LoadRecord, Together


def summarise(windows: Iterable[Window], duration_s: float) -> Summary:
    """The numbers of these windows together, and of each endpoint in them."""
    by_endpoint: defaultdict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_endpoint[label(window.method, window.endpoint)].append(window)
    endpoints = {name: _of_windows(found, duration_s) for name, found in sorted(by_endpoint.items())}
    return replace(merge(endpoints.values(), duration_s), histogram=Histogram(), endpoints=endpoints)


def with_effects(summary: Summary, windows: Sequence[Window], began_s: float) -> Summary:
    """The summary of a stage, and of each of its endpoints, with the design effects and the usual percentiles."""
    named: defaultdict[str, list[Window]] = defaultdict(list)
    for window in windows:
        named[label(window.method, window.endpoint)].append(window)
    endpoints = {
        name: _sure(replace(endpoint, effects=_effects(named[name], began_s, summary.duration_s)))
        for name, endpoint in summary.endpoints.items()
    }
    return _sure(replace(summary, endpoints=endpoints, effects=_effects(windows, began_s, summary.duration_s)))


def _sure(summary: Summary) -> Summary:
    """The summary with its usual percentiles: a long history is read for these, and none of its histograms is."""
    return replace(summary, percentiles=usual_percentiles(summary))


def usual_percentiles(summary: Summary) -> Percentiles:
    """The percentiles that are told of everything, each with its interval."""
    found = zip(summary.percentiles_ms(interval.PERCENTS), summary.intervals_ms(interval.PERCENTS), strict=True)
    named = zip(interval.NAMES.values(), found, strict=True)
    return Percentiles({name: Percentile(ms, *bounds) for name, (ms, bounds) in named})


def _effects(windows: Sequence[Window], began_s: float, duration_s: float) -> dict[str, float]:
    parts = [(window.second - int(began_s), window.histogram, window.failures) for window in windows]
    return interval.effects(parts, round(duration_s))


def label(method: str, endpoint: str) -> str:
    """How an endpoint is named in results: 'GET /search', or 'search' for a protocol without methods."""
    return f"{method} {endpoint}" if method else endpoint


def _of_windows(windows: Sequence[Window], duration_s: float) -> Summary:
    return merge(
        (
            Summary(
                duration_s=duration_s,
                requests=window.requests,
                failures=window.failures,
                bytes=window.bytes,
                sum_ms=window.sum_ms,
                min_ms=window.min_ms,
                max_ms=window.max_ms,
                histogram=window.histogram,
                status_codes=window.status_codes,
                errors=window.errors,
            )
            for window in windows
        ),
        duration_s,
    )


def merge(summaries: Iterable[Summary], duration_s: float) -> Summary:
    """One summary with the requests of all; its `endpoints` are merged by name."""
    parts = list(summaries)
    if len(parts) == 1 and parts[0].duration_s == duration_s:  # mostly so, and a long history has thousands
        return parts[0]
    used = [part for part in parts if part.requests]
    named: defaultdict[str, list[Summary]] = defaultdict(list)
    status_codes: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for part in parts:
        status_codes.update(part.status_codes)
        errors.update(part.errors)
        for name, endpoint in part.endpoints.items():
            named[name].append(endpoint)
    return Summary(
        duration_s=duration_s,
        requests=sum(part.requests for part in used),
        failures=sum(part.failures for part in used),
        bytes=sum(part.bytes for part in used),
        sum_ms=sum(part.sum_ms for part in used),
        min_ms=min((part.min_ms for part in used), default=float("nan")),
        max_ms=max((part.max_ms for part in used), default=float("nan")),
        histogram=Histogram() if named else Histogram.merged(part.latencies for part in used),
        status_codes=dict(status_codes),
        errors=dict(errors.most_common()),
        endpoints={name: merge(found, duration_s) for name, found in sorted(named.items())},
        effects=interval.joined((part.requests, part.effects) for part in used),
    )


def alone(summary: Summary) -> Summary:
    """The summary without its endpoints: merging these is most of the cost."""
    return replace(summary, endpoints={}, histogram=summary.latencies)


def endpoint_of(summary: Summary, name: str) -> Summary | None:
    """The endpoint called `name`: 'GET /search' is one, '/search' is that name under all its methods."""
    if name in summary.endpoints:
        return summary.endpoints[name]
    found = [endpoint for full, endpoint in summary.endpoints.items() if full.partition(" ")[2] == name]
    return merge(found, summary.duration_s) if found else None


def stages_of(load: LoadRecord, stage: str | None = None) -> list[StageRecord]:
    """The stages called `stage`, or all measured ones, over all trials."""
    records = [record for trial in load.trials for record in trial.stages]
    if stage is None:
        return [record for record in records if record.stage.measured]
    return [record for record in records if record.stage.name == stage]


def summary_of(load: LoadRecord, stage: str | None = None) -> Summary | None:
    """The numbers of a load over all trials, of all measured stages or of one; None where there is no such stage."""
    records = stages_of(load, stage)
    if not records:
        return None
    whole = merge((record.summary for record in records), sum(record.summary.duration_s for record in records))
    endpoints = {name: _known(endpoint, load, stage, name) for name, endpoint in whole.endpoints.items()}
    return replace(_known(whole, load, stage), endpoints=endpoints)


def together(load: LoadRecord) -> LoadRecord:
    """The load with the usual percentiles of its measured stages together, where they are several."""
    whole = summary_of(load)
    if whole is None or len(stages_of(load)) == 1:
        return load
    each = {"": whole, **whole.endpoints}
    return replace(load, together={name: Together(part.sum_ms, usual_percentiles(part)) for name, part in each.items()})


def _known(summary: Summary, load: LoadRecord, stage: str | None, endpoint: str | None = None) -> Summary:
    """The summary, with the percentiles that the record has of it."""
    found = load.together.get(endpoint or "")
    if stage is not None or found is None or found.sum_ms != summary.sum_ms:
        return summary
    return replace(summary, percentiles=found.percentiles)


def measured(load: LoadRecord, stage: str | None = None, endpoint: str | None = None) -> Summary:
    """What `summary_of` gives, or one of its endpoints; several stages are put together without those.

    Empty where there is no such stage, or no request of that endpoint in it.
    """
    records = stages_of(load, stage)
    parts = [record.summary if endpoint is None else endpoint_of(record.summary, endpoint) for record in records]
    found = [alone(part) if len(records) > 1 else part for part in parts if part is not None]
    whole = merge(found, sum(record.summary.duration_s for record in records))
    return _known(whole, load, stage, endpoint)


def unsent(summary: Summary) -> dict[str, int]:
    """How many requests the generator's machine could not send, by what it lacked."""
    found: Counter[str] = Counter()
    for text, count in summary.errors.items():
        if text.startswith(UNSENT):
            found[text.removeprefix(UNSENT).partition(":")[0]] += count
    return dict(found)


def without_unsent(load: LoadRecord) -> LoadRecord:
    """The load as if these requests had not been meant to be."""

    def sent(summary: Summary) -> Summary:
        missing = sum(unsent(summary).values())
        return replace(
            summary,
            requests=summary.requests - missing,
            failures=summary.failures - missing,
            errors={text: count for text, count in summary.errors.items() if not text.startswith(UNSENT)},
            endpoints={name: sent(endpoint) for name, endpoint in summary.endpoints.items()},
        )

    def of(trials: Sequence[Trial]) -> tuple[Trial, ...]:
        return tuple(
            replace(trial, stages=tuple(replace(stage, summary=sent(stage.summary)) for stage in trial.stages))
            for trial in trials
        )

    return replace(load, trials=of(load.trials), again=of(load.again), against=of(load.against))


def cpu_percent_of(stages: Iterable[StageRecord]) -> float:
    """The service's mean CPU over these stages, 100 for one core; NaN where it was not sampled."""
    sampled = [stage for stage in stages if math.isfinite(stage.cpu_percent)]
    lasted = sum(stage.summary.duration_s for stage in sampled)
    return sum(stage.cpu_percent * stage.summary.duration_s for stage in sampled) / lasted if lasted else math.nan


def memory_bytes_of(stages: Iterable[StageRecord]) -> float:
    """The service's peak memory over these stages; NaN where it was not sampled."""
    return float(max((stage.memory_bytes for stage in stages), default=0)) or math.nan


def arrivals_of(stages: Iterable[StageRecord]) -> ArrivalRecord | None:
    """The arrivals of these stages together; None where none of them has a rate."""
    records = [stage.arrivals for stage in stages if stage.arrivals is not None]
    return merge_arrivals(records, sum(record.lasted_s for record in records)) if records else None


def merge_arrivals(records: Sequence[ArrivalRecord], lasted_s: float) -> ArrivalRecord:
    """One record of all these arrivals, which came in so much time."""
    return ArrivalRecord(
        due=sum(record.due for record in records),
        started=sum(record.started for record in records),
        waiting=sum(record.waiting for record in records),
        overdue=sum(record.overdue for record in records),
        lasted_s=lasted_s,
        late=Histogram.merged(record.late for record in records),
    )


def name_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages with a name each: 'stage 1', 'stage 2', … where the user gave none."""
    return tuple(replace(stage, name=stage.name or f"stage {number}") for number, stage in enumerate(stages, start=1))
