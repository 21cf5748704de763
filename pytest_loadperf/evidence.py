"""What a service wrote when a threshold broke, for whoever has to find out why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.judge.moment import Moment, worst_moment
from pytest_loadperf.model import Trial
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import LoadRecord, LogSlice, Verdict
from pytest_loadperf.redact import redact
from pytest_loadperf.service.log import LogLine, around
from pytest_loadperf.service.running import RunningService

_LONGEST = 8000  # characters, of all replicas together
_MARKED = 50  # of those, for a replica's name and the mark of the moment
_LAST_LINES = 40
_ASIDE_S = 1.0  # before and after
_AFTER_S = 0.5  # the size of a log without times is noted a little after each second began

_Lines = dict[str, Sequence[LogLine]]  # by replica


def log_around(
    verdict: Verdict, load: LoadRecord, service: RunningService, secrets: Collection[str]
) -> LogSlice | None:
    """The slice of the service's log around the breach, else its end; None where there is neither."""
    for look in (_of_worst_moment, _end):
        with suppress(LoadperfError):  # the log can't be read in that way, or the service is gone, which has been told
            if found := look(verdict, load, service):
                return replace(found, text=redact(found.text, secrets)[-_LONGEST:])
    return None


def _of_worst_moment(verdict: Verdict, load: LoadRecord, service: RunningService) -> LogSlice | None:
    worst = worst_moment(load, verdict)
    if worst is None:
        return None
    trial = load.trials[worst.trial]
    at = moment(trial.started_at).timestamp() + worst.second
    lines = _lines(service, trial, at)
    return LogSlice(load.key, _text(lines, at), _when(lines, at, worst, len(load.trials))) if lines else None


def _end(_: Verdict, load: LoadRecord, service: RunningService) -> LogSlice | None:
    text = service.log_tail(_LAST_LINES)
    return LogSlice(load.key, text) if text else None


def _lines(service: RunningService, trial: Trial, at: float) -> _Lines:
    """Of the whole load, as far as that fits, by the replicas that wrote any."""
    began = moment(trial.started_at).timestamp()
    ended = began + max(stage.began_s + stage.summary.duration_s for stage in trial.stages)
    found: _Lines = {}
    # A log is read from the beginning as far as is bounded, which may not reach the moment that matters.
    for since in (began - _ASIDE_S, at - _ASIDE_S, at + _AFTER_S):
        for name, lines in service.log_between(since, ended + _ASIDE_S).items():
            if name not in found or (lines and lines[-1].at >= at):  # else nothing was written from then on
                found[name] = lines
        if all(not lines or lines[-1].at >= at for lines in found.values()):
            break
    longest = _LONGEST // max(1, len(found)) - _MARKED
    shown = {name: around(lines, at, longest) for name, lines in found.items()}
    return {name: lines for name, lines in shown.items() if lines}


def _text(replicas: _Lines, at: float) -> str:
    texts = {name: "\n".join(_parted(lines, at)) for name, lines in replicas.items()}
    return "\n".join(f"{name}:\n{text}" if name else text for name, text in texts.items())


def _parted(lines: Sequence[LogLine], at: float) -> Iterator[str]:
    """The lines, with a mark where that moment is."""
    before = [line.text for line in lines if line.at < at]
    yield from before
    if 0 < len(before) < len(lines):
        yield f"--- {_clock(at)} UTC ---"
    yield from (line.text for line in lines[len(before) :])


def _when(replicas: _Lines, at: float, worst: Moment, trials: int) -> str:
    """'from 14:03:12 to 14:03:15 UTC; at 14:03:13, second 12 of the load, 37 of 120 requests failed'."""
    times = [line.at for lines in replicas.values() for line in lines]
    since, until = _clock(min(times)), _clock(max(times))
    span = f"at {since}" if since == until else f"from {since} to {until}"
    of = f"trial {worst.trial + 1}" if trials > 1 else "the load"
    seconds = f"second {worst.second}"
    if worst.seconds > 1:
        seconds = f"seconds {worst.second} to {worst.second + worst.seconds - 1}"
    return f"{span} UTC; at {_clock(at)}, {seconds} of {of}, {worst.seen}"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
