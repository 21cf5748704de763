"""The charts of one trial over time, all on one time axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_loadperf.measure.selfcheck import saturated_seconds
from pytest_loadperf.model import Pulse, ServiceEvent, Trial
from pytest_loadperf.quantity import show_bytes, show_ms, show_number, show_per_second, show_percent
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.report.charts import Chart, swatch
from pytest_loadperf.report.layers import Band, Bars, Hover, Layer, Line, Mark, Rule, Span
from pytest_loadperf.report.scale import Axis, linear, logarithmic, seconds
from pytest_loadperf.report.text import shorten
from pytest_loadperf.report.timeline import Second, Stretch, Usage, seconds_of, stretches, usage_of

Show = Callable[[float], str]
_Spread = tuple[float, float, float, float]  # x, then the least, the mean and the most

_HOVERS = 90  # stretches of a chart that can be pointed at
_LOG_FROM = 40  # largest over smallest latency from which a linear axis would hide the small ones
_FAR = 4  # a limit further than this many times the peak is named, not drawn: it would flatten the curve


@dataclass(frozen=True)
class Figure:
    """A chart with its caption; `legend` pairs a sample with its name."""

    title: str
    svg: str
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class _Time:
    """What all charts of a trial share."""

    axis: Axis
    stages: Sequence[Stretch]
    events: Sequence[ServiceEvent]

    def show(self, at_s: float) -> str:
        if self.axis.high < 180:
            return f"{round(at_s, 1):g} s"
        hours, rest = divmod(round(at_s), 3600)
        return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"

    def spans(self, named: bool) -> list[Layer]:
        return [
            Span(_called(stretch) if named else "", stretch.start, stretch.end, shaded=not stretch.stage.measured)
            for stretch in self.stages
        ]

    def marks(self) -> list[Mark]:
        return [Mark(event.at_s) for event in self.events]

    def told(self, start: float = -math.inf, end: float = math.inf) -> list[str]:
        return [str(event) for event in self.events if start <= event.at_s < end]


def over_time(trial: Trial, service: ServiceRecord) -> list[Figure]:
    """The charts that this trial has numbers for; none where its series file is gone."""
    each, used = seconds_of(trial), usage_of(trial)
    last = max([*(second.at for second in each), *(usage.at for usage in used)], default=-1) + 1.0
    stages = stretches(trial)
    time = _Time(seconds(max([stretch.end for stretch in stages], default=last)), stages, trial.events)
    of_load = [_latency(each, time), _throughput(each, time), _users(each, time)] if each else []
    of_service = [_cpu(used, time, service), _memory(used, time, service)] if used else []
    of_replicas = [_replicas(used, time)] if used and _several(used, service) else []
    return of_load + of_replicas + of_service + ([_generator(trial.pulses, time)] if trial.pulses else [])


def _latency(each: Sequence[Second], time: _Time) -> Figure:
    lines = (
        Line("p99", [(second.at + 0.5, second.p99_ms) for second in each], "purple", "2 4"),
        Line("p95", [(second.at + 0.5, second.p95_ms) for second in each], "blue", width=2.25),
        Line("p50", [(second.at + 0.5, second.p50_ms) for second in each], "green", "7 4"),
    )
    values = [value for line in lines for _, value in line.points if value > 0]
    log = bool(values) and max(values) > _LOG_FROM * min(values)
    axis = logarithmic(values) if log else linear(values)
    return _figure(
        "Latency", lines, (), axis, show_ms, time, height=190, note="logarithmic axis" if log else "", named=True
    )


def _throughput(each: Sequence[Second], time: _Time) -> Figure:
    sent = Line("requests", [(second.at + 0.5, second.rps) for second in each], "blue")
    failed = Bars("failures", [(second.at + 0.1, second.failures) for second in each], "vermillion")
    axis = linear([value for _, value in sent.points])
    return _figure("Requests and failures a second", (sent, failed), (), axis, show_per_second, time)


def _users(each: Sequence[Second], time: _Time) -> Figure:
    line = Line("users", [(second.at + 0.5, second.users) for second in each], "black")
    axis = linear([value for _, value in line.points], count=2)
    return _figure("Users", (line,), (), axis, show_number, time, height=60)


def _several(used: Sequence[Usage], service: ServiceRecord) -> bool:
    """Whether there were several replicas, or might have been."""
    return service.cpu_target_percent is not None or any(usage.replicas > 1 for usage in used)


def _replicas(used: Sequence[Usage], time: _Time) -> Figure:
    line = Line("replicas", [(usage.at + 0.5, usage.replicas) for usage in used], "black")
    axis = linear([value for _, value in line.points], count=2)
    return _figure("Replicas", (line,), (), axis, show_number, time, height=60)


def _cpu(used: Sequence[Usage], time: _Time, service: ServiceRecord) -> Figure:
    spread = [(usage.at + 0.5, *usage.cpu_percent) for usage in used]
    return _usage("Service CPU", spread, service.cpu_limit_percent, show_percent, time, service.cpu_target_percent)


def _memory(used: Sequence[Usage], time: _Time, service: ServiceRecord) -> Figure:
    """In the unit of the peak, so that the ticks are round numbers of it."""
    peak = max(usage.memory_bytes[2] for usage in used)
    unit = next((unit for unit in (2**30, 2**20) if peak >= unit), 2**10)
    spread = [
        (usage.at + 0.5, low / unit, mean / unit, high / unit)
        for usage in used
        for low, mean, high in [usage.memory_bytes]
    ]
    limit = service.memory_limit_bytes
    return _usage("Service memory", spread, limit and limit / unit, lambda size: show_bytes(size * unit), time)


def _generator(pulses: Sequence[Pulse], time: _Time) -> Figure:
    """The busiest of its processes, and the seconds in which one had no time for its users."""
    busiest: dict[int, float] = {}
    for pulse in pulses:
        second = round(pulse.at_s - pulse.lasted_s)
        busiest[second] = max(busiest.get(second, 0.0), pulse.cpu_percent)
    line = Line("busiest process", [(second + 0.5, used) for second, used in sorted(busiest.items())], "black")
    marks = Bars("saturated", [(second + 0.1, 100.0) for second in sorted(saturated_seconds(pulses))])
    axis = linear([100.0, *busiest.values()], count=2)
    drawn = (line, marks) if marks.points else (line,)
    return _figure("Load generator CPU", drawn, (), axis, show_percent, time, height=60)


def _usage(
    title: str, spread: Sequence[_Spread], limit: float | None, show: Show, time: _Time, target: float | None = None
) -> Figure:
    """What one replica used: one line, or the mean of several with the band that they span."""
    several = any(low < high for _, low, _, high in spread)
    mean = Line("mean of the replicas" if several else "used", [(at, middle) for at, _, middle, _ in spread])
    band = Band("from the least to the most busy replica", [(at, low, high) for at, low, _, high in spread])
    drawn = (mean, band) if several else (mean,)
    peak = max(high for _, _, _, high in spread)
    near = limit is not None and limit <= _FAR * peak
    rules = [Rule(f"limit {show(limit)}", limit, "vermillion")] if limit is not None and near else []
    if target is not None and target <= _FAR * peak:
        rules.append(Rule(f"target {show(target)}", target, "green"))
    note = "" if limit is None or near else f"limit {show(limit)}, beyond the chart"
    axis = linear([peak, *(rule.value for rule in rules)], count=3)
    return _figure(title, drawn, rules, axis, show, time, height=90, note=note)


def _called(stretch: Stretch) -> str:
    return (stretch.stage.name or "stage") + ("" if stretch.stage.measured else " (not measured)")


def _figure(
    title: str,
    drawn: Sequence[Line | Band | Bars],
    rules: Sequence[Rule],
    axis: Axis,
    show: Show,
    time: _Time,
    *,
    height: float = 120,
    note: str = "",
    named: bool = False,
) -> Figure:
    chart = Chart(
        title=title,
        description=_description(drawn, show, time),
        x=time.axis,
        y=axis,
        layers=[*time.spans(named), *time.marks(), *drawn, *rules],
        show_x=time.show,
        show_y=show,
        height=height,
        top=30 if named else 14,
        hovers=_hovers(drawn, show, time),
    )
    legend = [(swatch(layer), layer.label) for layer in drawn] if len(drawn) > 1 else []
    if named and time.events:
        legend.append((swatch(time.marks()[0]), "a container event"))
    return Figure(title, chart.svg(), tuple(legend), note)


def _description(drawn: Sequence[Line | Band | Bars], show: Show, time: _Time) -> str:
    """What the chart says, for those who do not see it."""
    parts = [f"{layer.label} {_range(_values(layer), show)}" for layer in drawn]
    stages = ", ".join(shorten(stretch.stage.name or "stage", 60) for stretch in time.stages)
    return f"{'; '.join(parts)}; over {time.show(time.axis.high)}" + (f", in stages {stages}." if stages else ".")


def _hovers(drawn: Sequence[Line | Band | Bars], show: Show, time: _Time) -> list[Hover]:
    """A title for each second, or for each few of them in a long load."""
    width = max(1, math.ceil(time.axis.high / _HOVERS))
    hovers = []
    for start in range(0, math.ceil(time.axis.high), width):
        end = min(start + width, time.axis.high)
        lines = [f"{layer.label} {_range(_values(layer, start, end), show)}" for layer in drawn]
        when = time.show(start) if width == 1 else f"{time.show(start)} – {time.show(end)}"
        hovers.append(Hover(start, end, "\n".join([when, *time.told(start, end), *lines])))
    return hovers


def _values(layer: Line | Band | Bars, start: float = -math.inf, end: float = math.inf) -> Iterable[float]:
    """The layer's numbers between two places on the x axis."""
    return (value for at, *values in layer.points if start <= at < end for value in values if not math.isnan(value))


def _range(values: Iterable[float], show: Show) -> str:
    """The values as 'lowest – highest', or the one that they all are."""
    found = list(values)
    shown = dict.fromkeys([show(min(found)), show(max(found))]) if found else ["–"]
    return " to ".join(shown)
