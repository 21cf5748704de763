"""Records as bytes: one JSON document for what was measured, and beside it the seconds it was measured in."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from pytest_loadperf.codec import from_plain, to_plain
from pytest_loadperf.errors import HistoryError, UsageFault
from pytest_loadperf.model import Pulse, Sample, Trial, Window
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import Acceptance, LoadRecord, RunRecord

FORMAT = 1
# What a damaged file can raise on its way through json, the codec and the nouns' own checks.
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, UsageFault)
T = TypeVar("T")


def encode(record: RunRecord) -> bytes:
    """The record without its seconds, as JSON."""
    trimmed = replace(record, loads=tuple(_without_seconds(load) for load in record.loads))
    return _dump({"format": FORMAT, **to_plain(trimmed)}) + b"\n"


def decode(data: bytes, name: str) -> RunRecord:
    """The record that `encode` wrote; HistoryError, which names the file, if this is none or a newer one."""
    try:
        record = from_plain(RunRecord, _load(data, name))
        moment(record.started_at)
    except _DAMAGE as error:
        raise HistoryError(f"{name} is no record of pytest-loadperf: {_first_line(error)}") from error
    return record


def encode_acceptance(acceptance: Acceptance) -> bytes:
    """The acceptance as JSON."""
    return _dump({"format": FORMAT, **to_plain(acceptance)}) + b"\n"


def decode_acceptance(data: bytes, name: str) -> Acceptance:
    """What `encode_acceptance` wrote; HistoryError, which names the file, if this is none or a newer one."""
    try:
        return from_plain(Acceptance, _load(data, name))
    except _DAMAGE as error:
        raise HistoryError(f"{name} is no acceptance of pytest-loadperf: {_first_line(error)}") from error


def encode_series(record: RunRecord) -> bytes:
    """The seconds of every trial: compressed JSON, a list for each field; the same record gives the same bytes."""
    loads = {load.key: [_trial_columns(trial) for trial in load.trials] for load in record.loads}
    data = _dump({"format": FORMAT, "run": record.id, "loads": loads})
    return gzip.compress(data, compresslevel=6, mtime=0)  # the highest level takes three times as long for 7 % less


def with_series(record: RunRecord, data: bytes) -> RunRecord:
    """The record with the seconds that `encode_series` wrote; HistoryError if they can't be read or are another's."""
    name = f"the series file of run {record.id}"
    try:
        plain = _load(gzip.decompress(data), name)
        if plain["run"] != record.id:
            raise ValueError(f"it belongs to run {plain['run']}")
        return replace(record, loads=tuple(_with_seconds(load, plain["loads"]) for load in record.loads))
    except (*_DAMAGE, EOFError, OSError, zlib.error) as error:
        raise HistoryError(f"{name} can't be read: {_first_line(error)}") from error


def _without_seconds(load: LoadRecord) -> LoadRecord:
    return replace(load, trials=tuple(replace(trial, windows=(), samples=(), pulses=()) for trial in load.trials))


def _dump(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()


def _load(data: bytes, name: str) -> dict[str, Any]:
    plain = json.loads(data)
    if not isinstance(plain, dict) or not isinstance(plain.get("format"), int):
        raise ValueError("it has no format version")
    if plain["format"] > FORMAT:
        raise HistoryError(
            f"{name} was written by a newer pytest-loadperf (format {plain['format']}, this one reads up to {FORMAT}); "
            "upgrade pytest-loadperf to read it"
        )
    return plain


def _first_line(error: BaseException) -> str:
    kind = "" if isinstance(error, ValueError | OSError | UsageFault) else f"{type(error).__name__}: "
    return (kind + str(error)).splitlines()[0][:200]


def _trial_columns(trial: Trial) -> dict[str, Any]:
    return {
        "windows": _columns(Window, trial.windows),
        "samples": _columns(Sample, trial.samples),
        "pulses": _columns(Pulse, trial.pulses),
    }


def _columns(kind: type[Any], rows: Sequence[Any]) -> dict[str, list[Any]]:
    return {field.name: [to_plain(getattr(row, field.name)) for row in rows] for field in fields(kind)}


def _with_seconds(load: LoadRecord, loads: Mapping[str, Any]) -> LoadRecord:
    if load.key not in loads:
        return load
    columns = loads[load.key]
    if len(columns) != len(load.trials):
        raise ValueError(f"it holds {len(columns)} trials of {load.key}, the record {len(load.trials)}")
    return replace(load, trials=tuple(map(_filled, load.trials, columns)))


def _filled(trial: Trial, columns: Mapping[str, Any]) -> Trial:
    return replace(
        trial,
        windows=_rows(Window, columns["windows"]),
        samples=_rows(Sample, columns["samples"]),
        pulses=_rows(Pulse, columns.get("pulses", {})),
    )


def _rows(kind: type[T], columns: Mapping[str, Iterable[Any]]) -> tuple[T, ...]:
    rows = zip(*columns.values(), strict=True)
    return tuple(from_plain(kind, dict(zip(columns, row, strict=True))) for row in rows)
