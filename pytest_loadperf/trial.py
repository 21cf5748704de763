"""One trial: the generator runs the stages against the service while both are watched."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Protocol

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.launch import Generator, launched
from pytest_loadperf.generator.protocol import Began, End, Finishing, LocustPage, Second, StageBegan, Waiting
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.measure.selfcheck import clipped, most_users, self_check
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, Pulse, Sample, StageRecord, Summary, Trial, Window
from pytest_loadperf.plan import Plan, Stage
from pytest_loadperf.redact import redact
from pytest_loadperf.service.running import RunningService, Scaling


class Watcher(Protocol):
    """Sees the load as it runs."""

    def waiting(self, text: str) -> None:
        """The load has not begun; what it waits for."""

    def stage(self, name: str, asked: Stage | None) -> None:
        """A stage begins; None is a shape's."""

    def second(self, users: int, recent: Summary, made: int) -> None:
        """What was answered in about the last second, and how many requests in the stage so far."""

    def scaled(self, text: str) -> None:
        """The service has more replicas, or fewer."""


Stay = tuple[float, float]  # from when to when a replica was there, in seconds since the load began
_ALWAYS: Stay = (-math.inf, math.inf)

# Asked every second with what was measured so far; a text says why the load has to stop.
AbortCheck = Callable[[float, Collector], str | None]


class TrialRun:
    """Takes in the generator's messages, one by one, until the trial is over."""

    def __init__(self, plan: Plan, service: RunningService, watcher: Watcher, abort: AbortCheck) -> None:
        self._plan = plan
        self._service = service
        self._watcher = watcher
        self._abort = abort
        self._collector = Collector()
        self._began: list[StageBegan] = []
        self._samples: list[Sample] = []
        self._scaling = Scaling()
        self._stays: Mapping[int, Stay] = {}
        self._pulses: list[Pulse] = []
        self._finishing = False  # then there is nothing left to stop
        self.aborted: str | None = None
        self.faults: tuple[str, ...] = ()
        self.locust_page: LocustPage | None = None  # where the plan asks for it

    def run(self) -> Trial:
        """The whole trial; raises what went wrong in the generator or with the service."""
        with launched(self._plan) as generator, ExitStack() as watching:
            for message in generator.messages():
                if isinstance(message, Began):
                    began_at = time.time() - (time.monotonic() - message.monotonic_s)
                    began = message.monotonic_s
                    self._watch(began, generator, watching)
                elif isinstance(message, Waiting):
                    self._watcher.waiting(message.text)
                elif isinstance(message, StageBegan):
                    self._begin_stage(message)
                elif isinstance(message, Finishing):
                    self._finishing = True
                    self._scaling.stop()
                elif isinstance(message, Second):
                    self._take(message, generator)
                elif isinstance(message, LocustPage):
                    self.locust_page = message
                elif isinstance(message, End):
                    end = message
            windows = self._collector.windows()
            try:
                _check_counts(end, windows, self._plan)
            except GeneratorError as error:
                raise generator.with_last_words(error) from None
        self.faults = end.faults
        self._stays = self._service.stays(began)
        return Trial(
            started_at=datetime.fromtimestamp(began_at, UTC).isoformat(timespec="milliseconds"),
            stages=tuple(self._stage_records(end)),
            generator=_generator_record(end),
            events=tuple(self._service.events_between(began_at, began_at + end.lasted_s)),
            windows=tuple(window for window in windows if window.stage >= 0),
            samples=tuple(self._samples),
            pulses=tuple(part for pulse in self._pulses if (part := clipped(pulse, 0.0, end.lasted_s))),
        )

    def _watch(self, began: float, generator: Generator, watching: ExitStack) -> None:
        self._service.look()
        # The last samples are of the replicas that there were, so these go back to as many as at first after them.
        self._scaling = watching.enter_context(self._service.scaling(generator.move))
        self._samples = watching.enter_context(self._service.sampling(began))
        self._scaling.begin(began, self._samples)

    def _begin_stage(self, message: StageBegan) -> None:
        self._began.append(message)
        number, stages = len(self._began), self._plan.stages
        position = f" ({number}/{len(stages)})" if len(stages) > 1 else ""
        self._watcher.stage(f"{message.name}{position}", stages[number - 1] if stages else None)

    def _take(self, second: Second, generator: Generator) -> None:
        self._collector.add(second.windows)
        self._pulses += second.pulses
        if second.users:  # the last one comes when they are stopped
            made = self._collector.requests(len(self._began) - 1)
            self._watcher.second(second.users, summarise(second.windows, 1.0), made)
        self._service.check()
        self._service.look()
        for text in self._scaling.told():
            self._watcher.scaled(text)
        if self.aborted is None and not self._finishing and (why := self._abort(second.at_s, self._collector)):
            self.aborted = why
            generator.stop()

    def _stage_records(self, end: End) -> Iterator[StageRecord]:
        ends = [*(began.at_s for began in self._began[1:]), end.lasted_s]
        for index, (began, ended) in enumerate(zip(self._began, ends, strict=True)):
            lasted = max(ended - began.at_s, 0.001)
            stage = self._plan.stages[index] if self._plan.stages else self._shape_stage(began.name, lasted)
            cpu_percent, memory_bytes = usage(self._samples, began.at_s, ended, self._stays)
            yield StageRecord(
                stage=stage,
                began_s=began.at_s,
                summary=self._collector.stage(index, lasted, began.at_s),
                cpu_percent=cpu_percent,
                memory_bytes=memory_bytes,
                users=most_users(self._pulses, began.at_s, ended),
                generator=self_check(self._pulses, began.at_s, ended, cpu_percent),
                arrivals=end.arrivals[index] if end.arrivals else None,
            )

    def _shape_stage(self, name: str, lasted: float) -> Stage:
        return Stage(name, users=max(1, most_users(self._pulses, 0.0, lasted)), duration=f"{lasted:.3f}s")


