from __future__ import annotations

from dataclasses import replace

import pytest
import records

from pytest_loadperf.history.record import decode, encode
from pytest_loadperf.measure.histogram import Histogram
from pytest_loadperf.measure.summary import measured, summary_of, together
from pytest_loadperf.records import LoadRecord


def test_the_numbers_of_one_stage_are_its_own() -> None:
    load = records.load()
    summary, found = load.trials[0].stages[1].summary, measured(load, "rush")
    for name in ("requests", "failures", "duration_s", "p95_ms", "min_ms", "max_ms", "bytes", "status_codes", "errors"):
        assert getattr(found, name) == getattr(summary, name), name


@pytest.fixture
def several() -> LoadRecord:
    """A load of two measured stages in each of two trials."""
    return records.load("rush_hour", records.trial(seed=1), records.trial(seed=2, slow=1.5))


def test_several_stages_are_put_together_without_their_endpoints(several: LoadRecord) -> None:
    found = measured(several)
    assert found.endpoints == {}
    assert found.latencies.total == found.requests


def test_several_stages_together_are_known_without_their_histograms(
    several: LoadRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckoned = told(several)
    (load,) = decode(encode(records.run(loads=(together(several),))), "a.json").loads
    monkeypatch.setattr(Histogram, "buckets_at", pytest.fail)
    assert told(load) == reckoned


def told(load: LoadRecord) -> list[tuple[float, tuple[float, float]]]:
    """The usual percentiles of all, in both ways, and of an endpoint."""
    whole = summary_of(load)
    assert whole is not None
    summaries = [whole, measured(load), measured(load, endpoint="GET /search"), whole.endpoints["GET /search"]]
    return [(each.percentile_ms(p), each.interval_ms(p)) for each in summaries for p in (50, 75, 90, 95, 99, 99.9)]


def test_what_is_known_of_several_stages_is_not_said_of_other_trials(several: LoadRecord) -> None:
    one = replace(together(several), trials=several.trials[:1])
    assert measured(one).p95_ms == measured(replace(several, trials=several.trials[:1])).p95_ms
    assert measured(one, "rush").p95_ms != measured(together(several)).p95_ms


def test_of_one_measured_stage_nothing_needs_to_be_known() -> None:
    alone = records.load("calm", records.trial(records.STAGES[:2]))
    assert together(alone) == alone
