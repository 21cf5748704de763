"""The Markdown summary: what a CI job's page shows of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.model import Summary
from pytest_loadperf.quantity import show_ms, show_number, show_rate_percent, show_time
from pytest_loadperf.records import LoadRecord, RunRecord, Verdict
from pytest_loadperf.report.comparable import of_load, until, why_apart
from pytest_loadperf.report.outcome import Told, in_words, outcome_of
from pytest_loadperf.report.text import shorten
from pytest_loadperf.result import LoadResult

_MOST_BYTES = 900_000  # GitHub refuses a summary of more than 1 MiB as a whole
_VERDICT_BYTES = 600_000  # of these, so that the loads get their share
_RUNS = 30
_BARS = "▁▂▃▄▅▆▇█"
# As character references these are text and nothing else, in a table cell and in HTML alike; an underscore inside a
# word and a colon in a time mean nothing anyway, and are left for those who read the source.
_SPECIAL = re.compile(r"[\\`*\[\]<>#|~&@$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?![\s\d])")
_NUMBERS = ("Requests", "Failed", "Per second", "p50", "p95", "p99")


def render(run: RunRecord, history: Sequence[RunRecord]) -> str:
    """The summary of a run, with p95 over the runs before it; never longer than CI accepts."""
    head = [f"## {_sign(run)} {outcome_of(run).headline}", "", _about(run), ""]
    table = list(_verdict_table(run))
    verdicts = _fitting(table, len(table), _VERDICT_BYTES, "more verdicts")
    loads = (_load(run, load, history) for load in run.loads)
    used = sum(len(line.encode()) + 1 for line in [*head, *verdicts])
    return "\n".join([*head, *verdicts, "", *_fitting(loads, len(run.loads), _MOST_BYTES - used, "more loads")]) + "\n"


def append(run: RunRecord, history: Sequence[RunRecord], path: Path) -> None:
    """Add the summary to a file, which other steps of the job may have written to; LoadperfError if that can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(render(run, history))
    except OSError as error:
        raise LoadperfError(
            f"the summary could not be written to {path}: {error.strerror}; name another file with --loadperf-summary"
        ) from error


def sparkline(values: Sequence[float]) -> str:
    """The values as bars from zero to the largest; a space where there is none."""
    top = max((value for value in values if math.isfinite(value)), default=0.0)
    last = len(_BARS) - 1
    return "".join(
        " " if math.isnan(value) else _BARS[min(last, int(value / top * last + 0.5)) if top else 0] for value in values
    )


def _sign(run: RunRecord) -> str:
    outcome = outcome_of(run)
    return "✗" if outcome.failed else "?" if outcome.undecided else "✓"


def _about(run: RunRecord) -> str:
    parts = [show_time(run.started_at)]
    if commit := run.commit:
        branch = f" on {_text(commit.branch)}" if commit.branch else ""
        parts.append(f"commit <code>{_text(commit.sha[:7])}</code>{branch}{', uncommitted changes' * commit.dirty}")
    return ", ".join(parts)


def _verdict_table(run: RunRecord) -> Iterator[str]:
    """The table's lines: what failed first, a test without thresholds as well."""
    outcome = outcome_of(run)
    told = [*outcome.failed, *outcome.undecided, *outcome.passed, *outcome.expected, *outcome.skipped]
    if not told:
        return
    yield _row("Verdict", "Test", "Load", "Threshold", "Observed", "Limit", "Compared with")
    yield "|" + " --- |" * 7
    names = {load.key: load.name for load in run.loads}
    for test in told:
        verdicts = [*test.breaches, *test.undecided, *test.held]
        yield from (_verdict(test, verdict, names) for verdict in verdicts)
        if not test.breaches and (test.failed or not verdicts):
            yield _plain(test, names)


def _verdict(told: Told, verdict: Verdict, names: dict[str, str]) -> str:
    compared = "; ".join(filter(None, (verdict.baseline, verdict.remark)))
    return _row(
        f"**{in_words(verdict.status)}**" if verdict.breach else in_words(verdict.status),
        _code(told.name),
        _text(names.get(verdict.load, verdict.load)),
        _code(verdict.threshold),
        _text(verdict.observed),
        _text(verdict.limit),
        _text(compared, 300),
    )


def _plain(told: Told, names: dict[str, str]) -> str:
    """A test that ended as it did for another reason than a threshold."""
    sign = "✗" if told.failed else "–" if told.test.outcome in ("skipped", "xfailed") else "✓"
    loads = ", ".join(names.get(key, key) for key in told.test.loads)
    outcome = f"{sign} {told.test.outcome}"
    return _row(
        f"**{outcome}**" if told.failed else outcome, _code(told.name), _text(loads), "", "", "", _text(told.error, 300)
    )


def _load(run: RunRecord, load: LoadRecord, history: Sequence[RunRecord]) -> str:
    """One load's numbers, folded away behind the line that most readers want."""
    result = LoadResult.of(load)
    runs = [each for each in of_load(until(run, history), load.key) if not why_apart(each, (run, load))][-_RUNS:]
    over_runs = [measured(each).p95_ms for _, each in runs]
    spark = f", over {len(runs)} runs {sparkline(over_runs)}" if len(runs) > 1 else ""
    stopped = f"<br>stopped early: {_text(load.aborted, 300)}" if load.aborted else ""
    stopped += "".join(f"<br>in doubt: {_text(str(doubt), 400)}" for doubt in doubts(load))
    rows = [
        *(_numbers(f"stage {_text(name)}", stage) for name, stage in result.stages.items()),
        *(_numbers(_code(name), endpoint) for name, endpoint in result.endpoints.items()),
    ]
    title = f"<b>{_text(load.name)}</b>: {result.requests:,} requests, p95 {show_ms(result.p95_ms)}{spark}{stopped}"
    table = [_row("", *_NUMBERS), "| --- |" + " ---: |" * len(_NUMBERS), *rows]
    return "\n".join([f"<details><summary>{title}</summary>", "", *table, "", "</details>", ""])


def _numbers(name: str, summary: Summary) -> str:
    latencies = (show_ms(value) for value in (summary.p50_ms, summary.p95_ms, summary.p99_ms))
    return _row(
        name, f"{summary.requests:,}", show_rate_percent(summary.failure_rate), show_number(summary.rps), *latencies
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _code(name: str) -> str:
    return f"<code>{_text(name)}</code>"


def _text(text: str, limit: int = 120) -> str:
    return _SPECIAL.sub(lambda found: f"&#{ord(found.group())};", shorten(text, limit))


def _fitting(parts: Iterable[str], total: int, most_bytes: int, what: str) -> list[str]:
    """The parts, of which there are `total`, as far as they fit, and a sentence about how many do not."""
    kept: list[str] = []
    for part in parts:
        most_bytes -= len(part.encode()) + 1
        if most_bytes < 0:
            return [*kept, "", f"{total - len(kept):,} {what} are not listed here; the HTML report has them."]
        kept.append(part)
    return kept
