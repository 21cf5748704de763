"""The accounts of several processes as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from pytest_loadperf.generator.protocol import End
from pytest_loadperf.measure.summary import merge_arrivals
from pytest_loadperf.model import ArrivalRecord


def together(ends: Sequence[End], lasted_s: float) -> End:
    """What all of them counted."""
    return End(
        lasted_s=lasted_s,
        requests=sum(end.requests for end in ends),
        failures=sum(end.failures for end in ends),
        locust_requests=sum(end.locust_requests for end in ends),
        locust_failures=sum(end.locust_failures for end in ends),
        unanswered=sum(end.unanswered for end in ends),
        unfinished_users=sum(end.unfinished_users for end in ends),
        unseen_users=sum(end.unseen_users for end in ends),
        faults=tuple(dict.fromkeys(fault for end in ends for fault in end.faults)),
        user_errors=dict(sum((Counter(end.user_errors) for end in ends), Counter[str]())),
        arrivals=tuple(_stage(parts) for parts in zip_longest(*(end.arrivals for end in ends))),
    )


def _stage(parts: Iterable[ArrivalRecord | None]) -> ArrivalRecord | None:
    """The arrivals of a stage, of which each process made a share."""
    made = [part for part in parts if part is not None]
    return merge_arrivals(made, max(part.lasted_s for part in made)) if made else None
