"""The users of one process and all that is recorded of them: the generator's own, or a worker's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic

import gevent
from gevent import Greenlet
from gevent.event import Event
from locust import log
from locust.runners import STATE_CLEANUP

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.arrivals import Arrivals, Pool
from pytest_loadperf.generator.meter import Meter
from pytest_loadperf.generator.patience import PatientRunner
from pytest_loadperf.generator.prepare import Prepared
from pytest_loadperf.generator.protocol import End, Second, Waiting
from pytest_loadperf.generator.quota import Quota
from pytest_loadperf.generator.recorder import Recorder
from pytest_loadperf.generator.starting import start_test
from pytest_loadperf.generator.unanswered import sleeps, unanswered
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Plan, Stage
from pytest_loadperf.redact import redact

_LOOK_S = 0.1
_MOST_USER_ERRORS = 20


class Running:
    """What is recorded from the moment it listens, in the stages that it is told of, until it gives its account."""

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        tell: Callable[[Second], None],
        cut_short: Callable[[], None],
        ask_users: Callable[[int], None] | None = None,
        requests_made: Callable[[], None] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """`cut_short` is called when the user's code ends the load; `ask_users` when arrivals want so many users.

        `requests_made` is called when a stage has the requests that it was asked for. Of these, and of the arrivals,
        this process makes its share: of so many processes, those of the one with this index.
        """
        self._plan = plan
        self._prepared = prepared
        self.environment, self.runner = prepared.environment, prepared.runner
        self.recorder = Recorder(monotonic, plan.secrets, gevent.getcurrent)
        self._meter = Meter(self.recorder, self._users, tell)
        self._cut_short = cut_short
        self.ending = False  # whether the stages are over
        self._unfinished = self._unseen = 0
        self._user_errors: Counter[str] = Counter()
        self._quota: Quota | None = None
        if requests_made and any(stage.requests for stage in plan.stages):  # asked before a task, after its arrival
            self._quota = Quota(requests_made, *share)
            self.recorder.on_answer = self._quota.see
        open_model = any(stage.rate is not None for stage in plan.stages)
        self._arrivals: Arrivals | None = None
        if open_model and ask_users:
            self._arrivals = Arrivals(Pool(ask_users, self._users, self._meter.see_late), *share)
        self._arriving: Greenlet | None = None
        self._stopping = Event()
        self._arrived: list[ArrivalRecord | None] = []  # of each stage
        self._listen(open_model)

    def _listen(self, open_model: bool) -> None:
        self._prepared.listen(self.recorder.on_late_request if open_model else self.recorder.on_request)
        self.environment.events.user_error.add_listener(self._on_user_error)
        self.runner.on_stop = self._on_stop
        if isinstance(self.runner, PatientRunner):
            self.runner.on_busy = self._record_unanswered

    def _users(self) -> int:
        """How many run in this process: those that a master knows of are its workers'."""
        return self.runner.user_count if isinstance(self.runner, PatientRunner) else 0

    def _on_stop(self) -> None:
        """Someone stops the runner: we, when the stages are over, or the user's code."""
        if not self.ending:
            self._cut_short()

    def _on_user_error(self, exception: BaseException, **_: object) -> None:
        text = redact(f"{type(exception).__name__}: {exception}", self._plan.secrets).rstrip(": ")[:300]
        if text in self._user_errors or len(self._user_errors) < _MOST_USER_ERRORS:
            self._user_errors[text] += 1

    def init(self) -> None:
        """Locust's init event."""
        self.environment.events.init.fire(environment=self.environment, runner=self.runner, web_ui=None)
        if log.unhandled_greenlet_exception:
            raise GeneratorError("a listener of Locust's init event raised; what it printed has the traceback")

    def gather(self, stopping: Event) -> None:
        """Everybody is here."""

    def start(self, stopping: Event, tell: Callable[[Waiting], None]) -> None:
        """Locust's test_start event."""
        start_test(self.runner, stopping, tell)

    def begin(self, at: float) -> None:
        """The load begins."""
        self._meter.begin(at)

    def begin_stage(self, at: float, stage: Stage | None) -> None:
        """The next stage begins; None is a shape's."""
        self.recorder.begin_stage(at)
        self._end_arrivals()
        self._meter.end_stage()
        if self._arrivals is not None and stage is not None:
            self._begin_arrivals(self._arrivals, stage, at)
        if self._quota is not None:
            self._quota.begin_stage(at, stage)

    def _begin_arrivals(self, arrivals: Arrivals, stage: Stage, at: float) -> None:
        if stage.rate is None:
            arrivals.release()
            self._arrived.append(None)
        else:
            arrivals.begin()
            self._arriving = gevent.spawn(arrivals.run, stage, at, self._stopping)

    def _end_arrivals(self) -> None:
        if self._arriving is not None:
            arriving, self._arriving = self._arriving, None
            self._arrived.append(arriving.get())

    def end_stages(self, at: float) -> None:
        """The last stage is over."""
        self.recorder.end_stages(at)
        self.ending = True
        self._stopping.set()
        self._end_arrivals()
        self._meter.end_stage()

    def finish(self, wait_s: float) -> None:
        """Let users finish their task for so long, then stop them."""
        if isinstance(self.runner, PatientRunner):
            self.runner.wait_s = wait_s
        while self.runner.state == STATE_CLEANUP:  # the user's code is stopping it
            gevent.sleep(_LOOK_S)
        self.runner.quit()

    def quit(self) -> None:
        """Locust's last events."""
        events = self.environment.events
        events.quitting.fire(environment=self.environment, reverse=True)
        events.quit.fire(exit_code=self.environment.process_exit_code or 0)

    def _record_unanswered(self, busy: list[Greenlet]) -> None:
        """Count requests without an answer as failures: a green result must not hide them."""
        self._unfinished += len(busy)
        error = f"no answer {self._plan.answer_wait_s:g} s after its user was to stop"
        for greenlet in busy:
            if request := unanswered(greenlet):
                self.recorder.record_unanswered(request.method, request.name, request.waited_ms, error)
            elif not sleeps(greenlet):
                self._unseen += 1

    def end(self, lasted_s: float) -> End:
        """Tell what is left to tell, and give the account."""
        self._meter.end()
        counts = self._prepared.counts
        return End(
            lasted_s=lasted_s,
            requests=self.recorder.requests,
            failures=self.recorder.failures,
            unanswered=self.recorder.unanswered,
            locust_requests=counts.earlier_requests + counts.total.num_requests,
            locust_failures=counts.earlier_failures + counts.total.num_failures,
            unfinished_users=self._unfinished,
            unseen_users=self._unseen,
            faults=tuple(self._faults()),
            user_errors=dict(self._user_errors),
            arrivals=tuple(self._arrived),
        )

    def close(self) -> None:
        """Nobody is connected."""

    def _faults(self) -> Iterator[str]:
        """Locust ends with an error status for these."""
        if log.unhandled_greenlet_exception:
            yield "a listener or greenlet of the user's code raised; what it printed has the traceback"
        if self.environment.process_exit_code:
            yield f"user code set process_exit_code to {self.environment.process_exit_code}"
