"""Services and loads in the process that runs the tests: plain pytest, or one xdist worker."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_loadperf.called import variant_of
from pytest_loadperf.codec import to_plain
from pytest_loadperf.distribution import ungrouped
from pytest_loadperf.errors import UsageFault
from pytest_loadperf.evidence import log_around
from pytest_loadperf.fixtures import IS_LOAD
from pytest_loadperf.guard import HostGuard
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.loadspec import ABORT, LoadSpec, ask
from pytest_loadperf.measure.summary import together
from pytest_loadperf.measuring import Measuring
from pytest_loadperf.quiet import Quiet, host_lock
from pytest_loadperf.records import LoadRecord, LogSlice, Verdict
from pytest_loadperf.redact import HIDDEN_FROM
from pytest_loadperf.report.locust_page import LocustPages
from pytest_loadperf.report.progress import Progress
from pytest_loadperf.result import LoadResult
from pytest_loadperf.service.choose import start, start_both
from pytest_loadperf.service.given import service_of
from pytest_loadperf.service.running import Counterpart, RunningService, asleep
from pytest_loadperf.service.spec import LocalSpec, Spec
from pytest_loadperf.settings import LoadperfConfig

if TYPE_CHECKING:
    from pytest_loadperf.control import Control

THRESHOLDS = pytest.StashKey[tuple[Threshold, ...]]()  # of a test's markers


@dataclass
class Outbox:
    """What rides on the next test report, so that it reaches the controller under xdist."""

    loads: list[LoadRecord] = field(default_factory=list)
    used: list[str] = field(default_factory=list)  # keys of the loads that the test used
    verdicts: list[Verdict] = field(default_factory=list)
    page_faults: list[str] = field(default_factory=list)  # why a page of Locust's own is missing
    logs: list[LogSlice] = field(default_factory=list)

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
        self._keys: set[str] = set()
        self._open = ExitStack()  # every service
        self._services: dict[str, RunningService] = {}  # by the key of the load that went there
        self._own_secrets = (settings.token, *(secret for secret in settings.secrets if len(secret) >= HIDDEN_FROM))
        self.secrets = set(self._own_secrets)
        self.outbox = Outbox()
        self._pages = LocustPages(settings.locust_report, self.outbox.page_faults.append)
        self.results: dict[str, list[LoadResult]] = {}  # of loadperf() calls, by test

    @contextmanager
    def service(self, spec: Spec, fallback: LocalSpec | None) -> Iterator[RunningService]:
        """The running service of a service fixture."""
        settings = self._settings
        if settings.against is not None:
            starting = start_both(
                spec,
                settings.against,
                backend=settings.backend,
                fallback=fallback,
                keep=settings.keep_service,
                say=self._progress.say,
            )
        else:
            starting = start(
                spec,
                backend=settings.backend,
                fallback=fallback,
                url=settings.url,
                keep=settings.keep_service,
                say=self._progress.say,
            )
        # Where pytest itself is interrupted as it tears down, it drops what it has not come to.
        with ExitStack() as open_:
            self._open.push(open_)
            yield open_.enter_context(starting)

    def pytest_unconfigure(self) -> None:
        """Whatever became of the fixtures: no service stays."""
        self._open.close()

    def measure(self, spec: LoadSpec, service: object, request: pytest.FixtureRequest) -> LoadResult:
        """Run the load of a fixture."""
        name = f"{request.fixturename}{variant_of(request)}"
        # The session's node has no id; where the fixture is defined is the load's home then.
        home = ungrouped(request.node.nodeid) or request._fixturedef.baseid  # type: ignore[attr-defined]
        item: pytest.Item = request._pyfuncitem
        return self.run(spec, service, f"{home}::{name}", name, asked(item, {request.fixturename or name}))

    def run(self, spec: LoadSpec, given: object, key: str, name: str, demands: Sequence[Threshold]) -> LoadResult:
        """Run a load: all its trials, one after the other, with no other load on this machine.

        Where it looks slower than it was by these demands, or by what is judged anyway, it is run once more. Side by
        side it is run in pairs instead; a search for capacity is of this build alone.
        """
        service = service_of(given)
        counterpart = self._counterpart(service, name)
        guard = HostGuard(self._settings.allow_hosts)
        for url in service.urls:
            guard.check_url(url)
        given_secrets = (*service.secrets, *(counterpart.service.secrets if counterpart else ()))
        secrets = (*(secret for secret in given_secrets if len(secret) >= HIDDEN_FROM), *self._own_secrets)
        self.secrets.update(secrets)
        if self._settings.calibrate:
            spec = replace(spec, trials=self._settings.calibrate)
        crew = self._settings.crew(spec.workers)
        if crew is not None and service.scales:
            raise UsageFault(
                f"the load {name} has its users in {crew.size} workers, which are not told of replicas that come and "
                f"go: {service.record.name} has autoscale=. Run it without workers (workers=1, no "
                "--loadperf-workers), or give the service replicas= instead"
            )
        plan = spec.planned(service.urls, self._settings.allow_hosts, secrets, self._settings.scale, crew)
        plan = replace(plan, locust_page=self._settings.locust_report is not None)
        with self._alone():
            paired = counterpart if spec.search is None else None
            pairs = self._settings.pairs if paired else None
            fingerprint = self._memory.fingerprint(
                spec.plan.stages, spec.asked, service.record, spec.user_names, crew, pairs
            )
            control = None if paired else self._control(service)
            if control is not None:
                fingerprint = {**fingerprint, "control": str(control)}
            blank = LoadRecord(self._unused(key), name, service.record, (), fingerprint)
            measuring = Measuring(spec, plan, service, self._progress, self._pages, control)
            if paired is not None:
                settings = self._settings
                asked = () if settings.unjudged else demands
                advice = "regression" in settings.fail_on and not settings.unjudged
                record = measuring.pairs(blank, paired, settings.pairs, asked, advice=advice)
            else:
                with asleep(counterpart.service) if counterpart else nullcontext():
                    record = measuring.trials(blank)
                    if not self._settings.unjudged:
                        record = measuring.confirmed(record, self._memory, demands)
        record = together(record)
        self.outbox.loads.append(record)
        self._services[record.key] = service
        return LoadResult.of(record)

    def keep_log(self, load: LoadRecord, broken: Verdict) -> None:
        """Keep what the service of a load wrote when a threshold broke."""
        if log := log_around(broken, load, self._services[load.key], self.secrets):
            self.outbox.logs.append(log)

    def _counterpart(self, service: RunningService, name: str) -> Counterpart | None:
        """What the service is measured beside; UsageFault where that was asked for and can't be."""
        if self._settings.against is not None and service.counterpart is None:
            raise UsageFault(
                f"--loadperf-against {self._settings.against}: the load {name} goes to {service.record.name}, which "
                "this run did not start, so there is no other build of it. Give it a docker_service(…) or "
                "process_service(…) fixture, or run its tests without --loadperf-against"
            )
        return service.counterpart

    def _control(self, service: RunningService) -> Control | None:
        """What tells how fast this machine is, where that was asked for and the service runs on it."""
        if self._settings.control_s is None or self._settings.unjudged or service.record.kind == "url":
            return None
        from pytest_loadperf.control import Control

        return Control(self._settings.control_s, self._progress)

    def _unused(self, key: str) -> str:
        """The key, with a number where this run has used it already: each load is a series of its own."""
        numbers = (key if number == 1 else f"{key} #{number}" for number in itertools.count(1))
        unused = next(candidate for candidate in numbers if candidate not in self._keys)
        self._keys.add(unused)
        return unused

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Leave the tests that run now, and wait until this load is the only one."""
        sharing = self._sharing.pop_all()
        sharing.close()
        room = self._room.alone() if self._room else nullcontext()
        try:
            with host_lock().alone(self._say_waiting), room:
                yield
        finally:
            if self._room is not None:
                self._sharing.enter_context(self._room.shared())

    def _say_waiting(self) -> None:
        self._progress.say("loadperf: waiting for another load on this machine to end")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Under xdist, every test shares the room with others, until a load wants it alone."""
        self.results.pop(item.nodeid, None)  # of an earlier attempt, where a test is run again
        self._keys = {key for key in self._keys if not key.startswith(f"{ungrouped(item.nodeid)}::")}
        if self._room is None:
            return (yield)
        self._sharing.enter_context(self._room.shared())
        try:
            return (yield)
        finally:
            self._sharing.pop_all().close()


