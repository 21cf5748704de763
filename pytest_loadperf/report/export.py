"""Every load's series as CSV, for other programs: a row for each run, a column for each number."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.measure.summary import endpoint_of, measured, summary_of
from pytest_loadperf.model import Summary
from pytest_loadperf.records import LoadRecord, RunRecord
from pytest_loadperf.report.comparable import of_load
from pytest_loadperf.report.text import file_name

_IDENTITY = ("time", "run", "commit", "branch")
_NUMBERS = ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "failure_rate", "rps")


@dataclass(frozen=True)
class Exported:
    """The file of one load."""

    path: Path
    runs: int
    left_out: int  # that can't be compared with the newest one, or whose numbers are not the service's own

    def __str__(self) -> str:
        runs = f"{self.path}: {self.runs} {'run' if self.runs == 1 else 'runs'}"
        return f"{runs}, {self.left_out} left out: not comparable, stopped early or in doubt" if self.left_out else runs


def export(records: Sequence[RunRecord], folder: Path) -> list[Exported]:
    """Write a file for each load into the folder; LoadperfError if that can't be done.

    A file holds the runs that the load's newest one can be compared with, of every branch: elsewhere a change of
    machine or set-up would look like one of the code.
    """
    exported, names = [], set[str]()
    for key in dict.fromkeys(load.key for run in records for load in run.loads):
        runs = [*of_load(records, key)]
        kept = [(run, load) for run, load in runs if _tells(load) and load.fingerprint == runs[-1][1].fingerprint]
        path = folder / f"{file_name(key, names)}.csv"
        _write(path, _table(kept))
        exported.append(Exported(path, len(kept), len(runs) - len(kept)))
    return exported


def _tells(load: LoadRecord) -> bool:
    return not (load.aborted or load.faults or doubts(load)) and measured(load).requests > 0


def _table(runs: Sequence[tuple[RunRecord, LoadRecord]]) -> str:
    endpoints = sorted({name for _, load in runs for name in _endpoints(load)})
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow([*_IDENTITY, *_NUMBERS, *(f"{name}[{endpoint}]" for endpoint in endpoints for name in _NUMBERS)])
    for run, load in runs:
        commit = run.commit
        identity = (run.started_at, run.id, commit.sha if commit else "", (commit and commit.branch) or "")
        writer.writerow([*identity, *_numbers(measured(load)), *_of_endpoints(load, endpoints)])
    return text.getvalue()


def _endpoints(load: LoadRecord) -> Sequence[str]:
    whole = summary_of(load)
    return [*whole.endpoints] if whole else []


def _of_endpoints(load: LoadRecord, names: Sequence[str]) -> Iterator[str]:
    whole = summary_of(load)
    for name in names:
        yield from _numbers(endpoint_of(whole, name) if whole else None)


def _numbers(summary: Summary | None) -> Iterator[str]:
    """The numbers; nothing where an endpoint was not asked."""
    for name in _NUMBERS:
        yield f"{getattr(summary, name):.6g}" if summary and summary.requests else ""


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LoadperfError(
            f"the series could not be written to {path}: {error.strerror}; make it writable, or give another folder"
        ) from error
