"""What one run collects from its test reports, and what it does with that at the end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pytest_loadperf.codec import from_plain
from pytest_loadperf.distribution import ROOM, TOLD, Controller, Worker, ungrouped
from pytest_loadperf.errors import HistoryError, LoadperfError
from pytest_loadperf.folders import sweep_folders
from pytest_loadperf.history import environment
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.interrupts import Interrupts
from pytest_loadperf.judging import FAULTS, Judging
from pytest_loadperf.keeping import Keeping
from pytest_loadperf.loading import Loading
from pytest_loadperf.quiet import Quiet
from pytest_loadperf.records import Acceptance, LoadRecord, LogSlice, RunRecord, TestOutcome, TestRecord, Verdict
from pytest_loadperf.report.calibration import calibration_lines
from pytest_loadperf.report.progress import Progress
from pytest_loadperf.report.terminal import Line, summary_lines
from pytest_loadperf.service.worktree import unlist
from pytest_loadperf.settings import LoadperfConfig

_EACH = (
    "--loadperf does not go with --dist each, which runs every load once on each worker: one record would hold several "
    "loads of the same name. Run `pytest --loadperf` once for each Python or machine, or use another --dist"
)


def register(config: pytest.Config, settings: LoadperfConfig) -> None:
    """Register the plugins of this process: a plain run has both, xdist's controller and workers one each."""
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    room = Path(worker_input[ROOM]) if worker_input is not None else None
    memory, progress = Memory(settings), Progress(config, room.with_suffix(TOLD) if room else None)
    interrupts = Interrupts(progress.say)
    interrupts.install()
    config.add_cleanup(interrupts.restore)
    distributed = worker_input is None and _distributed(config)
    if distributed and config.getoption("dist") == "each":
        raise pytest.UsageError(_EACH)
    manager = config.pluginmanager
    manager.register(interrupts, "loadperf-interrupts")
    if not distributed:
        loading = Loading(settings, memory, progress, Quiet(room) if room else None)
        manager.register(loading, "loadperf-loading")
        manager.register(Judging(config, settings, memory, loading), "loadperf-judging")
    if worker_input is not None:
        manager.register(Worker(worker_input), "loadperf-worker")
    else:
        manager.register(Session(config, settings, memory, progress), "loadperf-session")
    if distributed:
        manager.register(Controller(progress), "loadperf-controller")


def _distributed(config: pytest.Config) -> bool:
    """Whether xdist runs the tests in workers."""
    if config.getoption("collectonly"):
        return False
    return bool(config.getoption("dist", "no") != "no" and config.getoption("tx", None))


class _Test:
    """What the reports of one test told."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        self.outcome: TestOutcome = "skipped"
        self.loads: list[str] = []
        self.verdicts: list[Verdict] = []
        self.message = ""
        self.service_logs: list[LogSlice] = []

    def add(self, report: pytest.TestReport, carried: dict[str, Any]) -> None:
        """One phase of the test."""
        self.loads += carried.get("used", [])
        self.verdicts += [from_plain(Verdict, plain) for plain in carried.get("verdicts", [])]
        self.service_logs += [from_plain(LogSlice, plain) for plain in carried.get("logs", [])]
        if report.skipped and hasattr(report, "wasxfail"):
            self.outcome = "xfailed"
        elif report.failed:
            self.outcome = "failed" if report.when == "call" else "error"
            self.message = carried.get("message", "")
        elif report.when == "call":
            self.outcome = "skipped" if report.skipped else "passed"

    def record(self) -> TestRecord:
        """For the run's record."""
        loads, verdicts, logs = tuple(self.loads), tuple(self.verdicts), tuple(self.service_logs)
        return TestRecord(self.nodeid, self.outcome, loads, verdicts, self.message, logs)


