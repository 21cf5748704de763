"""Thresholds of marked tests: read when tests are collected, judged when a test has run."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_loadperf.distribution import ungrouped
from pytest_loadperf.errors import HistoryError, LoadperfError, ThresholdBroken, UsageFault
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.judge.baseline import Baseline
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.judge.thresholds import Threshold, parse
from pytest_loadperf.judge.verdicts import advised, judge
from pytest_loadperf.loading import THRESHOLDS, Loading, asked
from pytest_loadperf.records import Verdict
from pytest_loadperf.redact import redact, without
from pytest_loadperf.report.junit import properties
from pytest_loadperf.report.terminal import breach_text
from pytest_loadperf.result import LoadResult
from pytest_loadperf.settings import LoadperfConfig

FAULTS = "loadperf_faults"  # in a worker's output
_LONGEST_MESSAGE = 2000


class Judging:
    """Collects what users wrote wrongly, and fails tests whose thresholds do not hold."""

    def __init__(self, config: pytest.Config, settings: LoadperfConfig, memory: Memory, loading: Loading) -> None:
        self._config = config
        self._settings = settings
        self._memory = memory
        self._loading = loading
        self._faults: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """A UsageFault at import is said once, with all others, instead of as a traceback."""
        report = yield
        call: pytest.CallInfo[object] | None = getattr(report, "call", None)
        fault = _fault_of(call.excinfo.value) if call and call.excinfo else None
        if call and fault:
            self._faults.append(f"{_place(fault, collector)}: {fault}")
            report.outcome, report.longrepr, report.result = "passed", None, []
            call.excinfo = None
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read every threshold; end the run with exit status 4 where something can't be meant."""
        for item in items:
            item.stash[THRESHOLDS] = tuple(self._thresholds(item))
        if not self._faults and not self._config.getoption("collectonly"):
            self._check_history(items)
        if not self._faults:
            return
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[FAULTS] = self._faults
            items.clear()
        else:
            raise pytest.UsageError(*self._faults)

    def _thresholds(self, item: pytest.Item) -> Iterator[Threshold]:
        for marker in reversed(list(item.iter_markers("loadperf"))):
            if marker.kwargs:
                words = ", ".join(f"{word}=" for word in marker.kwargs)
                self._faults.append(
                    f"{item.nodeid}: the loadperf marker knows no {words}; it takes thresholds as texts"
                )
            for text in marker.args:
                if not isinstance(text, str):
                    self._faults.append(f"{item.nodeid}: {text!r} is no threshold; expected a text like 'p95 < 250ms'")
                    continue
                yield from self._threshold(text, item)

    def _threshold(self, text: str, item: pytest.Item) -> Iterator[Threshold]:
        try:
            threshold = parse(text)
        except UsageFault as fault:
            self._faults.append(f"{item.nodeid}: {fault}")
            return
        names = getattr(item, "fixturenames", [])
        if threshold.load is not None and threshold.load not in names and "loadperf" not in names:
            self._faults.append(
                f"{item.nodeid}: {text!r} names {threshold.load!r}, but the test uses no load fixture of that name"
            )
            return
        yield threshold

    def _check_history(self, items: list[pytest.Item]) -> None:
        if any("loadperf_session" in getattr(item, "fixturenames", ()) for item in items):
            try:
                self._memory.check()
            except HistoryError as error:
                self._faults.append(str(error))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judge after the test's own assertions; a broken threshold fails the test in its call phase."""
        try:
            outcome = yield
        except (Exception, pytest.fail.Exception) as error:
            used = self._used(item)
            for note in (self._judge(item, used), *_doubts(used)):
                if note:
                    error.add_note(note)
            raise
        if broken := self._judge(item, self._used(item)):
            raise ThresholdBroken(broken)
        return outcome

    def _judge(self, item: pytest.Item, used: list[tuple[set[str], LoadResult]]) -> str | None:
        """Every threshold on every load of the test; the text of all breaches, or None."""
        thresholds = item.stash.get(THRESHOLDS, ())
        if thresholds and not used:
            return "the test is marked with thresholds, but used no load fixture, so there is nothing to judge"
        verdicts, broken = [], []
        for names, result in used:
            own = [*self._verdicts(item, names, result, thresholds)]
            result.verdicts.extend(own)
            item.user_properties.extend(properties(result.record, own))
            self._loading.outbox.used.append(result.record.key)
            verdicts += own
            broken += [(result.record, verdict) for verdict in own if verdict.breach][:1]
        everything = {name for names, _ in used for name in names}
        verdicts += [_never_judged(item, each) for each in thresholds if each.load not in (None, *everything)]
        self._loading.outbox.verdicts += verdicts
        for record, verdict in broken:
            self._loading.keep_log(record, verdict)
        return breach_text(verdicts) if any(verdict.breach for verdict in verdicts) else None

    def _used(self, item: pytest.Item) -> list[tuple[set[str], LoadResult]]:
        """The loads that a test used, each with all names that it had there: fixtures, and calls of `loadperf`."""
        # Of pytest's own account of the test's fixtures, which knows those asked for by getfixturevalue() as well.
        definitions: dict[str, Any] = getattr(getattr(item, "_request", None), "_fixture_defs", {})
        values = [(name, made.cached_result[0]) for name, made in definitions.items() if made.cached_result]
        calls = [(result.record.name, result) for result in self._loading.results.pop(item.nodeid, [])]
        used: dict[int, tuple[set[str], LoadResult]] = {}
        for name, value in [*values, *calls]:
            if isinstance(value, LoadResult):
                used.setdefault(id(value), (set(), value))[0].add(name)
        return list(used.values())

    def _verdicts(
        self, item: pytest.Item, names: set[str], result: LoadResult, thresholds: tuple[Threshold, ...]
    ) -> Iterator[Verdict]:
        record, test = result.record, ungrouped(item.nodeid)
        for why in filter(None, (record.aborted, *record.faults)):
            yield Verdict(test, record.key, "the load runs as asked", "broken", why, "")
        mine = [threshold for threshold in thresholds if threshold.load is None or threshold.load in names]
        baseline = Baseline() if record.against_name else self._memory.baseline(record)
        for threshold in mine:
            yield self._as_configured(judge(threshold, record, baseline, test))
        comparable = record.against_name or baseline.loads
        if not self._settings.unjudged and (comparable or self._settings.require_baseline):
            known = {threshold.metric for threshold in asked(item, names)}
            for threshold in advised(record):
                if threshold.metric not in known:
                    yield self._advice(judge(threshold, record, baseline, test))

    def _advice(self, verdict: Verdict) -> Verdict:
        """A verdict that nobody asked for: it fails the test only where the run's options want that."""
        if verdict.status == "no_baseline" and self._settings.require_baseline:
            return self._as_configured(verdict)
        fails = verdict.status == "regressed" and "regression" in self._settings.fail_on
        return replace(verdict, advisory=not fails)

    def _as_configured(self, verdict: Verdict) -> Verdict:
        if self._settings.unjudged:
            return replace(verdict, status="inconclusive", reason=f"shown, not judged: {self._settings.unjudged}")
        if verdict.status == "no_baseline" and self._settings.require_baseline:
            return replace(verdict, status="broken", reason=f"{verdict.reason} (--loadperf-require-baseline)".strip())
        if verdict.status in self._settings.fail_on:
            why = f"{verdict.status}: {verdict.reason} (--loadperf-fail-on)"
            return replace(verdict, status="broken", reason=why)
        return verdict

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show a broken threshold in its own words, and let what was measured ride on the report."""
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, ThresholdBroken | LoadperfError):
            report.longrepr = _in_words(call.excinfo)
        carried = self._loading.outbox.take()
        if carried or _is_load_test(item):
            self._hide_secrets(report)
            if report.failed:
                carried["message"] = redact(report.longreprtext, self._loading.secrets)[-_LONGEST_MESSAGE:]
            report.loadperf = carried  # type: ignore[attr-defined] # xdist carries it along
        return report

    def _hide_secrets(self, report: pytest.TestReport) -> None:
        """What pytest shows of a test goes to terminals and JUnit files that many read."""
        shown = report.longreprtext
        if (safe := without(shown, self._loading.secrets)) != shown:
            report.longrepr = safe
        report.sections = [(title, without(text, self._loading.secrets)) for title, text in report.sections]


def _doubts(used: list[tuple[set[str], LoadResult]]) -> Iterator[str]:
    """What to know of the numbers before an assertion on them is believed."""
    for _, result in used:
        yield from (f"{result.record.name} is in doubt: {doubt}" for doubt in doubts(result.record))


def _is_load_test(item: pytest.Item) -> bool:
    return "loadperf_session" in getattr(item, "fixturenames", ()) or bool(item.stash.get(THRESHOLDS, ()))


def _never_judged(item: pytest.Item, threshold: Threshold) -> Verdict:
    why = f"the test used no load called {threshold.load!r}"
    return Verdict(ungrouped(item.nodeid), "", threshold.text, "broken", "no data", "", reason=why)


def _fault_of(error: BaseException) -> UsageFault | None:
    """The fault behind an error of collection; one in a nested conftest comes wrapped."""
    if isinstance(error, UsageFault):
        return error
    return error.__cause__ if isinstance(error.__cause__, UsageFault) else None


def _place(fault: UsageFault, collector: pytest.Collector) -> str:
    """File and line of the user's own code that raised it."""
    calls = traceback.extract_tb(fault.__traceback__)
    own = [call for call in calls if Path(call.filename).is_relative_to(collector.config.rootpath)]
    return (
        f"{Path(own[-1].filename).relative_to(collector.config.rootpath)}:{own[-1].lineno}" if own else collector.nodeid
    )


def _in_words(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """The error's own text and notes, whose first line also stands in pytest's list of failed tests."""
    shown: Any = excinfo.getrepr(style="value", chain=False)
    for note in getattr(excinfo.value, "__notes__", ()):  # which this style leaves out
        shown.reprtraceback.reprentries[-1].lines.extend(note.splitlines())
    if shown.reprcrash is not None:
        shown.reprcrash.message = str(excinfo.value).partition("\n")[0]
    return shown
