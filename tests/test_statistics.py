from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.judge.statistics import failure_rate_bound, mean_of, requests_needed


@pytest.mark.parametrize(
    ("failures", "requests", "bound"),
    [(0, 50, 0.0582), (0, 299, 0.00997), (0, 298, 0.01), (5, 50, 0.1988), (50, 50, 1.0), (0, 0, 1.0), (0, 1, 0.95)],
)
def test_the_bound_is_the_rate_that_so_few_failures_do_not_exclude(failures: int, requests: int, bound: float) -> None:
    assert failure_rate_bound(failures, requests) == pytest.approx(bound, abs=5e-5)


def seen_at_most(failures: int, requests: int, rate: float) -> float:
    """How likely so few failures are at this rate."""
    return sum(math.comb(requests, n) * rate**n * (1 - rate) ** (requests - n) for n in range(failures + 1))


@given(st.integers(1, 200), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_at_the_bound_so_few_failures_are_as_unlikely_as_asked(
    requests: int, data: st.DataObject, confidence: float
) -> None:
    failures = data.draw(st.integers(0, requests - 1))
    bound = failure_rate_bound(failures, requests, confidence=confidence)
    assert seen_at_most(failures, requests, bound) == pytest.approx(1 - confidence, rel=1e-6)


@pytest.mark.parametrize(("failures", "requests"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(failures: int, requests: int) -> None:
    with pytest.raises(ValueError, match=rf"^{failures} failures of 5 requests: expected 0 to 5$"):
        failure_rate_bound(failures, requests)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"^confidence is {confidence}; expected more than 0 and less than 1$"):
        failure_rate_bound(0, 50, confidence=confidence)


@pytest.mark.parametrize(("share", "requests"), [(0.5, 5), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_so_many_good_requests_show_that_nearly_all_are(share: float, requests: int) -> None:
    assert requests_needed(share) == requests
    assert failure_rate_bound(0, requests) <= 1 - share + 1e-12 < failure_rate_bound(0, requests - 1)


def test_a_mean_of_few_values_is_their_mean_and_one_of_many_is_not_moved_by_odd_ones() -> None:
    few = mean_of([1.0, 2.0, 3.0, 4.0, 5.0], 0.0)
    assert few.centre == 3.0
    # the standard error of the mean, as nothing is drawn towards a prior of 0 that would make it smaller
    assert few.error == pytest.approx(math.sqrt(2.5 / 5))
    steady = [10.0 + number / 100 for number in range(8)]
    odd = mean_of([*steady, -50.0, 90.0], 0.0, trimmed=True)
    assert odd.centre == pytest.approx(10.035)
    assert odd.error < 0.02
    assert mean_of([*steady, 70.0, 90.0], 0.0, trimmed=True).error < 0.03  # two of ten, on one side
    assert mean_of([*steady[:7], 70.0, 80.0, 90.0], 0.0, trimmed=True).error > 1  # three are not odd any more
    assert mean_of([*steady, 70.0, 90.0], 0.0).error > 1  # which counts where it is not trimmed
    assert mean_of([1.0] * 5, 0.0, own_error=0.3).error == pytest.approx(0.3 / math.sqrt(5))
    assert mean_of([7.0], 0.5).centre == 7.0
