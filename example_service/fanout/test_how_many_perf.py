"""How many requests at once does it stand? Users, who never wait, are added until it is too slow.

`pytest --loadperf --loadperf-scale 1 example_service/fanout/test_how_many_perf.py`
"""

import pytest
from test_fanout_perf import Asker

from pytest_loadperf import LoadResult, capacity

most = capacity(Asker, until="p95 < 3s and failure_rate < 0.1%", start=50, step="10s")


@pytest.mark.loadperf("capacity.users >= 200")
def test_it_stands_two_hundred(most: LoadResult) -> None:
    if most.capacity.limited:
        pytest.skip(f"it was not the service that stopped: {most.capacity.limited}")