def asked(item: pytest.Item, names: set[str]) -> list[Threshold]:
    """The thresholds on the baseline that tests have for the load of these names, as far as known beforehand.

    Other modules may have fixtures of the same names: it is the definition that tells.
    """
    own = [definition for name in names if (definition := _load_fixture(item, name)) is not None]
    users = [each for each in item.session.items if any(_load_fixture(each, made.argname) is made for made in own)]
    found = (threshold for each in (*users, item) for threshold in each.stash.get(THRESHOLDS, ()))
    return list(dict.fromkeys(each for each in found if each.relative and each.load in (None, *names)))


def _load_fixture(item: pytest.Item, name: str) -> Any:
    """The definition of a load fixture as a test sees it; None where it sees none, or the name is a call's."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get(name)
    return definitions[-1] if definitions and hasattr(definitions[-1].func, IS_LOAD) else None


class CallLoad:
    """The `loadperf` fixture: runs a load inside a test."""

    def __init__(self, loading: Loading, request: pytest.FixtureRequest) -> None:
        self._loading = loading
        self._request = request

    def __call__(
        self,
        user: Any,
        *stages: Any,
        name: str | None = None,
        service: str | None = "loadperf_service",
        trials: int = 1,
        workers: int | None = None,
        abort: str | None = ABORT,
    ) -> LoadResult:
        """Run it now; the arguments are those of load()."""
        folder = Path(sys._getframe(1).f_code.co_filename).resolve().parent
        spec = ask(user, stages, trials=trials, workers=workers, abort=abort, folder=folder)
        nodeid = self._request.node.nodeid
        results = self._loading.results.setdefault(nodeid, [])
        name = name or ("loadperf" if not results else f"loadperf {len(results) + 1}")
        if name in [result.record.name for result in results]:
            raise UsageFault(f"loadperf(): this test has run a load called {name!r} already; give another name=")
        running = self._request.getfixturevalue(service) if service is not None else None
        key, demands = f"{ungrouped(nodeid)}::{name}", asked(self._request.node, {name})
        results.append(self._loading.run(spec, running, key, name, demands))
        return results[-1]
