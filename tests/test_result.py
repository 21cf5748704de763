"""What a load fixture gives to tests, of a record."""

from __future__ import annotations

from dataclasses import replace

import records

from pytest_loadperf.model import GeneratorRecord, Sample, Trial
from pytest_loadperf.result import LoadResult


def raising(unfinished_users: int, **user_errors: int) -> Trial:
    return replace(records.trial(series=False), generator=GeneratorRecord(9, unfinished_users, user_errors=user_errors))


def test_what_went_wrong_with_the_users_of_all_trials_is_added_up() -> None:
    used = LoadResult.of(records.load("rush_hour", raising(1, KeyError=2), raising(2, KeyError=3, OSError=1))).generator
    assert used.user_errors == {"KeyError": 5, "OSError": 1}
    assert used.unfinished_users == 3


def test_the_replicas_are_the_most_that_were_there_at_once_in_any_trial() -> None:
    others = [replace(records.trial(), samples=()), replace(records.trial(series=False))]
    samples = tuple(Sample(at_s, replica, 50.0, 1) for at_s, replica in ((1, 0), (2, 0), (2, 1), (3, 1), (3, 2)))
    scaled = replace(records.trial(), samples=samples)
    assert LoadResult.of(records.load("rush_hour", *others, scaled)).service.replicas == 2
    assert LoadResult.of(records.load("rush_hour", *others)).service.replicas == 0
