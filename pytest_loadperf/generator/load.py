"""One load in the generator's process: Locust's environment around the plan, and the second-by-second account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic

import gevent
from gevent import get_hub
from gevent.event import Event
from locust import log
from locust.runners import STATE_CLEANUP

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.arrivals import Arrivals
from pytest_loadperf.generator.meter import Meter
from pytest_loadperf.generator.prepare import prepare
from pytest_loadperf.generator.protocol import Began, End, Failed, Message, StageBegan
from pytest_loadperf.generator.recorder import Recorder
from pytest_loadperf.generator.stages import run_shape, run_stages
from pytest_loadperf.generator.unanswered import unanswered
from pytest_loadperf.guard import HostGuard, guard_sockets
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Plan
from pytest_loadperf.redact import redact

_LOOK_S = 0.1
_MOST_USER_ERRORS = 20


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan, tell: Callable[[Message], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._recorder = Recorder(monotonic, plan.secrets, gevent.getcurrent)
        self._stopping = Event()
        self._stopped_by_us = False
        self._failure: Failed | None = None
        self._faults: list[str] = []
        self._unfinished = 0
        self._user_errors: Counter[str] = Counter()
        self._arrivals: list[ArrivalRecord | None] = []  # of each stage
        self._asked_to_stop = get_hub().loop.async_()  # the only call into gevent that another thread may make
        self._asked_to_stop.start(self._stopping.set)
        guard_sockets(HostGuard(plan.allowed_hosts), self._refuse)
        try:
            self._prepared = prepare(plan)
        except Exception:
            if self._failure is not None:  # the user's module asked a host that it may not
                raise HostRefused(self._failure.text) from None
            raise
        self._environment, self._runner = self._prepared.environment, self._prepared.runner
        self._runner.on_busy = self._record_unanswered
        self._runner.on_broken = self._break
        self._runner.on_stop = self._cut_short

    def stop(self) -> None:
        """End the stages early; may be called from any thread."""
        self._asked_to_stop.send()

    def _refuse(self, text: str) -> None:
        self._end_at_once(Failed("refused", text))

    def _break(self, text: str) -> None:
        self._end_at_once(Failed("error", text))

    def _end_at_once(self, failure: Failed) -> None:
        self._failure = self._failure or failure
        self._stopping.set()

    def _cut_short(self) -> None:
        """Someone stops the runner: we, when the stages are over, or the user's code."""
        if not self._stopped_by_us and not self._stopping.is_set():
            self._faults.append("the users' code stopped the load before its stages were over")
            self._stopping.set()

    def _on_user_error(self, exception: BaseException, **_: object) -> None:
        text = redact(f"{type(exception).__name__}: {exception}", self._plan.secrets).rstrip(": ")[:300]
        if text in self._user_errors or len(self._user_errors) < _MOST_USER_ERRORS:
            self._user_errors[text] += 1

    def run(self) -> None:
        """All stages, then the last answers, then the count."""
        events = self._environment.events
        open_model = any(stage.rate is not None for stage in self._plan.stages)
        self._prepared.listen(self._recorder.on_late_request if open_model else self._recorder.on_request)
        events.user_error.add_listener(self._on_user_error)
        events.init.fire(environment=self._environment, runner=self._runner, web_ui=None)
        if log.unhandled_greenlet_exception:
            raise GeneratorError("a listener of Locust's init event raised; what it printed has the traceback")
        arrivals = Arrivals(self._ask_users) if open_model else None
        meter = Meter(self._recorder, self._runner, self._tell)
        began = monotonic()
        self._tell(Began(began))
        meter.begin(began)
        self._run_stages(began, arrivals)
        ended = monotonic()
        self._recorder.end_stages(ended)
        self._finish()
        meter.end()
        self._tell(self._failure or self._end(ended - began))

    def _ask_users(self, count: int) -> None:
        self._runner.start(count, max(count, self._runner.user_count))

    def _run_stages(self, began: float, arrivals: Arrivals | None) -> None:
        announce = partial(self._begin_stage, began)
        if self._prepared.shape is None:
            stages = run_stages(self._runner, self._plan.stages, arrivals, began, self._stopping, announce)
            self._arrivals.extend(stages)
        else:
            run_shape(self._runner, self._prepared.shape, self._plan.scale, began, self._stopping, announce)

    def _begin_stage(self, began: float, name: str, at: float) -> None:
        self._recorder.begin_stage(at)
        self._tell(StageBegan(at - began, name))

    def _finish(self) -> None:
        """Let users finish their task, then stop them."""
        self._stopped_by_us = True
        if self._failure is not None:
            self._runner.wait_s = 0.0  # nobody's answer matters any more
        while self._runner.state == STATE_CLEANUP:  # the user's code is stopping it
            gevent.sleep(_LOOK_S)
        self._runner.quit()
        self._environment.events.quitting.fire(environment=self._environment, reverse=True)
        self._environment.events.quit.fire(exit_code=self._environment.process_exit_code or 0)

    def _record_unanswered(self, busy: list[gevent.Greenlet]) -> None:
        """Count requests without an answer as failures: a green result must not hide them."""
        self._unfinished += len(busy)
        error = f"no answer {self._plan.answer_wait_s:g} s after its user was to stop"
        for request in unanswered(busy):
            self._recorder.record_unanswered(request.method, request.name, request.waited_ms, error)

    def _end(self, lasted: float) -> End:
        return End(
            lasted_s=lasted,
            requests=self._recorder.requests,
            failures=self._recorder.failures,
            unanswered=self._recorder.unanswered,
            locust_requests=self._prepared.counts.earlier_requests + self._prepared.counts.total.num_requests,
            locust_failures=self._prepared.counts.earlier_failures + self._prepared.counts.total.num_failures,
            unfinished_users=self._unfinished,
            faults=tuple(self._all_faults()),
            user_errors=dict(self._user_errors),
            arrivals=tuple(self._arrivals),
        )

    def _all_faults(self) -> Iterator[str]:
        """Why this is not the load that was asked for; Locust ends with an error status for each of them, too."""
        yield from self._faults
        for text, count in self._user_errors.items():
            yield f"user code raised {text} ({count} times)"
        if log.unhandled_greenlet_exception:
            yield "a listener or greenlet of the user's code raised; what it printed has the traceback"
        if self._environment.process_exit_code:
            yield f"user code set process_exit_code to {self._environment.process_exit_code}"