class Session:
    """Collects loads and verdicts from the reports; at the end keeps the record, writes the reports, tells the user."""

    def __init__(self, config: pytest.Config, settings: LoadperfConfig, memory: Memory, progress: Progress) -> None:
        self._config = config
        self._settings = settings
        self._memory = memory
        self._progress = progress
        self._began = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._loads: list[LoadRecord] = []
        self._tests: dict[str, _Test] = {}
        self._faults: list[str] = []
        self._page_faults: list[str] = []
        self._told: list[Line] = []
        self._interrupted = False

    def pytest_sessionstart(self) -> None:
        """Begin with what runs that were killed have left."""
        try:
            sweep_folders(self._progress.say, unlist)
        except LoadperfError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Every report of a load test carries what was measured since the last one."""
        carried: dict[str, Any] | None = getattr(report, "loadperf", None)
        if carried is None:
            return
        nodeid = ungrouped(report.nodeid)
        if str(report.outcome) == "rerun":  # by a plugin: this attempt does not count
            self._loads = [load for load in self._loads if not load.key.startswith(f"{nodeid}::")]
            self._tests.pop(nodeid, None)
            return
        self._page_faults += carried.get("page_faults", [])
        self._loads += [from_plain(LoadRecord, plain) for plain in carried.get("loads", [])]
        self._tests.setdefault(nodeid, _Test(nodeid)).add(report, carried)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist is done; what it found wrong at collection is a usage error of the whole run."""
        for fault in getattr(node, "workeroutput", {}).get(FAULTS, []):
            if fault not in self._faults:
                self._faults.append(fault)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C or pytest.exit(); under xdist, -x ends the run in this way, too, but with its tests at rest."""
        self._interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    def pytest_internalerror(self) -> None:
        """Something is wrong with pytest or a plugin."""
        self._interrupted = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the record, then write the reports, which show it among the earlier ones.

        That takes time, and comes after pytest has torn down what an interrupt left standing.
        """
        if self._faults:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        if not self._loads and all(test.outcome in ("passed", "skipped") for test in self._tests.values()):
            return
        run, keeping = self._record(), Keeping(self._settings, self._memory)
        history = self._memory_records()
        self._told += summary_lines(run, history, judged=self._settings.unjudged is None)
        if self._settings.calibrate:
            self._told += calibration_lines(run)
        if self._interrupted:
            self._told.append(Line("not saved: the run was interrupted", "yellow"))
        else:
            self._told += keeping.save(run)
        self._told += keeping.report(run, history, self._page_faults)
        if "unsaved" in self._settings.fail_on and not keeping.is_whole and session.exitstatus == pytest.ExitCode.OK:
            self._told.append(Line("the run fails: not all of it could be written (--loadperf-fail-on)", "red"))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._told += [Line(f"history: {text}", "yellow") for text in self._memory.warnings]

    def _record(self) -> RunRecord:
        return RunRecord(
            id=uuid4().hex[:8],
            started_at=self._started_at,
            duration_s=round(time.monotonic() - self._began, 3),
            loads=tuple(self._loads),
            tests=tuple(test.record() for test in self._tests.values()),
            commit=self._memory.commit,
            versions=self._memory.versions,
            machine=self._memory.machine,
            ci_url=environment.ci_url(),
            baseline=self._settings.baseline,
            accepted=self._accepted(),
        )

    def _memory_records(self) -> list[RunRecord]:
        try:
            return self._memory.records
        except HistoryError as error:
            self._told.append(Line(str(error), "red"))
            return []

    def _accepted(self) -> tuple[Acceptance, ...]:
        """Those of this run's loads."""
        keys = {load.key for load in self._loads}
        try:
            return tuple(each for each in self._memory.accepted if keys & set(each.loads))
        except HistoryError:  # which reading the records tells of
            return ()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The faults or the summary."""
        for fault in self._faults:
            terminalreporter.write_line(f"ERROR: {fault}", red=True)
        if self._told:
            terminalreporter.section("loadperf")
            for line in self._told:
                terminalreporter.write_line(line.text, **({line.color: True} if line.color else {}))
