from __future__ import annotations

import records

from pytest_loadperf.measure.summary import measured


def test_the_numbers_of_a_load_come_without_those_of_its_endpoints() -> None:
    load = records.load()
    assert measured(load).endpoints == {}
    assert measured(load, "rush").endpoints == {}


def test_the_numbers_of_one_stage_are_its_own() -> None:
    load = records.load()
    summary, found = load.trials[0].stages[1].summary, measured(load, "rush")
    for name in ("requests", "failures", "duration_s", "p95_ms", "min_ms", "max_ms", "bytes", "status_codes", "errors"):
        assert getattr(found, name) == getattr(summary, name), name
