from __future__ import annotations

import gzip
import json
import math
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import load, run, trial

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.record import decode, encode, encode_series, with_series
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.interval import NAMES
from pytest_loadperf.measure.percentiles import Percentile, Percentiles
from pytest_loadperf.model import (
    ArrivalRecord,
    GeneratorRecord,
    Pulse,
    Sample,
    SelfCheck,
    ServiceEvent,
    StageRecord,
    Summary,
    Trial,
    Window,
)
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import (
    Acceptance,
    Capacity,
    Change,
    Commit,
    LoadRecord,
    LogSlice,
    RunRecord,
    ServiceRecord,
    Step,
    TestRecord,
    Together,
    Verdict,
)

TEXTS = st.text(max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 10**12)
PERCENTILES = st.builds(Percentile, NUMBERS, NUMBERS, NUMBERS | st.just(math.inf))
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    str | None: st.none() | TEXTS,
    int: COUNTS,
    float: NUMBERS,
    float | None: st.none() | NUMBERS,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(TEXTS, max_size=2).map(tuple),
    dict[str, str]: st.dictionaries(TEXTS, TEXTS, max_size=2),
    dict[str, float]: st.dictionaries(TEXTS, NUMBERS, max_size=2),
    dict[str, int]: st.dictionaries(TEXTS, COUNTS, max_size=2),
    Percentiles: st.dictionaries(st.sampled_from([*NAMES.values()]), PERCENTILES, max_size=2).map(Percentiles),
    dict[str, Together]: st.dictionaries(TEXTS, st.builds(Together, NUMBERS, st.just(Percentiles())), max_size=2),
    Histogram: st.dictionaries(st.integers(0, 40_000), st.integers(1, 10**9), max_size=4).map(Histogram),
    Stage: st.builds(Stage, TEXTS, users=st.integers(1, 10**6), duration=st.just("9s"), measured=st.booleans()),
}


