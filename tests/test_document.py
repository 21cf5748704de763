"""The JSON document of a run, and what docs/json.md says about it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import records

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.percentiles import Percentile, Percentiles
from pytest_loadperf.model import ArrivalRecord, ServiceEvent, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import Capacity, Change, LoadRecord, RunRecord, Step
from pytest_loadperf.report.document import document, listed, write
from pytest_loadperf.result import LoadResult

DOCS = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
KINDS: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \|.*$", re.MULTILINE)
LINK = re.compile(r"\[(\w+)\]\(#\1\)")


class Documented:
    """Which keys there are in each section of the page, and of which type."""

    def __init__(self, page: str) -> None:
        parts = re.split(r"^## (\w+)$", page, flags=re.MULTILINE)[1:]
        self._texts = dict(zip(parts[::2], parts[1::2], strict=True))
        self.sections = set(self._texts)
        self.seen: set[str] = set()

    def keys(self, section: str) -> dict[str, str]:
        """Its own, and those of the section that its first lines refer to."""
        self.seen.add(section)
        text = self._texts[section]
        inherited = LINK.findall(text.partition("\n| key |")[0])
        found = {key: kind for other in inherited for key, kind in self.keys(other).items()}
        return found | {key: kind for cell, kind in ROW.findall(text) for key in re.findall("`([^`]+)`", cell)}

    def check(self, section: str, told: Any) -> None:
        """Assert that an object has the keys of its section, all of them and no others, and each its type."""
        keys = self.keys(section)
        assert set(told) == set(keys), section
        for key, kind in keys.items():
            self._check(kind, told[key], f"{section}.{key}")

    def _check(self, kind: str, told: Any, where: str) -> None:
        inner = kind.removesuffix(" or null")
        if told is None:
            assert inner != kind, where
        elif inner.startswith("list of "):
            assert isinstance(told, list), where
            for each in told:
                self._check(inner.removeprefix("list of "), each, where)
        elif inner.endswith(" by name"):
            assert isinstance(told, dict), where
            for each in told.values():
                self._check(inner.removesuffix(" by name"), each, where)
        elif link := LINK.fullmatch(inner):
            self.check(link[1], told)
        else:
            assert isinstance(told, KINDS[inner]), where
            assert inner == "boolean" or not isinstance(told, bool), where


def open_model() -> Trial:
    stage = Stage("rush", rate="20/s", duration="10s", max_users=50)
    trial = records.trial([replace(records.STAGES[1], duration="10s")], failing=0.05)
    (record,) = trial.stages
    late = Histogram()
    late.add(*[0.1] * 150, *[12.0] * 48)
    arrivals = ArrivalRecord(due=200, started=198, waiting=2, lasted_s=10.0, late=late)
    happened = (ServiceEvent(2.5, "replica 2", "die", "137"),)
    return replace(trial, stages=(replace(record, stage=stage, arrivals=arrivals),), events=happened)


def rich() -> RunRecord:
    """A run that has of everything something."""
    generator = replace(records.trial().generator, user_errors={"ValueError: no": 3}, lost_workers=("worker 2",))
    load = replace(
        records.load("rush_hour", records.trial(seed=1), replace(records.trial(seed=2), generator=generator)),
        aborted="failure_rate > 50% for 10s",
        faults=("a listener raised",),
        again=(records.trial(seed=3),),
        against=(records.trial(seed=4), records.trial(seed=5)),
        against_name="git:main (ab12cd3)",
        control_ms=3.5,
    )
    change = Change("p95", 124.0, 100.0, 90.0, 110.0, 112.0, runs=12, suspect=True, again=123.0)
    verdicts = (
        replace(records.verdict(status="regressed", baseline="12 runs", reason="+24.0%"), change=change),
        replace(records.verdict("failure_rate < baseline"), advisory=True),
    )
    test = records.judged("test_rush_hour", "failed", *verdicts, message="E   broken threshold")
    step = Step(20, "broke", "p95 < 100ms: 124 ms", 400, 39.0, 80.0, 124.0, 150.0, 0.0)
    most = replace(records.load("most"), capacity=Capacity("users", "p95 < 100ms", 10, (step,)))
    return records.run(0, [load, records.load("calm", open_model()), most], [test])


def idle() -> RunRecord:
    """A run of which little is known."""
    load = replace(records.load("idle"), trials=())
    return replace(records.run(1, [load], []), commit=None, ci_url=None)


@pytest.fixture(scope="module")
def told() -> Any:
    return document(rich())


def test_the_page_says_of_every_key_what_it_is_and_of_no_other() -> None:
    documented = Documented(DOCS)
    for told in json.loads(listed([rich(), idle()])):
        documented.check("run", told)
    assert documented.seen == documented.sections


def test_the_first_thing_it_tells_is_the_format(told: Any) -> None:
    assert next(iter(told.items())) == ("format", 1)


def test_numbers_are_those_that_a_test_sees(told: Any) -> None:
    load = rich().loads[0]
    result, (seen, *_) = LoadResult.of(load), told["loads"]
    assert (seen["requests"], seen["p95_ms"], seen["p99.9_ms"]) == (
        *(result.requests, result.p95_ms),
        result.percentile_ms(99.9),
    )
    assert seen["endpoints"]["GET /search"]["p50_ms"] == result["GET /search"].p50_ms
    assert seen["stages"]["peak"]["failure_rate"] == result.stages["peak"].failure_rate
    assert tuple(seen["intervals"]["p95"].values()) == result.interval_ms(95)
    assert [trial["p95_ms"] for trial in seen["trials"]] == [trial.p95_ms for trial in result.trials]
    assert (seen["cpu_percent"], seen["memory_bytes"] / 1e6) == (result.service.cpu_percent, result.service.memory_mb)
    assert seen["generator"]["user_errors"] == {"ValueError: no": 3}
    for other in ("again", "against"):
        own = LoadResult.of(replace(load, trials=getattr(load, other)))
        assert (seen[other]["p95_ms"], seen[other]["requests"]) == (own.p95_ms, own.requests)


def test_what_it_came_to_is_told_with_each_verdict_and_each_load(told: Any) -> None:
    (test,) = told["tests"]
    asked, advice = test["verdicts"]
    assert [each["verdict"] for each in told["loads"]] == ["regressed", None, None]
    assert (asked["breach"], asked["change"]["centre"], asked["change"]["paired"]) == (True, 100.0, None)
    assert (advice["breach"], advice["advisory"], advice["change"]) == (False, True, None)
    assert told["loads"][0]["doubts"][0].startswith("trial 2: worker 2; ")


def test_a_rate_is_told_with_its_arrivals(told: Any) -> None:
    stage = told["loads"][1]["stages"]["rush"]
    unset = dict.fromkeys(("users", "spawn_rate", "requests"))
    assert stage["asked"] == {**unset, "rate": "20/s", "max_users": 50, "duration_s": 10.0}
    assert stage["arrivals"] == {
        **{"due": 200, "started": 198, "waiting": 2, "rate": 20.0, "achieved_rate": 19.8},
        **{"late_p50_ms": 0.1, "late_p99_ms": pytest.approx(12, rel=0.001)},
    }


def test_percentiles_that_the_record_knows_are_not_reckoned_again() -> None:
    load = records.load("calm", open_model())
    (trial,) = load.trials
    (stage,) = trial.stages
    known = {name: Percentile(float(name), 1.0, math.inf) for name in ("50", "75", "90", "95", "99", "99.9")}
    summary = replace(stage.summary, percentiles=Percentiles(known))
    (told,) = document(records.run(0, [of(load, replace(trial, stages=(replace(stage, summary=summary),)))]))["loads"]
    assert [told[f"p{name}_ms"] for name in known] == [50.0, 75.0, 90.0, 95.0, 99.0, 99.9]
    assert told["intervals"]["p99.9"] == {"low_ms": 1.0, "high_ms": None}


def of(load: LoadRecord, *trials: Trial) -> LoadRecord:
    return replace(load, trials=trials)


def test_a_file_holds_the_document(tmp_path: Path) -> None:
    write(idle(), tmp_path / "new" / "run.json")
    assert json.loads((tmp_path / "new" / "run.json").read_text()) == document(idle())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.json"]


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(LoadperfError) as error:
        write(idle(), tmp_path / "taken" / "run.json")
    assert str(error.value) == (
        f"the JSON document could not be written to {tmp_path}/taken/run.json: File exists; make it writable, or give "
        "another path"
    )
