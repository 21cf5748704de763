"""The generator as the master of workers: it leads them through the stages, and puts together what they tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import gevent
from gevent import Greenlet
from gevent.event import Event

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator import wire
from pytest_loadperf.generator.ends import together
from pytest_loadperf.generator.gathering import Gathering, Member
from pytest_loadperf.generator.local_workers import LocalWorkers
from pytest_loadperf.generator.master import Master
from pytest_loadperf.generator.names import Names, redacted
from pytest_loadperf.generator.prepare import Prepared
from pytest_loadperf.generator.protocol import End, Failed, Message, Waiting
from pytest_loadperf.generator.running import Running
from pytest_loadperf.generator.seconds import Seconds
from pytest_loadperf.generator.start import how_ended
from pytest_loadperf.generator.starting import wait_for_listeners
from pytest_loadperf.model import ArrivalRecord
from pytest_loadperf.plan import Plan, Stage
from pytest_loadperf.redact import redact
from pytest_loadperf.worker_token import VARIABLE

_LOOK_S = 0.1
_LAST_WORDS_S = 1.0  # between the end of a worker's process and its account, which may be under way
_LAST_EVENTS_S = 5.0  # of the user's code in a worker
_ACCOUNT_S = 20.0  # how long the accounts may take once the users had their time to finish


class Workers:
    """In place of users of its own; what the user's listeners request in this process is recorded as well."""

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        processes: LocalWorkers,
        tell: Callable[[Message], None],
        cut_short: Callable[[], None],
        fail: Callable[[Failed], None],
        requests_made: Callable[[], None],
    ) -> None:
        assert plan.crew is not None
        assert isinstance(prepared.runner, Master)
        self._plan = plan
        self._runner = prepared.runner
        self._processes = processes
        self._tell = tell
        self._fail = fail
        self._failed = False
        self._seconds = Seconds(Names(plan.secrets), tell)
        self._running = Running(plan, prepared, lambda second: self._seconds.add(0, second, {}), cut_short)
        self._gathering = Gathering(plan, plan.crew, self._runner, processes, self._break)
        self._began = self._ended_s = 0.0
        self._most = 0  # users of this stage, where it has arrivals
        self._wanted: dict[str, int] = {}  # by the arrivals of each worker
        self._asked_users = 0
        self._requests_made = requests_made
        self._stage = -1  # that the workers were told of last
        self._made: set[str] = set()  # by name, those that have made their requests in it
        self._gone_at: dict[int, float] = {}  # processes that have ended
        self._watching: Greenlet | None = None
        self._runner.on_dismissed = self._dismiss
        self._runner.on_stranger = self._tell_stranger
        wire.listen(self._runner, wire.Told, self._hear_second, self._break)
        wire.listen(self._runner, wire.Wanted, self._hear_wanted, self._break)
        wire.listen(self._runner, wire.Made, self._hear_made, self._break)
        wire.listen(self._runner, wire.Broken, self._hear_broken, self._break)
        wire.listen(self._runner, wire.CutShort, lambda _sender, _message: cut_short(), self._break)
        wire.listen(self._runner, wire.Over, self._hear_end, self._break)

    @property
    def _members(self) -> list[Member]:
        return [member for _, member in sorted(self._gathering.members.items())]

    @property
    def _left(self) -> list[Member]:
        return [member for member in self._members if member.lost is None]

    def _dismiss(self, client: str) -> None:
        """One that was lost is heard again: its users are to stop."""
        wire.tell(self._runner, wire.StagesEnd(0.0, 0.0), client)

    def _tell_stranger(self, address: str) -> None:
        self._tell(Waiting(f"refused {address}, who has not shown this run's token ({VARIABLE})"))

    def _member(self, client: str) -> Member:
        return next(member for member in self._members if member.client == client)

    def _break(self, error: BaseException) -> None:
        self._give_up(Failed.of(error))

    def _give_up(self, failed: Failed) -> None:
        self._failed = True
        self._fail(failed)

    def init(self) -> None:
        """Locust's init event in this process."""
        self._running.init()

    def gather(self, stopping: Event) -> None:
        """Wait until all workers are here."""
        self._gathering.gather(stopping, self._tell)

    def start(self, stopping: Event, tell: Callable[[Waiting], None]) -> None:
        """Locust's test_start event: here, and then in all workers."""
        self._began = monotonic()
        self._watching = gevent.spawn(self._watch)
        self._watching.link_exception(lambda watching: self._break(watching.exception))
        self._running.start(stopping, tell)
        if not stopping.is_set():
            self._runner.start_nobody()
            wait_for_listeners(self._have_started, stopping, tell)

    def _have_started(self) -> bool:
        return all(self._runner.has_started(member.client) for member in self._left)

    def begin(self, at: float) -> None:
        """The load begins."""
        self._began = at
        self._seconds.join(0)
        for member in self._left:
            self._seconds.join(member.number, member.elsewhere)
        wire.tell(self._runner, wire.Begins())
        self._running.begin(at)

    def begin_stage(self, at: float, stage: Stage | None) -> None:
        """The next stage begins."""
        self._stage += 1
        self._made.clear()
        self._wanted.clear()
        self._most = max(stage.most_users, len(self._members)) if stage and stage.rate else 0
        self._asked_users = 0
        wire.tell(self._runner, wire.StageBegins(at - self._began))
        self._running.begin_stage(at, stage)

    def end_stages(self, at: float) -> None:
        """The last stage is over."""
        self._ended_s = at - self._began
        self._running.end_stages(at)

    def finish(self, wait_s: float) -> None:
        """Let the workers' users finish, and wait for the accounts."""
        wire.tell(self._runner, wire.StagesEnd(self._ended_s, wait_s))
        self._runner.end()  # whose listeners may take their time
        if self._failed:
            return  # nobody wants the accounts
        deadline = monotonic() + wait_s + _ACCOUNT_S
        while awaited := [member for member in self._left if member.end is None]:
            gevent.sleep(_LOOK_S)
            if monotonic() > deadline:
                for member in awaited:
                    self._lose(member, "gave no account of it")
                break
        if self._watching is not None:
            self._watching.kill()

    def quit(self) -> None:
        """Locust's last events in this process."""
        self._running.quit()

    def close(self) -> None:
        """Let the workers go."""
        wire.close(self._runner.server)
        self._processes.close(_LAST_EVENTS_S if self._watching is not None else 0.0)

    def _hear_second(self, client: str, told: wire.Told) -> None:
        self._seconds.add(self._member(client).number, told.second, told.users)

    def _hear_wanted(self, client: str, wanted: wire.Wanted) -> None:
        """Every worker has asked before the first time that users are started: each asks for its share."""
        self._wanted[client] = wanted.users
        # Locust gives all of them the same share, so the one that wants most decides.
        users = min(self._most, max(self._asked_users, len(self._left) * max(self._wanted.values())))
        changed = users != self._asked_users or users > self._runner.user_count  # some may have ended
        if len(self._wanted) >= len(self._left) and changed:
            self._asked_users = users
            self._runner.start(users, max(users, self._runner.user_count))

    def _hear_made(self, client: str, made: wire.Made) -> None:
        if made.stage == self._stage:
            self._made.add(client)
            self._see_whether_all_made()

    def _see_whether_all_made(self) -> None:
        if self._made and self._made.issuperset(member.client for member in self._left):
            self._requests_made()

    def _hear_broken(self, _client: str, broken: wire.Broken) -> None:
        self._give_up(replace(broken.failed, text=redact(broken.failed.text, self._plan.secrets)))

    def _hear_end(self, client: str, over: wire.Over) -> None:
        member = self._member(client)
        member.end = over.end
        self._seconds.leave(member.number)

    def _watch(self) -> None:
        """See who is lost: a process that has ended, or a worker elsewhere that Locust does not hear any more."""
        while True:
            gevent.sleep(_LOOK_S)
            for number, status in self._processes.ended():
                gone_at = self._gone_at.setdefault(number, monotonic())
                if status != 0 or monotonic() > gone_at + _LAST_WORDS_S:
                    self._lose(self._gathering.members[number], how_ended(status))
            for member in self._members:
                if not member.local and not self._runner.hears(member.client):
                    self._lose(member, "was not heard of any more")

    def _lose(self, member: Member, how: str) -> None:
        if member.end is not None or member.lost is not None:
            return
        member.lost = f"{member.name} was lost {monotonic() - self._began:.0f} s into the load: it {how}"
        self._seconds.leave(member.number)
        self._wanted.pop(member.client, None)
        self._see_whether_all_made()
        if not self._running.ending:
            self._runner.go_on_without(member.client)
        if not self._left:
            lost = "; ".join(str(member.lost) for member in self._members)
            self._break(GeneratorError(f"no worker is left, and there is no result to judge: {lost}"))

    def end(self, lasted_s: float) -> End:
        """The account of all, in which what each worker counted stands beside what it reported to Locust."""
        own = self._running.end(lasted_s)
        self._seconds.flush()
        requests, failures = self._runner.reported_requests, self._runner.reported_failures
        own = replace(
            own,
            locust_requests=own.locust_requests - requests.total(),
            locust_failures=own.locust_failures - failures.total(),
        )
        ends = [
            replace(
                member.end,
                locust_requests=member.end.locust_requests + requests[member.client],
                locust_failures=member.end.locust_failures + failures[member.client],
            )
            for member in self._members
            if member.end is not None
        ]
        silent = [member.number for member in self._members if member.end is None]
        return replace(
            self._redacted(self._with_missing_arrivals(together([own, *ends], lasted_s))),
            lost_workers=tuple(member.lost for member in self._members if member.lost is not None),
            unchecked_requests=sum(self._seconds.requests[number] for number in silent),
            unchecked_failures=sum(self._seconds.failures[number] for number in silent),
        )

    def _with_missing_arrivals(self, end: End) -> End:
        """What was the share of a lost worker did not arrive at all."""
        if len(self._left) == len(self._members):
            return end
        pairs = zip(end.arrivals, self._plan.stages[: len(end.arrivals)], strict=True)
        return replace(end, arrivals=tuple(_with_missing(record, stage) for record, stage in pairs))

    def _redacted(self, end: End) -> End:
        """Without the secrets, which no worker was told."""
        raised: Counter[str] = Counter()
        for text, count in end.user_errors.items():
            raised[redacted(text, self._plan.secrets)] += count
        return replace(end, user_errors=dict(raised))


def _with_missing(record: ArrivalRecord | None, stage: Stage) -> ArrivalRecord | None:
    if record is None or stage.schedule is None:
        return record
    missing = max(0, stage.schedule.count - record.due)
    return replace(record, due=record.due + missing, overdue=record.overdue + missing)
