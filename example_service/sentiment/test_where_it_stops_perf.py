"""Where does the API stop, and why? Users are added until it is too slow; it takes about two minutes."""

import pytest
from test_sentiment_perf import Reader

from pytest_loadperf import LoadResult, capacity

most = capacity(Reader, until="p95 < 150ms and failure_rate < 1%", start=20, step="5s")


@pytest.mark.loadperf("capacity.users >= 40", "capacity.rps > 100/s")
def test_it_stops_where_its_cpu_does(most: LoadResult) -> None:
    busiest = max(step.cpu_percent for step in most.capacity.steps)
    assert busiest > 80  # of the one CPU that it may use: with more of that, or more replicas, it would go further
