"""What comes from outside is understood or refused in words; LOADPERF_FUZZ=100000 asks for so many cases of each."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from records import ENDPOINTS, load, run, trial
from test_history_record import JUNK, places

from pytest_loadperf import options
from pytest_loadperf.errors import GeneratorError, HistoryError, UsageFault
from pytest_loadperf.generator import wire
from pytest_loadperf.generator.protocol import Reader
from pytest_loadperf.history.record import decode, decode_acceptance, encode, encode_series, with_series
from pytest_loadperf.judge.baseline import find
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.loadspec import AbortRule
from pytest_loadperf.plan import Stage
from pytest_loadperf.quantity import duration_s, size_bytes
from pytest_loadperf.records import RunRecord
from pytest_loadperf.redact import redact
from pytest_loadperf.report import html, locust_csv, markdown
from pytest_loadperf.report.terminal import summary_lines
from pytest_loadperf.search import Search

CASES = int(os.environ.get("LOADPERF_FUZZ", "200"))
many = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(max_examples=max(CASES // 20, 10), deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Parts of what is meant, put together without sense.
MEANT = (
    "p95|p99.9|p0|p100|mean|rps|failures|failure_rate|service.cpu|capacity.users|.|[|]|[GET /x]|@|@rush|<|<=|>|>=|==|"
    "baseline|baseline + 10%|+|-|max(|(|,|)|250ms|1.5|1e9|%|50%|/s|100/s|999999999999999|and|for|10s|0s|ms|1m30s|1GB|"
    "inf|nan|-1|0|²|٣|五|\t|\n|\x00|\u202e|\ud800| "
)
PARTS = st.sampled_from(MEANT.split("|"))
ANY = st.text(st.characters())  # surrogates, too
TEXTS = st.lists(PARTS, max_size=12).map(" ".join) | st.lists(PARTS, max_size=12).map("".join) | st.text()
VALUES = TEXTS | JUNK | st.binary() | st.tuples(TEXTS) | st.decimals() | st.complex_numbers() | st.builds(object)


def understood(read: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What it means, or None where it is refused in words that fit a terminal."""
    try:
        return read(*given, **named)
    except (UsageFault, argparse.ArgumentTypeError) as refused:
        assert str(refused).strip()  # noqa: PT017 # either is right
        assert "Traceback" not in str(refused) or "Traceback" in f"{given}{named}"  # noqa: PT017 # which is quoted
        return None


@many
@given(VALUES)
def test_thresholds(value: Any) -> None:
    if (meant := understood(parse, value)) is not None:
        assert parse(str(meant)) == meant


@many
@given(VALUES)
def test_what_ends_a_load_and_what_a_search_demands(value: Any) -> None:
    understood(AbortRule.parse, value)
    understood(Search.ask, value, "users", 1, None, "10s")
    understood(Search.ask, "p95 < 1s", value, 1, None, "10s")
    understood(Search.ask, "p95 < 1s", "rate", value, value, value)


@many
@given(st.dictionaries(st.sampled_from([each.name for each in fields(Stage)]), VALUES, max_size=6))
def test_stages(values: dict[str, Any]) -> None:
    if (stage := understood(Stage, **values)) is not None:
        assert stage.duration_s > 0
        stage.scaled(0.1)


@many
@given(VALUES)
def test_durations_and_sizes(value: Any) -> None:
    understood(duration_s, value, "it")
    understood(size_bytes, value, "it")


PARSERS = {
    name: getattr(options, name)
    for name in ["backend", "fail_on", "count", "pairs", "control", "against", "address", "_url", "_runs", "_scale"]
}


@pytest.mark.parametrize("name", PARSERS)
@many
@given(text=TEXTS)
@example(text="9" * 5000)
@example(text="٣")
@example(text=":99999999999999999999")
@example(text="http://[::1")
@example(text="http://h:99999999")
def test_options(name: str, text: str) -> None:
    understood(PARSERS[name], text)


SMALL = run(loads=[load("rush_hour", trial(answers=0.02))])
RECORD, SERIES = encode(SMALL), encode_series(SMALL)


