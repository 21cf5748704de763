"""The charts of a load's numbers over the runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_loadperf.judge.changepoints import ChangePoint
from pytest_loadperf.judge.rule import away, scale_of
from pytest_loadperf.quantity import moment, show_ms, show_per_second, show_rate_percent
from pytest_loadperf.report.charts import Chart, swatch
from pytest_loadperf.report.figures import Figure
from pytest_loadperf.report.layers import Band, Dot, Dots, Layer, Line, Rule, Span
from pytest_loadperf.report.outcome import in_words
from pytest_loadperf.report.scale import Axis, linear, thin
from pytest_loadperf.report.text import shorten, web_address
from pytest_loadperf.report.trend import Trend

_COLUMNS = 60  # a small chart shows at most three runs in each: the best, the worst and the failed ones
_CHANGES = 3  # of level, the newest, are told in words
_FAR = 3  # a limit further than this many times the largest value is named, not drawn: it would flatten the curve


@dataclass(frozen=True)
class _Metric:
    name: str
    title: str
    show: Callable[[float], str]
    least: float = 0.0  # what the axis shows at least


_SHOWN = (
    _Metric("p95", "p95", show_ms),
    _Metric("failure_rate", "Failure rate", show_rate_percent, least=0.01),
    _Metric("rps", "Requests a second", show_per_second),
)


def over_runs(trend: Trend) -> list[Figure]:
    """A small chart for each of p95, failure rate and throughput."""
    return [_figure(trend, metric) for metric in _SHOWN]


def legend() -> list[tuple[str, str]]:
    """What the marks in these charts mean."""
    return [
        (swatch(Dot(0, 0, ink="blue")), "comparable run"),
        (swatch(Dot(0, 0, ink="vermillion", shape="diamond")), "a threshold of this load broke"),
        (swatch(Dot(0, 0, ink="blue", hollow=True)), "a suspect, not confirmed"),
        (swatch(Dot(0, 0, ink="grey", hollow=True)), "not comparable: other machine, set-up or branch"),
        (swatch(Band("", [])), "where the run was expected"),
        (swatch(Dot(0, 0, ink="black", hollow=True, size=5)), "this run"),
    ]


def _figure(trend: Trend, metric: _Metric) -> Figure:
    values = [float(getattr(point, metric.name)) for point in trend.points]
    peak = max((value for value in values if math.isfinite(value)), default=0.0)
    limits = [limit for limit in trend.limits if limit.metric == metric.name]
    near = [limit for limit in limits if limit.value <= _FAR * max(peak, metric.least)]
    rules = [(f"limit {limit.text}", Rule("", limit.value, "vermillion", "")) for limit in near]
    if not math.isnan(median := trend.medians[metric.name]):
        rules.append((f"median {metric.show(median)}", Rule("", median)))
    last = len(values) - 1
    changes = trend.change_points(metric.name)
    levels = [Span("", change.place - 0.5, last + 0.5) for change in changes]
    levels += [Span("accepted", place - 0.5, last + 0.5) for place, _ in trend.levels()]
    chart = Chart(
        title=f"{metric.title} over {len(values)} {'run' if last == 0 else 'runs'}",
        description=_description(trend, metric, values),
        x=Axis(-0.5, last + 0.5, (0.0, float(last))),
        y=linear([peak, *(rule.value for _, rule in rules), *_reach(trend, metric)], count=3, least=metric.least),
        layers=[*levels, *_band(trend, metric), *(rule for _, rule in rules), *_marks(trend, values, metric)],
        show_x=lambda place: "this run" if place == last else f"{moment(trend.points[0].run.started_at):%-d %b %Y}",
        show_y=metric.show,
        height=110,
        left=13,
        right=2,
    )
    far = [f"limit {limit.text}, beyond the chart" for limit in limits if limit not in near]
    told = trend.levels() if metric is _SHOWN[0] else []  # once is enough
    accepted = [f"accepted from {trend.points[place].called} on: {each.reason}" for place, each in told[-1:]]
    notes = [*far, *(_since(trend, change, metric) for change in changes[-_CHANGES:]), *accepted]
    return Figure(metric.title, chart.svg(), tuple((swatch(rule), name) for name, rule in rules), "; ".join(notes))


def _since(trend: Trend, change: ChangePoint, metric: _Metric) -> str:
    """A change of level in words."""
    by = away(change.after, change.before, scale_of(metric.name))
    return f"since {trend.points[change.place].called}: {by}"


def _reach(trend: Trend, metric: _Metric) -> list[float]:
    """How high the newest run's interval goes, and the band in which it was expected."""
    last = len(trend.points) - 1
    spans = (trend.interval(metric.name, last) or (0.0, 0.0), trend.expected(metric.name, last))
    return [high for _, high in spans if math.isfinite(high)]


def _band(trend: Trend, metric: _Metric) -> list[Layer]:
    """Where each comparable run was expected; a run alone between others gets a width to be seen."""
    places = [place for place, point in enumerate(trend.points) if not point.why_apart]
    spans = [(float(place), *trend.expected(metric.name, place)) for place in places]
    if all(math.isnan(low) for _, low, _ in spans):
        return []
    wide = [(place + side, low, high) for place, low, high in spans for side in (-0.4, 0.4)]
    return [Band("where the run was expected", wide)]


def _marks(trend: Trend, values: Sequence[float], metric: _Metric) -> list[Layer]:
    """A line through the comparable runs, and a dot for each run (for the telling ones, where they are many)."""
    points = trend.points
    placed = [(float(place), value) for place, value in enumerate(values)]
    same = [(place, value) for place, value in placed if not points[int(place)].why_apart]
    apart = [(place, value) for place, value in placed if points[int(place)].why_apart]
    telling = [
        [(place, value) for place, value in same if points[int(place)].failed],
        [(place, value) for place, value in same if points[int(place)].unconfirmed],
    ]
    kept = sorted({placed[-1], *(point for some in (same, apart, *telling) for point in thin(some, _COLUMNS))})
    dots = [_dot(trend, int(place), value, metric) for place, value in kept]
    ring = Dot(*placed[-1], ink="black", hollow=True, size=5)
    return [Line("comparable runs", thin(same, _COLUMNS), "grey", width=1), Dots([ring, *dots])]


def _dot(trend: Trend, place: int, value: float, metric: _Metric) -> Dot:
    point, interval = trend.points[place], trend.interval(metric.name, place)
    title = [f"{metric.title} {metric.show(value)}", point.called]
    if interval is not None and not math.isnan(interval[0]):
        title[0] += f" ({metric.show(interval[0])} to {metric.show(interval[1])})"
    if point.run.commit and point.run.commit.subject:
        title.append(shorten(point.run.commit.subject, 80))
    if point.status:
        title.append(in_words(point.status))
    text = "\n".join([*title, *([f"not comparable: {shorten(point.why_apart, 120)}"] if point.why_apart else [])])
    dot = Dot(place, value, text, "blue", size=2.5, interval=interval, href=web_address(point.run.ci_url))
    if point.why_apart:
        return replace(dot, ink="grey", hollow=True)
    if point.failed:
        return replace(dot, ink="vermillion", shape="diamond")
    return replace(dot, hollow=point.unconfirmed)


def _description(trend: Trend, metric: _Metric, values: Sequence[float]) -> str:
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return "No requests in any run."
    span = f"Between {metric.show(min(found))} and {metric.show(max(found))}, {metric.show(values[-1])} in this run"
    median = trend.medians[metric.name]
    return f"{span}." if math.isnan(median) else f"{span}, {metric.show(median)} in the median of the baseline."
