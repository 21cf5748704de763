"""Every stage as CSV files with the columns of `locust --csv`, for the programs that read these."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import alone, merge, summarise, summary_of
from pytest_loadperf.model import Summary, Trial, Window
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import LoadRecord
from pytest_loadperf.report.text import file_name

_PERCENTS = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100)
_SHARES = tuple(f"{percent:g}%" for percent in _PERCENTS)
_STATS = (
    *("Type", "Name", "Request Count", "Failure Count", "Median Response Time", "Average Response Time"),
    *("Min Response Time", "Max Response Time", "Average Content Size", "Requests/s", "Failures/s", *_SHARES),
)
_HISTORY = (
    *("Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", *_SHARES),
    *("Total Request Count", "Total Failure Count", "Total Median Response Time", "Total Average Response Time"),
    *("Total Min Response Time", "Total Max Response Time", "Total Average Content Size"),
)
_FAILURES = ("Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen")
_EXCEPTIONS = ("Count", "Message", "Traceback", "Nodes")
_ALL = "Aggregated"
Row = Sequence[object]


def write(loads: Iterable[LoadRecord], folder: Path) -> None:
    """Four files for each stage of each load, all trials together; LoadperfError if they can't be written."""
    taken: set[str] = set()
    for load in loads:
        stages = dict.fromkeys(record.stage.name or "" for trial in load.trials for record in trial.stages)
        for number, stage in enumerate(stages):
            name = file_name(f"{load.name}_{stage}", taken)
            _write(folder / f"{name}_stats.csv", _STATS, _stats(load, stage))
            _write(folder / f"{name}_stats_history.csv", _HISTORY, _history(load, stage))
            _write(folder / f"{name}_failures.csv", _FAILURES, _failures(load, stage))
            exceptions = () if number else _exceptions(load)  # which nobody knows the stage of: told once
            _write(folder / f"{name}_exceptions.csv", _EXCEPTIONS, exceptions)


def _write(path: Path, head: Row, rows: Iterable[Row]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    except OSError as error:
        raise LoadperfError(
            f"the CSV files could not be written to {path}: {error.strerror}; make it writable, or give another folder"
        ) from error


def _stats(load: LoadRecord, stage: str) -> Iterator[Row]:
    whole = summary_of(load, stage)
    if whole is None:
        return
    for label, summary in {**whole.endpoints, f" {_ALL}": whole}.items():
        method, _, name = label.partition(" ")
        counts = (summary.requests, summary.failures)
        yield (method, name, *counts, *_latencies(summary), summary.rps, _failing(summary), *_percentiles(summary))


def _history(load: LoadRecord, stage: str) -> Iterator[Row]:
    """A row for each second (or stretch), whose numbers are its own; the totals are those of the stage up to then."""
    total = Summary(duration_s=0.0)
    for trial in load.trials:
        for second, windows in sorted(_seconds(trial, stage).items()):
            lasts = float(max(window.seconds for window in windows))
            now = alone(summarise(windows, lasts))
            total = merge([total, now], total.duration_s + lasts)
            at = moment(trial.started_at) + timedelta(seconds=second)
            users = max(window.users for window in windows)
            rates = (now.rps, _failing(now), *_percentiles(now))
            yield (int(at.timestamp()), users, "", _ALL, *rates, total.requests, total.failures, *_latencies(total))


def _failures(load: LoadRecord, stage: str) -> Iterator[Row]:
    count: Counter[tuple[str, str, str]] = Counter()
    seen: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for trial in load.trials:
        for second, windows in sorted(_seconds(trial, stage).items()):
            at = (moment(trial.started_at) + timedelta(seconds=second)).isoformat()
            for window in windows:
                for text, times in window.errors.items():
                    count[window.method, window.endpoint, text] += times
                    seen[window.method, window.endpoint, text].append(at)
    for failure, times in sorted(count.items()):
        yield (*failure, times, seen[failure][0], seen[failure][-1])


def _exceptions(load: LoadRecord) -> Iterator[Row]:
    for trial in load.trials:
        yield from ((times, text, "", "") for text, times in trial.generator.user_errors.items())


def _seconds(trial: Trial, stage: str) -> dict[int, list[Window]]:
    numbers = {number for number, record in enumerate(trial.stages) if (record.stage.name or "") == stage}
    found: defaultdict[int, list[Window]] = defaultdict(list)
    for window in trial.windows:
        if window.stage in numbers:
            found[window.second].append(window)
    return found


def _latencies(summary: Summary) -> Row:
    """Median, mean, extremes and size, in Locust's order; zeros where nothing was sent, as there."""
    if not summary.requests:
        return (0, 0, 0, 0, 0)
    return (summary.p50_ms, summary.mean_ms, summary.min_ms, summary.max_ms, summary.bytes_mean)


def _percentiles(summary: Summary) -> Row:
    return summary.percentiles_ms(_PERCENTS) if summary.requests else ["N/A"] * len(_PERCENTS)


def _failing(summary: Summary) -> float:
    return summary.failures / summary.duration_s if summary.duration_s else 0.0
