"""The history as one pytest run sees it: read once, when something first asks."""

from __future__ import annotations

from functools import cached_property

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history import environment
from pytest_loadperf.history.store import Store, open_store
from pytest_loadperf.judge import baseline
from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.plan import Crew, Stage
from pytest_loadperf.records import Acceptance, Commit, LoadRecord, RunRecord, ServiceRecord
from pytest_loadperf.settings import LoadperfConfig


class Memory:
    """Records, commit and machine of this run."""

    def __init__(self, settings: LoadperfConfig) -> None:
        self._settings = settings
        self.warnings: list[str] = []  # records that could not be read
        self._baselines: dict[str, Baseline] = {}  # by load

    @cached_property
    def store(self) -> Store:
        """Where the runs are kept; raises HistoryError."""
        return open_store(self._settings.history, self._settings.rootpath)

    @cached_property
    def records(self) -> list[RunRecord]:
        """Every readable run, oldest first."""
        return self.store.records(self.warnings.append)

    @cached_property
    def accepted(self) -> tuple[Acceptance, ...]:
        """Every change that was accepted as the new normal, oldest first."""
        return tuple(self.store.acceptances(self.warnings.append))

    @cached_property
    def commit(self) -> Commit | None:
        """The state of the code under test."""
        return environment.commit(self._settings.rootpath, self._settings.history)

    @cached_property
    def machine(self) -> dict[str, str]:
        """What this machine is."""
        return environment.machine()

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of Python, pytest, Locust and this plugin."""
        return environment.versions()

    def fingerprint(
        self,
        stages: tuple[Stage, ...],
        shape: str,
        service: ServiceRecord,
        users: tuple[str, ...],
        crew: Crew | None = None,
        pairs: int | None = None,
    ) -> dict[str, str]:
        """Which runs a load may be compared with; one side by side, in so many pairs, not with ordinary ones."""
        own = environment.load_fingerprint(self.machine, self.versions, stages, shape, service, users, crew)
        return own if pairs is None else {**own, "against": f"{pairs} pairs"}

    def check(self) -> None:
        """Raise HistoryError, before anything is loaded, for a place that can't be written or an unknown baseline."""
        if self._settings.save:
            self.store.check_writable()
        if self._settings.baseline is not None:
            baseline.named(self.records, self._settings.baseline)

    def baseline(self, load: LoadRecord) -> Baseline:
        """The comparable runs of a load, or why there are none; read once for each load."""
        if load.key not in self._baselines:
            try:
                found = baseline.find(self.records, load, self.commit, self._settings.baseline, self.accepted)
            except HistoryError as error:
                found = Baseline(why_empty=str(error))
            self._baselines[load.key] = found
        return self._baselines[load.key]
