"""Where does the API stop, and why? Users are added until it is too slow; it takes about five minutes."""

import pytest
from test_sentiment_perf import Reader

from pytest_loadperf import LoadResult, capacity

most = capacity(Reader, until="p95 < 150ms and failure_rate < 1%", start=20, step="5s")


@pytest.mark.loadperf("capacity.users >= 40", "capacity.rps > 100/s", "service.cpu > 80%")
def test_it_stops_where_its_cpu_does(most: LoadResult) -> None:
    if most.capacity.limited:
        pytest.skip(f"it was not the API that stopped: {most.capacity.limited}")


def test_two_replicas_are_enough_for_so_many_calls(most: LoadResult) -> None:  # the search ran once, for both tests
    plan = most.plan("192,000/h", peak=2)
    assert plan.replicas <= 2, plan  # in words, with all that it assumes