def some(noun: Any, /, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any value of a noun; `given` is for fields whose type does not say what they may hold."""
    hints = get_type_hints(noun)
    guessed = {field.name: BY_TYPE[hints[field.name]] for field in fields(noun) if field.name not in given}
    return st.builds(noun, **guessed, **given)


def few(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


ENDPOINTS = some(Summary, endpoints=st.just({}))
ARRIVALS = st.none() | some(ArrivalRecord)
SUMMARIES = some(Summary, endpoints=st.dictionaries(TEXTS, ENDPOINTS, max_size=2))
TRIALS = some(
    Trial,
    stages=few(some(StageRecord, summary=SUMMARIES, generator=some(SelfCheck), arrivals=ARRIVALS)),
    generator=some(GeneratorRecord),
    windows=few(some(Window), 3),
    samples=few(some(Sample)),
    pulses=few(some(Pulse)),
    events=few(some(ServiceEvent)),
)
CAPACITIES = st.none() | some(
    Capacity,
    by=st.sampled_from(["users", "rate"]),
    steps=few(some(Step, status=st.sampled_from(["held", "broke", "unclear"]))),
)
SERVICES = some(ServiceRecord, kind=st.sampled_from(["docker", "compose", "process", "url"]))
LOADS = st.lists(
    some(
        LoadRecord,
        service=SERVICES,
        trials=few(TRIALS),
        again=few(TRIALS, 1),
        against=few(TRIALS, 1),
        capacity=CAPACITIES,
    ),
    max_size=2,
    unique_by=lambda made: made.key,
)
VERDICTS = some(
    Verdict,
    status=st.sampled_from(["ok", "broken", "regressed", "improved", "no_baseline", "inconclusive"]),
    change=st.none() | some(Change),
)
TESTS = few(
    some(
        TestRecord,
        outcome=st.sampled_from(["passed", "failed", "error", "skipped", "xfailed"]),
        verdicts=few(VERDICTS),
        service_logs=few(some(LogSlice)),
    )
)
RUNS = some(
    RunRecord,
    accepted=few(some(Acceptance, commit=st.none()), 1),
    started_at=st.datetimes().map(lambda moment: moment.isoformat()),
    loads=LOADS.map(tuple),
    tests=TESTS,
    commit=st.none() | some(Commit),
)


@settings(deadline=None)
@given(RUNS)
def test_a_record_and_its_series_together_give_back_the_run(record: RunRecord) -> None:
    kept = decode(encode(record), "a.json")
    assert with_series(kept, encode_series(record)) == record


def test_a_record_says_its_format_first_and_holds_no_seconds() -> None:
    record = run()
    data = encode(record)
    assert data.startswith(b'{"format":1,')
    assert data.endswith(b"}\n")
    bare = tuple(
        replace(load, trials=(replace(load.trials[0], windows=(), samples=(), pulses=()),)) for load in record.loads
    )
    assert decode(data, "a.json") == replace(record, loads=bare)


def test_the_same_run_gives_the_same_bytes() -> None:
    assert encode_series(run()) == encode_series(run())


def test_a_second_of_an_endpoint_takes_under_150_bytes() -> None:
    record = run()
    seconds = sum(len(trial.windows) for load in record.loads for trial in load.trials)
    assert len(encode_series(record)) / seconds < 150


def test_what_json_has_no_word_for_comes_back() -> None:
    record = replace(run(loads=()), ci_url="lone \ud800 half", duration_s=float("nan"))
    kept = decode(encode(record), "a.json")
    assert kept.ci_url == record.ci_url
    assert kept.duration_s != kept.duration_s


def test_a_field_from_later_does_no_harm() -> None:
    plain = {**json.loads(encode(run())), "weather": "fine"}
    assert decode(json.dumps(plain).encode(), "a.json").id == run().id


def test_a_newer_record_is_refused_by_name() -> None:
    with pytest.raises(HistoryError) as error:
        decode(b'{"format": 2, "id": "x"}', ".loadperf/runs/a.json")
    assert str(error.value) == (
        ".loadperf/runs/a.json was written by a newer pytest-loadperf (format 2, this one reads up to 1); "
        "upgrade pytest-loadperf to read it"
    )


GARBAGE = {
    "empty": (b"", "Expecting value: line 1 column 1 (char 0)"),
    "a merge conflict": (b"<<<<<<< HEAD\n{}", "Expecting value: line 1 column 1 (char 0)"),
    "not text": (b"\xc3\x28", "'utf-8' codec can't decode"),
    "another document": (b"[]", "it has no format version"),
    "another object": (b"{}", "it has no format version"),
    "a format that is no number": (b'{"format": "1"}', "it has no format version"),
    "nothing but a format": (
        b'{"format": 1}',
        "this is not a RunRecord: TypeError: RunRecord.__init__() missing",
    ),
    "another type": (
        encode(run()).replace(b'"tests":[', b'"tests":7,"also":['),
        "this is not a RunRecord: TypeError: expected a list, got int",
    ),
    "nested too deep": (b"[" * 100_000, "RecursionError: "),
    "no such moment": (encode(run()).replace(b"2026-09-01T", b"2026-99-01T"), "month must be in 1..12"),
    "no such stage": (encode(run()).replace(b'"users":10', b'"users":-1'), "Stage('warm-up'): users is -1"),
    "a huge number": (
        encode(run()).replace(b'"duration_s":38.2', b'"duration_s":1' + b"0" * 400),
        "OverflowError: int too large to convert to float",
    ),
}


@pytest.mark.parametrize(("data", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(HistoryError) as error:
        decode(data, "a.json")
    assert str(error.value).startswith(f"a.json is no record of pytest-loadperf: {reason}")
    assert "\n" not in str(error.value)


JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just([]) | st.just({}) | st.just([{}])
)


def places(plain: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    if not isinstance(plain, dict | list):
        return []
    keys = list(plain) if isinstance(plain, dict) else list(range(len(plain)))
    return [(plain, key) for key in keys] + [place for key in keys for place in places(plain[key])]


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_refused_by_name(data: st.DataObject) -> None:
    plain = json.loads(encode(run(loads=[load("rush_hour", trial(answers=0.01))])))
    container, key = data.draw(st.sampled_from(places(plain)))
    container[key] = data.draw(JUNK)
    try:
        decode(json.dumps(plain).encode(), "a.json")
    except HistoryError as error:
        assert str(error).startswith("a.json ")  # noqa: PT017 - most damage is refused, some of it does no harm


DAMAGED = {
    "empty": (b"", "can't be read: Expecting value"),
    "not compressed": (b"no gzip", "can't be read: Not a gzipped file"),
    "cut short": (encode_series(run())[:-20], "can't be read: EOFError: Compressed file ended"),
    "another document": (gzip.compress(b"[]"), "can't be read: it has no format version"),
    "nothing but a format": (gzip.compress(b'{"format":1}'), "can't be read: KeyError: 'run'"),
    "a newer format": (gzip.compress(b'{"format":9}'), "was written by a newer pytest-loadperf (format 9"),
    "of another run": (encode_series(run(1)), f"can't be read: it belongs to run {run(1).id}"),
    "of more trials": (
        encode_series(run(loads=[load("rush_hour", trial(), trial())])),
        "can't be read: it holds 2 trials of tests/test_search_perf.py::rush_hour, the record 1",
    ),
}


@pytest.mark.parametrize(("data", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_series_is_refused_by_its_run(data: bytes, reason: str) -> None:
    with pytest.raises(HistoryError) as error:
        with_series(run(), data)
    assert str(error.value).startswith(f"the series file of run {run().id} {reason}")


def test_a_load_without_a_series_stays_as_it_is() -> None:
    record = run(loads=[load("a", trial(series=False)), load("b", trial(series=False))])
    assert with_series(record, encode_series(replace(record, loads=record.loads[:1]))) == record
