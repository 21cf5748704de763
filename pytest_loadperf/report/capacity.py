"""What a search for capacity found: in a sentence, and as curves over the load and over throughput."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.limits import Quantity
from pytest_loadperf.judge.metrics import Metric
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.quantity import show_ms, show_number, show_per_second, show_percent, show_rate_percent
from pytest_loadperf.records import By, Capacity, Step, size_in_words
from pytest_loadperf.report.charts import Chart, swatch
from pytest_loadperf.report.figures import Figure
from pytest_loadperf.report.layers import Dot, Dots, Line, Rule
from pytest_loadperf.report.scale import linear
from pytest_loadperf.search import demands_of

_VERBS = {"held": "held", "broke": "broke", "unclear": "told nothing"}


@dataclass(frozen=True)
class _Axis:
    """What steps are drawn over, from left to right."""

    name: str
    of: Callable[[Step], float]
    show: Callable[[float], str]
    line: Callable[[Sequence[Step]], Iterable[Step]]  # those that a line goes through


@dataclass(frozen=True)
class _Measure:
    """What is drawn of steps: lines, and a dot for each."""

    name: str
    lines: Sequence[tuple[Line, Callable[[Step], float]]]  # the first is the dots' as well
    show: Callable[[float], str]
    height: int


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    capacity: Capacity

    @property
    def steps(self) -> list[Step]:
        """Every step, from the smallest load to the largest."""
        return sorted(self.capacity.steps, key=lambda step: step.size)

    def called(self, step: Step) -> str:
        """The load of a step: '40 users', '200/s'."""
        return size_in_words(self.capacity.by, step.size)

    def verb(self, step: Step) -> str:
        """What became of it, in a word."""
        return _VERBS[step.status]

    @property
    def words(self) -> str:
        """The highest load that held, the lowest that broke, and where the knee is."""
        return "; ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        capacity = self.capacity
        held = [step for step in self.steps if step.size == capacity.size and step.status == "held"]
        broke = [step for step in self.steps if step.size > capacity.size and step.status == "broke"]
        if held:
            yield f"{capacity.load} held {capacity.until}: {_seen(held[-1])}"
        if broke:
            yield f"{'' if held else 'already '}{self.called(broke[0])} broke: {broke[0].why}"
        if capacity.limited:
            yield f"more may hold: {capacity.limited}" if held else f"nothing was found: {capacity.limited}"
        if held and capacity.knee is not None:
            yield f"the knee is at {self.called(capacity.knee)}"

    @property
    def curves(self) -> list[Figure]:
        """Latency over the load; latency, and what the service used, over throughput. None of a single step."""
        steps = [step for step in self.steps if step.requests]
        if len(steps) < 2:
            return []
        limits = [Rule(demand.text, _ms(demand)) for demand in self._demands() if demand.metric == Metric("p95")]
        used = any(step.cpu_percent > 0 for step in steps)
        return [
            self._figure(steps, _LATENCY, _BY_LOAD[self.capacity.by], limits),
            self._figure(steps, _LATENCY, _BY_THROUGHPUT, limits),
            *([self._figure(steps, _USED, _BY_THROUGHPUT, [])] if used else []),
        ]

    def _figure(self, steps: Sequence[Step], measure: _Measure, axis: _Axis, limits: Sequence[Rule]) -> Figure:
        through = [*axis.line(steps)]
        lines = [replace(line, points=[(axis.of(step), of(step)) for step in through]) for line, of in measure.lines]
        (_, shown), *_ = measure.lines
        dots = Dots([self._dot(step, axis.of(step), shown(step)) for step in steps])
        values = [*(dot.y for dot in dots.points), *(y for line in lines for _, y in line.points)]
        title = f"{measure.name} by {axis.name}"
        chart = Chart(
            title=title,
            description=f"{self.words}.",
            x=linear([axis.of(step) for step in steps]),
            y=linear([*values, *(limit.value for limit in limits)]),
            layers=[*lines, *limits, dots],
            show_x=axis.show,
            show_y=measure.show,
            height=measure.height,
        )
        samples = (Dot(0, 0), Dot(0, 0, ink="vermillion", hollow=True), Dot(0, 0, shape="diamond"))
        legend = [
            *((swatch(line), line.label) for line in lines),
            *zip(map(swatch, samples), ("held", "broke", "the knee"), strict=True),
        ]
        return Figure(title, chart.svg(), tuple(legend))

    def _dot(self, step: Step, x: float, y: float) -> Dot:
        title = f"{self.called(step)} {self.verb(step)}: {_seen(step)}" + (f"\n{step.why}" if step.why else "")
        held, is_knee = step.status == "held", step == self.capacity.knee
        return Dot(
            x,
            y,
            title,
            ink="blue" if held else "vermillion",
            hollow=not held,
            shape="diamond" if is_knee else "circle",
            size=4.0,
        )

    def _demands(self) -> list[Threshold]:
        try:
            return [*demands_of(self.capacity.until)]
        except UsageFault:  # written for another version
            return []


def _middle_ones(steps: Sequence[Step]) -> Iterator[Step]:
    """Of the steps of each size the one with the middle latency, of two the slower."""
    for _, tries in groupby(steps, key=lambda step: step.size):
        ordered = sorted(tries, key=lambda step: step.p95_ms)
        yield ordered[len(ordered) // 2]


def _rising(steps: Sequence[Step]) -> Iterator[Step]:
    """Those that brought more answers than any smaller load: a line through the others would turn back on itself."""
    most = 0.0
    for step in steps:
        if step.rps > most:
            most = step.rps
            yield step


_LATENCY = _Measure(
    "Latency",
    [
        (Line("p95", [], "blue", width=2.25), lambda step: step.p95_ms),
        (Line("p50", [], "green", "7 4"), lambda step: step.p50_ms),
    ],
    show_ms,
    190,
)
_USED = _Measure(
    "Service CPU",
    [(Line("mean, all replicas together", [], "black"), lambda step: step.cpu_percent)],
    show_percent,
    120,
)
_BY_THROUGHPUT = _Axis("throughput", lambda step: step.rps, show_per_second, _rising)
_BY_LOAD: dict[By, _Axis] = {
    "users": _Axis("users", lambda step: step.size, show_number, _middle_ones),
    "rate": _Axis("rate asked for", lambda step: step.size, show_per_second, _middle_ones),
}


def _ms(demand: Threshold) -> float:
    assert isinstance(demand.limit, Quantity)  # as a search takes no other
    return demand.limit.value(demand.metric.kind)


def _seen(step: Step) -> str:
    return f"{show_per_second(step.rps)}, p95 {show_ms(step.p95_ms)}, {show_rate_percent(step.failure_rate)} failed"


def in_words(step: Step, by: By) -> str:
    """A step as it is told while the search goes on: '40 users held: 212/s, p95 180 ms, 0% failed'."""
    why = f" ({step.why})" if step.why else ""
    return f"{size_in_words(by, step.size)} {_VERBS[step.status]}: {_seen(step)}{why}"