@st.composite
def spliced(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some of its bytes are others, or gone, or there twice."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        data[at:end] = draw(st.binary(max_size=20) | st.just(bytes(data[at:end]) * 2))
    return bytes(data)


@many
@given(spliced(RECORD) | st.binary())
def test_records_that_are_damaged(data: bytes) -> None:
    for read in (decode, decode_acceptance):
        with suppress(HistoryError):
            read(data, "a.json")


@many
@given(spliced(SERIES) | st.binary())
def test_seconds_that_are_damaged(data: bytes) -> None:
    with suppress(HistoryError):
        with_series(SMALL, data)


@few
@given(st.data())
def test_a_record_that_is_odd_but_can_be_read_spoils_no_report(data: st.DataObject) -> None:
    plain = json.loads(RECORD)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(plain)))
        container[key] = data.draw(JUNK)
    try:
        odd = decode(json.dumps(plain).encode(), "a.json")
    except HistoryError:
        return
    reported(odd)


def reported(odd: RunRecord) -> None:
    newest = run(1, [load("rush_hour", trial(seed=2))])
    for each in (odd, newest):
        html.render(each, [odd, newest])
        markdown.render(each, [odd, newest])
        summary_lines(each, [odd, newest])
    find([odd], newest.loads[0], newest.commit)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_a_run_that_took_no_time_that_can_be_told_has_a_report(seconds: float) -> None:
    odd = replace(run(0), duration_s=seconds)
    assert "took an unknown time" in html.render(odd, [odd])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("stage", "name"), None),
        (("began_s",), 1e999),
        (("summary", "requests"), -55),
        (("summary", "endpoints", "GET /", "requests"), -55),
    ],
)
def test_oddities_that_spoiled_a_report_once(place: tuple[str, ...], value: object) -> None:
    plain = json.loads(RECORD)
    at = plain["loads"][0]["trials"][0]["stages"][1]
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    reported(decode(json.dumps(plain).encode(), "a.json"))


@many
@given(st.binary() | st.lists(VALUES, max_size=3).map(lambda each: repr(each).encode()), st.booleans())
@example(b"\xff\xff\xff\xff hello", False)
@example(b'["End", {}]', True)
@example(b'["Second", {"at_s": "x"}]', True)
@example(b"[" * 100_000, True)
def test_frames_between_processes(content: bytes, framed: bool) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "wb") as writing:
        if framed:
            writing.write(len(content).to_bytes(4, "big"))
        writing.write(content[:60_000])
        writing.close()
        with suppress(GeneratorError):
            Reader(ours).next(1.0)


@many
@given(
    st.sampled_from([wire.Hello, wire.Told, wire.Over, wire.Broken, wire.Welcome]), JUNK | st.dictionaries(TEXTS, JUNK)
)
def test_what_workers_say(kind: type[Any], content: Any) -> None:
    message = wire.framed(wire.Ready(), "node")
    message.type, message.data = wire._type(kind), content
    with suppress(ValueError):
        wire.read(kind, message)


@few
@given(st.lists(ANY, min_size=3, max_size=3, unique=True))
def test_csv_gives_back_every_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    locust_csv.write([renamed(names)], folder)
    for path in folder.rglob("*_stats.csv"):
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        assert rows[-1]["Name"] == "Aggregated"
        assert len(rows) == len(names) + 1


@few
@given(st.lists(ANY, min_size=3, max_size=3, unique=True))
def test_html_shows_every_name_as_text(names: list[str]) -> None:
    marked = [f"<x9z {name}</x9z><script>x9z()</script>" for name in names]
    page = html.render(run(loads=[renamed(marked)]), [])
    assert "<x9z" not in page
    assert "</x9z" not in page
    assert not re.search(r"<script[^>]*>\s*x9z", page)
    page.encode("utf-8")


def renamed(names: list[str]) -> Any:
    """A load whose endpoints have these names."""
    text = RECORD.decode()
    for (method, old), new in zip(ENDPOINTS, names, strict=True):
        quoted = json.dumps(f"{method} {new}")[1:-1]
        text = text.replace(f'"{method} {old}"', f'"{quoted}"')
    return decode(text.encode(), "a.json").loads[0]


@many
@given(st.text(), st.lists(st.text(min_size=4), max_size=3))
def test_no_secret_stays(text: str, secrets: list[str]) -> None:
    said = redact(text.join(secrets), secrets)
    for secret in secrets:
        assert secret not in said or secret in "***", said
