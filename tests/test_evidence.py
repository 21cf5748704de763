"""What a service wrote around the second in which a threshold broke most."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest
import records
from owning import asked
from service_asking import soon, told

from pytest_loadperf.evidence import log_around
from pytest_loadperf.judge.moment import Moment, worst_moment
from pytest_loadperf.model import Trial, Window
from pytest_loadperf.plan import Stage
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.log import LogFile, LogLine, around

STAGES = (Stage("warm-up", users=1, duration="1s", measured=False), Stage("rush", users=1, duration="4s"))


def at(second: int, *times: float, failed: int = 0, endpoint: str = "/", stage: int = 1) -> Window:
    return replace(records.window(second, stage, "GET", endpoint, 1, times), failures=failed)


def trial(*windows: Window, began: float = 0.0) -> Trial:
    moment = datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds")
    return replace(records.trial(STAGES, series=False), windows=windows, started_at=moment)


LOAD = records.load(
    "rush_hour",
    trial(at(0, 900.0, failed=1, stage=0), at(1, 10.0, 90.0), at(2, 20.0, 80.0, failed=1)),
    trial(at(1, 50.0, endpoint="/slow"), at(2, 60.0), at(3, 5.0, 5.0, 5.0, failed=2)),
)


@pytest.mark.parametrize(
    ("threshold", "moment"),
    [
        ("failure_rate < 1%", Moment(1, 3, "2 of 3 requests failed")),
        ("the load runs as asked", Moment(1, 3, "2 of 3 requests failed")),
        ("rps > 100/s", Moment(1, 3, "2 of 3 requests failed")),
        ("max < 1ms", Moment(0, 1, "max was 90 ms")),
        ("p50 < 1ms", Moment(1, 2, "p50 was 60 ms")),
        ("p95[/slow] < 1ms", Moment(1, 1, "p95 was 50 ms")),
        ("p95[GET /slow] < baseline", Moment(1, 1, "p95 was 50 ms")),
        ("failures[/slow] < 1", Moment(1, 1, "p95 was 50 ms")),
        ("failures@warm-up < 1", Moment(0, 0, "1 of 1 requests failed")),
        ("p95@nowhere < 1ms", None),
    ],
)
def test_a_threshold_breaks_most_in_one_second(threshold: str, moment: Moment | None) -> None:
    assert worst_moment(LOAD, records.verdict(threshold, "broken")) == moment


def test_of_pairs_it_is_a_second_of_the_last_whose_service_is_still_there() -> None:
    beside = replace(LOAD, against=LOAD.trials)
    assert worst_moment(beside, records.verdict("max < 1ms")) == Moment(1, 2, "max was 60 ms")


def test_a_second_in_which_more_failed_is_worse_than_a_stretch_in_which_more_did_in_all() -> None:
    long = replace(at(0, *[10.0] * 8, failed=8), seconds=8)
    found = worst_moment(records.load("a", trial(long, at(8, 10.0, 10.0, failed=2))), records.verdict("failures < 1"))
    assert found == Moment(0, 8, "2 of 2 requests failed")
    assert worst_moment(records.load("a", trial(long)), records.verdict("failures < 1")) == Moment(
        0, 0, "8 of 8 requests failed", seconds=8
    )


def test_what_fits_around_a_moment_begins_a_little_before_it() -> None:
    lines = [LogLine(float(second), f"line {second}") for second in range(10)]

    def shown(moment: float, longest: int) -> str:
        return "".join(line.text[-1] for line in around(lines, moment, longest))

    assert shown(5, 1000) == "0123456789"
    assert shown(5, 8 * 4) == "4567"
    assert shown(8, 8 * 4) == "6789"
    assert shown(99, 8 * 4) == "6789"
    assert shown(0, 8 * 4) == "0123"
    assert shown(5, 3) == ""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "log").open("wb+", buffering=0) as opened:
        yield opened


def test_a_log_without_times_is_told_apart_by_its_marks(file: IO[bytes]) -> None:
    log = LogFile(file)
    file.write(b"early\nhal")
    log.mark()
    marked = time.time()
    file.write(b"f\nkey one-\nlate\n")

    (early, half, key, late) = log.between(0, time.time(), ["one-\ntwo-"])
    assert [line.text for line in (early, half, key, late)] == ["early", "half", "key ***", "late"]
    assert early.at == half.at < key.at == late.at < marked
    assert [line.text for line in log.between(marked, marked, [])] == ["key one-", "late"]  # no half of a line
    assert [line.text for line in log.between(0, half.at, [])] == []
    assert log.tail(2, ["late"]) == "key one-\n***"


def test_a_log_that_is_longer_than_is_read_is_shown_from_the_second_that_matters() -> None:
    with start(asked("process"), say=print) as service:
        for letter in "xxxxxxxxxxxxxxxxxxxy":
            told(f"{service.url}/{letter * 60_000}")
        assert soon(lambda: "y" * 1000 in service.log_tail())  # it writes a line after it has answered
        time.sleep(1 - time.time() % 1)  # what comes now is of one second of the clock
        service.look()
        began = time.time() - 1.0
        told(f"{service.url}/worst")
        assert soon(lambda: "/worst" in service.log_tail())
        load = records.load("rush_hour", trial(at(1, 50.0), began=began))
        log = log_around(records.verdict("p95 < 1ms"), load, service, ["worst"])

    assert log is not None
    assert [line.split('"')[1] for line in log.text.splitlines()] == ["GET /*** HTTP/1.1"]
    clock = f"{datetime.fromtimestamp(began + 1, UTC):%H:%M:%S}"
    assert log.when == f"at {clock} UTC; at {clock}, second 1 of the load, p95 was 50 ms"


def test_of_a_service_that_fell_silent_all_that_it_wrote_before_is_shown() -> None:
    with start(asked("process"), say=print) as service:
        service.look()
        began = time.time()
        told(f"{service.url}/before")
        load = records.load("rush_hour", trial(replace(at(3, 50.0), seconds=4), began=began))
        log = log_around(records.verdict("p95 < 1ms"), load, service, [])
    assert log is not None
    assert "GET /before" in log.text
    assert "seconds 3 to 6 of the load" in log.when


def test_where_nothing_was_written_meanwhile_the_end_of_the_log_is_shown() -> None:
    with start(asked("process"), say=print) as service:
        service.look()
        began = time.time() + 60
        log = log_around(records.verdict(), records.load("rush_hour", trial(at(1, 50.0), began=began)), service, [])
    assert log is not None
    assert (log.text.splitlines()[0], log.when) == ("telling nothing", "")
