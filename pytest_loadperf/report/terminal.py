"""The summary at the end of a run, and the text of a broken threshold: pure functions to lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan
from typing import NamedTuple

from pytest_loadperf.judge.baseline import find
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.regression import drifting
from pytest_loadperf.measure.summary import cpu_percent_of, memory_bytes_of, merge
from pytest_loadperf.model import StageRecord, Summary
from pytest_loadperf.quantity import show_bytes, show_ms, show_percent, show_rate_percent
from pytest_loadperf.records import LoadRecord, RunRecord, Verdict
from pytest_loadperf.report.capacity import Found
from pytest_loadperf.report.text import shorten
from pytest_loadperf.result import LoadResult

_COLORS = {"ok": "green", "improved": "green", "broken": "red", "regressed": "red"}
_MOST_REASONS, _LONGEST_REASON = 3, 160
_COLUMNS = ("stage", "users", "requests", "req/s", "failed", "p50", "p95", "p99", "max", "cpu", "memory")


class Line(NamedTuple):
    """One line, in one colour."""

    text: str
    color: str = ""


def breach_text(verdicts: Sequence[Verdict]) -> str:
    """Every broken threshold with what was observed, then the others."""
    broken = [verdict for verdict in verdicts if verdict.breach]
    others = [verdict for verdict in verdicts if not verdict.breach]
    lines = [breach_line(verdicts), *_aligned([*broken, *others])]
    return "\n".join(lines)


def breach_line(verdicts: Sequence[Verdict]) -> str:
    """The breaches in one line, for lists of failed tests."""
    broken = [verdict for verdict in verdicts if verdict.breach]
    first = f"{broken[0].threshold}: {broken[0].observed}"
    return f"{first}, and {len(broken) - 1} more broken" if len(broken) > 1 else f"broken threshold {first}"


def summary_lines(run: RunRecord, history: Sequence[RunRecord], judged: bool = True) -> list[Line]:
    """The table of every load, with its verdicts; without `judged`, nothing is said of earlier runs."""
    verdicts = [verdict for test in run.tests for verdict in test.verdicts]
    lines: list[Line] = []
    for load in run.loads:
        own = [verdict for verdict in verdicts if verdict.load == load.key]
        drift = _drift_lines(run, load, own, history) if judged else ()
        lines += [*_load_lines(load, own), *drift, Line("")]
    if not run.loads:
        lines.append(Line("no load ran to its end", "red"))
    if not history:
        lines.append(Line("first run in this history: trends and baselines start with the next one"))
    return lines


def _load_lines(load: LoadRecord, verdicts: Sequence[Verdict]) -> Iterator[Line]:
    yield Line(f"{load.key}  ({_service(load)})", "bold")
    for row in (*_table(load), *_arrivals(load)):
        yield Line(f"  {row}")
    for text in _failures(load):
        yield Line(f"  {text}", "yellow")
    if load.capacity is not None:
        yield Line(f"  {load.name}: {Found(load.capacity).words}")
    for text in _remarks(load):
        yield Line(f"  {text}", "yellow")
    unique = {(verdict.threshold, verdict.status, verdict.observed): verdict for verdict in verdicts}
    for verdict, text in zip(unique.values(), _aligned(list(unique.values())), strict=True):
        color = _COLORS.get(verdict.status, "yellow")
        yield Line(text, "yellow" if verdict.advisory and color == "red" else color)


def _drift_lines(
    run: RunRecord, load: LoadRecord, verdicts: Sequence[Verdict], history: Sequence[RunRecord]
) -> Iterator[Line]:
    """Whether the latest runs are slower together, where none of them is that alone."""
    if load.aborted or doubts(load) or any(verdict.change and verdict.change.suspect for verdict in verdicts):
        return
    baseline = find(history, load, run.commit, run.baseline, run.accepted)
    if drift := drifting(Metric("p95"), load, baseline):
        by = f"{drift.latest / drift.before - 1:.1%} above the {drift.runs} before"
        yield Line(f"  drifting: p95 of {load.name}: the last {drift.number} runs are {by}", "yellow")


def _service(load: LoadRecord) -> str:
    service = load.service
    limits = "".join(f", {name} {value}" for name, value in service.readable_limits.items())
    instead = f"; {service.fallback_from}" if service.fallback_from else ""
    return f"{service.kind} {service.name}{limits}{instead}"


def _remarks(load: LoadRecord) -> Iterator[str]:
    generator = LoadResult.of(load).generator
    if load.aborted:
        yield load.aborted
    for doubt in doubts(load):
        yield f"in doubt: {doubt}"
    if generator.unfinished_users:
        yield f"{generator.unfinished_users} users were still busy when the wait for the last answers ended"


def _table(load: LoadRecord) -> list[str]:
    names = dict.fromkeys(stage.stage.name for trial in load.trials for stage in trial.stages)
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for name in names:
        found = [stage for trial in load.trials for stage in trial.stages if stage.stage.name == name]
        rows.append(_stage_row(found))
        if found[0].stage.measured:
            rows += _endpoint_rows(_merged(found))
        if again := [stage for trial in load.again for stage in trial.stages if stage.stage.name == name]:
            rows.append((f"  {name} again", *_stage_row(again)[1:]))
        if beside := [stage for trial in load.against for stage in trial.stages if stage.stage.name == name]:
            rows.append((f"  {name}, {load.against_short}", *_stage_row(beside)[1:]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _arrivals(load: LoadRecord) -> Iterator[str]:
    for name, stage in LoadResult.of(load).stages.items():
        if (arrivals := stage.arrivals) is not None:
            began = f"{arrivals.started} of {arrivals.due} arrivals began"
            late = f"late by {show_ms(arrivals.late_ms(50))} (p50), {show_ms(arrivals.late_ms(99))} (p99)"
            yield f"{name}: {began}, {late}, {arrivals.waiting} still waited"


def _failures(load: LoadRecord) -> Iterator[str]:
    """Why requests failed: the most frequent reasons."""
    counted: Counter[tuple[str, str]] = Counter()
    for summary in (stage.summary for trial in load.trials for stage in trial.stages):
        for name, endpoint in summary.endpoints.items():
            counted.update({(name, text): times for text, times in endpoint.errors.items()})
    for (name, text), times in counted.most_common(_MOST_REASONS):
        yield f"{times} failed: {shorten(name, 40)}: {shorten(text, _LONGEST_REASON)}"
    if others := counted.total() - sum(times for _, times in counted.most_common(_MOST_REASONS)):
        yield f"{others} failed for other reasons"


def _merged(stages: Sequence[StageRecord]) -> Summary:
    return merge((stage.summary for stage in stages), sum(stage.summary.duration_s for stage in stages))


def _stage_row(stages: Sequence[StageRecord]) -> tuple[str, ...]:
    stage = stages[0].stage
    title = f"{stage.name}" + ("" if stage.measured else " (not measured)")
    cpu, memory = cpu_percent_of(stages), memory_bytes_of(stages)
    use = ("" if isnan(cpu) else show_percent(cpu), "" if isnan(memory) else show_bytes(memory))
    return (title, _users(stages), *_numbers(_merged(stages)), *use)


def _users(stages: Sequence[StageRecord]) -> str:
    """How many there were, and how many were asked for where that is not the same."""
    asked, reached = stages[0].stage.users, min(record.users for record in stages)
    if asked is None:
        return str(max(record.users for record in stages))
    return str(asked) if reached >= asked else f"{reached} of {asked}"


def _endpoint_rows(summary: Summary) -> list[tuple[str, ...]]:
    if len(summary.endpoints) < 2:
        return []
    return [(f"  {name[:40]}", "", *_numbers(endpoint), "", "") for name, endpoint in summary.endpoints.items()]


def _numbers(summary: Summary) -> tuple[str, ...]:
    return (
        str(summary.requests),
        f"{summary.rps:.1f}",
        show_rate_percent(summary.failure_rate),
        show_ms(summary.p50_ms),
        show_ms(summary.p95_ms),
        show_ms(summary.p99_ms),
        show_ms(summary.max_ms),
    )


def _aligned(verdicts: Sequence[Verdict]) -> list[str]:
    """One line each: status, load, threshold, observed, and what else there is to say."""
    rows = [_verdict_cells(verdict) for verdict in verdicts]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]


def _verdict_cells(verdict: Verdict) -> tuple[str, str, str, str, str]:
    load = verdict.load.rpartition("::")[2]
    status = verdict.status.upper() if verdict.breach else verdict.status
    remarks = "; ".join(filter(None, (verdict.remark, _compared(verdict))))
    return status, load, verdict.threshold, verdict.observed, f"({remarks})" if remarks else ""


def _compared(verdict: Verdict) -> str:
    """The limit stands in an absolute threshold's own text; one from a baseline has to be told."""
    return f"limit {verdict.limit}, {verdict.baseline}" if verdict.baseline else ""
