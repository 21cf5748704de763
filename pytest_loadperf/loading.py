"""Services and loads in the process that runs the tests: plain pytest, or one xdist worker."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_loadperf.codec import to_plain
from pytest_loadperf.guard import HostGuard
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.judge.abort import abort_check
from pytest_loadperf.loadspec import LoadSpec, ask
from pytest_loadperf.model import LoadRecord, ServiceRecord, Trial, Verdict
from pytest_loadperf.options import LoadperfConfig
from pytest_loadperf.quiet import Quiet, host_lock
from pytest_loadperf.report.progress import Progress
from pytest_loadperf.result import LoadResult
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.running import RunningService
from pytest_loadperf.service.spec import LocalSpec, Spec
from pytest_loadperf.service.url import UrlService
from pytest_loadperf.trial import TrialRun


@dataclass
class Outbox:
    """What rides on the next test report, so that it reaches the controller under xdist."""

    loads: list[LoadRecord] = field(default_factory=list)
    used: list[str] = field(default_factory=list)  # keys of the loads that the test used
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self) -> dict[str, Any]:
        """Everything in it as plain data; it is empty afterwards."""
        plain = {name: to_plain(content) for name, content in vars(self).items() if content}
        for content in vars(self).values():
            content.clear()
        return plain


class Loading:
    """Gives the fixtures their services and loads, and keeps other work away while a load measures."""

    def __init__(self, settings: LoadperfConfig, memory: Memory, progress: Progress, room: Quiet | None) -> None:
        self._settings = settings
        self._memory = memory
        self._progress = progress
        self._room = room  # shared by the workers of one xdist run
        self._sharing = ExitStack()
        self.outbox = Outbox()
        self.results: dict[str, list[LoadResult]] = {}  # of loadperf() calls, by test

    @contextmanager
    def service(self, spec: Spec, fallback: LocalSpec | None) -> Iterator[RunningService]:
        """The running service of a service fixture."""
        with start(
            spec,
            backend=self._settings.backend,
            fallback=fallback,
            url=self._settings.url,
            keep=self._settings.keep_service,
            say=self.say,
        ) as running:
            yield running

    def say(self, line: str) -> None:
        """One line to the user, at once where a terminal is, else with the next report."""
        if not self._progress.say(line):
            self.outbox.notes.append(line)

    def measure(self, spec: LoadSpec, service: RunningService | None, request: pytest.FixtureRequest) -> LoadResult:
        """Run the load of a fixture."""
        name = f"{request.fixturename}{_variant(request)}"
        # The session's node has no id; where the fixture is defined is the load's home then.
        home = request.node.nodeid or request._fixturedef.baseid  # type: ignore[attr-defined]
        return self.run(spec, service, f"{home}::{name}", name)

    def run(self, spec: LoadSpec, service: RunningService | None, key: str, name: str) -> LoadResult:
        """Run a load: all its trials, one after the other, with no other load on this machine."""
        service = service or _OwnHosts()
        guard = HostGuard(self._settings.allow_hosts)
        for url in service.urls:
            guard.check_url(url)
        with self._alone():
            trials, aborted = self._trials(spec, service, name)
        record = LoadRecord(
            key=key,
            name=name,
            service=service.record,
            trials=tuple(trials),
            fingerprint=self._fingerprint(spec, service.record),
            aborted=aborted,
        )
        self.outbox.loads.append(record)
        return LoadResult.of(record)

    def _trials(self, spec: LoadSpec, service: RunningService, name: str) -> tuple[list[Trial], str | None]:
        plan = spec.planned(service.urls, self._settings.allow_hosts, self._settings.scale)
        trials = []
        for number in range(1, spec.trials + 1):
            title = f"{name} trial {number}/{spec.trials}" if spec.trials > 1 else name
            with self._progress.load(title) as watcher:
                run = TrialRun(plan, service, watcher, abort_check(spec.abort))
                trials.append(run.run())
            if run.aborted:
                return trials, run.aborted
        return trials, None

    def _fingerprint(self, spec: LoadSpec, service: ServiceRecord) -> dict[str, str]:
        shape = spec.plan.shape.name if spec.plan.shape else ""
        return self._memory.fingerprint(spec.plan.stages, shape, service, spec.user_names)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Leave the tests that run now, and wait until this load is the only one."""
        sharing = self._sharing.pop_all()
        sharing.close()
        with host_lock().alone(lambda: self.say("loadperf: waiting for another load on this machine to end")):
            if self._room is None:
                yield
            else:
                with self._room.alone():
                    yield
        if self._room is not None:
            self._sharing.enter_context(self._room.shared())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Under xdist, every test shares the room with others, until a load wants it alone."""
        if self._room is None:
            return (yield)
        self._sharing.enter_context(self._room.shared())
        try:
            return (yield)
        finally:
            self._sharing.pop_all().close()


class _OwnHosts(UrlService):
    """Stands for a service where users bring their own hosts (`service=None`)."""

    def __init__(self) -> None:
        self.urls = ()
        self.record = ServiceRecord(kind="url", name="the users' own hosts", backend="url")


class CallLoad:
    """The `loadperf` fixture: runs a load inside a test."""

    def __init__(self, loading: Loading, request: pytest.FixtureRequest) -> None:
        self._loading = loading
        self._request = request
        self._calls = 0

    def __call__(
        self,
        user: Any,
        *stages: Any,
        name: str | None = None,
        service: str | None = "loadperf_service",
        trials: int = 1,
        abort: str | None = None,
    ) -> LoadResult:
        """Run it now; the arguments are those of load()."""
        folder = Path(sys._getframe(1).f_code.co_filename).resolve().parent
        spec = ask(user, stages, trials=trials, abort=abort, folder=folder)
        self._calls += 1
        name = name or ("loadperf" if self._calls == 1 else f"loadperf {self._calls}")
        running = self._request.getfixturevalue(service) if service is not None else None
        nodeid = self._request.node.nodeid
        result = self._loading.run(spec, running, f"{nodeid}::{name}", name)
        self._loading.results.setdefault(nodeid, []).append(result)
        return result


def _variant(request: pytest.FixtureRequest) -> str:
    """'[4]' where the service (or what it depends on) is parametrised, so that each variant is a series of its own."""
    item: Any = request._pyfuncitem
    callspec = getattr(item, "callspec", None)
    if callspec is None or request.scope == "function":
        return ""  # a test's own id says it already
    names = [name for name in _closure(item, request.fixturename or "") if name in callspec.params]
    if not names:
        return ""
    return "[" + "-".join(_shown(name, callspec.params[name], callspec.indices[name]) for name in names) + "]"


def _closure(item: Any, name: str) -> list[str]:
    """The fixture and all that it depends on; pytest has no public way to ask."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.append(current)
            for definition in item._fixtureinfo.name2fixturedefs.get(current, ())[-1:]:
                waiting.extend(definition.argnames)
    return found


def _shown(name: str, value: object, index: int) -> str:
    return str(value) if isinstance(value, str | int | float) else f"{name}{index}"
