"""What a load test leaves in JUnit's properties, which most CI services show beside the test."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_loadperf.measure.summary import summary_of
from pytest_loadperf.records import LoadRecord, Verdict


def properties(load: LoadRecord, verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """Name and value of each: the load's numbers, and one per threshold."""
    whole = summary_of(load)
    found = (
        []
        if whole is None
        else [
            ("requests", str(whole.requests)),
            ("failure_rate", f"{whole.failure_rate:.6g}"),
            ("rps", f"{whole.rps:.6g}"),
            ("p50_ms", f"{whole.p50_ms:.6g}"),
            ("p95_ms", f"{whole.p95_ms:.6g}"),
            ("p99_ms", f"{whole.p99_ms:.6g}"),
        ]
    )
    judged = [(f"verdict {verdict.threshold}", f"{verdict.status}: {verdict.observed}") for verdict in verdicts]
    return [(f"loadperf.{load.name}.{name}", value) for name, value in [*found, *judged]]
