"""A service that runs already, and that this run neither starts nor looks into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_loadperf.model import Sample
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.service.running import RunningService
from pytest_loadperf.service.spec import UrlSpec


class UrlService(RunningService):
    """An address; whether it may be loaded is the host guard's to say."""

    def __init__(self, spec: UrlSpec) -> None:
        self.urls = (spec.url.rstrip("/"),)
        self.record = ServiceRecord(kind="url", name=spec.name, backend="url")

    def check(self) -> None:
        """Nothing to see from here: requests that fail tell."""

    def log_tail(self, lines: int = 50) -> str:  # noqa: ARG002 # the interface's
        """Its log is elsewhere."""
        return ""

    @contextmanager
    def sampling(self, began: float) -> Iterator[list[Sample]]:  # noqa: ARG002 # the interface's
        """Its machine is elsewhere: no samples."""
        yield []