def _check_counts(end: End, windows: Iterable[Window], plan: Plan) -> None:
    """Locust swallows what listeners raise, so a lost count would otherwise go unseen."""
    held = [sum(window.requests for window in windows), sum(window.failures for window in windows)]
    besides = (end.unanswered + end.unchecked_requests, end.unanswered + end.unchecked_failures)
    told = [end.requests + besides[0], end.failures + besides[1]]
    if held != told or (end.requests, end.failures) != (end.locust_requests, end.locust_failures):
        raise GeneratorError(
            f"the counts do not agree: {end.requests} requests and {end.failures} failures were seen, Locust counted "
            f"{end.locust_requests} and {end.locust_failures}, and {held[0] - besides[0]} and "
            f"{held[1] - besides[1]} were measured. This result can't be trusted; the likely cause is user code "
            "that fires a request event with unusual arguments, such as a response_time that is no number"
        )
    if held[0] == end.unanswered:
        raised = "".join(f"; user code raised {text} ({count} times)" for text, count in end.user_errors.items())
        where = ", ".join(redact(url) for url in plan.urls) or "the users' own hosts"
        raise GeneratorError(f"no request was answered in the whole load of {where}{raised}. There is nothing to judge")


def _generator_record(end: End) -> GeneratorRecord:
    return GeneratorRecord(
        requests=end.requests,
        unfinished_users=end.unfinished_users,
        unseen_users=end.unseen_users,
        user_errors=end.user_errors,
        lost_workers=end.lost_workers,
    )


def usage(
    samples: Sequence[Sample], began_s: float, ended_s: float, stays: Mapping[int, Stay] | None = None
) -> tuple[float, int]:
    """Mean CPU and peak memory between two moments, of all replicas together; NaN and 0 where nothing tells of them.

    `stays` says of replicas that came or went when they were there: others were there all the time.
    """
    stays = stays or {}
    by_replica: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_replica[sample.replica].append(sample)
    told = {
        replica: found
        for replica, own in by_replica.items()
        if (found := _telling(own, began_s, ended_s)) and _share(stays.get(replica, _ALWAYS), began_s, ended_s)
    }
    if not told:
        return math.nan, 0
    cpu = 0.0
    for replica, found in told.items():
        mean = sum(sample.cpu_percent for sample in found) / len(found)
        cpu += mean * _share(stays.get(replica, _ALWAYS), began_s, ended_s)
    return cpu, _peak({replica: (stays.get(replica, _ALWAYS), found) for replica, found in told.items()})


def _share(stay: Stay, began_s: float, ended_s: float) -> float:
    """Of the time between two moments, in which a replica was there."""
    return max(0.0, min(stay[1], ended_s) - max(stay[0], began_s)) / (ended_s - began_s)


def _peak(replicas: Mapping[int, tuple[Stay, Sequence[Sample]]]) -> int:
    """The most memory of those that were there at one time; it can only have grown when one of them came."""
    most = [(stay, max(sample.memory_bytes for sample in found)) for stay, found in replicas.values()]
    return max(sum(size for (came, went), size in most if came <= at < went) for (at, _), _ in most)


def _telling(samples: Sequence[Sample], began_s: float, ended_s: float) -> Sequence[Sample]:
    """The samples of one replica that tell of a stage: each tells of the time since the one before it."""
    after_s = ended_s + 0.5  # mostly of the stage's last second
    inside = [sample for sample in samples if began_s < sample.at_s <= after_s]
    return inside or [sample for sample in samples if sample.at_s > after_s][:1]  # that of a short stage comes late
