"""Whether a build is slower than the one it was measured beside: no history is asked, and the machine cancels out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from pytest_loadperf.judge.limits import FromBaseline
from pytest_loadperf.judge.metrics import Metric, series_of
from pytest_loadperf.judge.regression import FAILS_MORE, bends, own_error
from pytest_loadperf.judge.rule import BAND, COUNT, Scale, away, scale_of
from pytest_loadperf.judge.statistics import are_enough, mean_of
from pytest_loadperf.judge.thresholds import Threshold
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.model import Trial
from pytest_loadperf.quantity import show_rate_percent
from pytest_loadperf.records import Change, LoadRecord, Status, Verdict

PAIRS_NEEDED = 2
_LEAST = 0.02  # what counts as a change at all, as a part of the baseline
_BLIND = 0.2  # of the baseline: where pairs let only larger changes be seen, they prove little
_PRIOR = 0.04  # how much the two of a pair differ, before any was seen: on one machine it is 1 to 8 %
# How rarely chance alone may make a build seem so much worse. As there may be three looks at the pairs, it accuses 5 of
# 1,000 unchanged builds where pairs differ by 5 %, and 10 where they differ by more (simulated).
_UNLIKELY = 0.003


class Pairs:
    """The differences between the two of each pair, on a scale: where they stand, and which would stand out."""

    def __init__(
        self, pairs: Sequence[tuple[float, float]], scale: Scale, *, worse: float = 1.0, own_error: float = 0.0
    ) -> None:
        """By the values of candidate and baseline; a pair without one of them does not count.

        `worse` is 1 where larger is worse, else -1; `own_error` is that of one pair, where that is known.
        """
        differences = [scale.forward(candidate) - scale.forward(baseline) for candidate, baseline in pairs]
        known = [difference for difference in differences if math.isfinite(difference)]
        self.count = len(known)
        self._worse = worse
        self._scale = scale
        if known:
            found = mean_of(known, _PRIOR if scale.relative else scale.prior, own_error, trimmed=scale.relative)
            self.mean = found.centre
            self._chance = replace(found, centre=0.0)

    @property
    def reach(self) -> float:
        """How far the true difference may lie from the mean, 95 times of 100."""
        return self._chance.reach(BAND)

    @property
    def visible(self) -> float:
        """The mean for the worse that chance alone would hardly make."""
        return self._worse * self._chance.reach(_UNLIKELY)

    def shown(self, centre: float, grown: float = 1.0) -> float:
        """The first value for the worse, of a baseline that stands there, that would stand out."""
        value = self._scale.back(self._scale.forward(centre) + grown * self.visible)
        step = _step(centre, self._scale)
        return max(value, centre + step) if self._worse > 0 else min(value, centre - step)

    def is_worse(self) -> bool:
        """Whether chance alone would hardly make the baseline seem so much better."""
        return self._chance.tail(self._worse * self.mean) < _UNLIKELY

    def is_better(self) -> bool:
        """The other way round."""
        return self._chance.tail(-self._worse * self.mean) < _UNLIKELY


def judge_paired(verdict: Verdict, threshold: Threshold, limit: FromBaseline, load: LoadRecord) -> Verdict:
    """The verdict on a limit that moves with the baseline, by the build that was measured beside."""
    metric, kind = threshold.metric, threshold.metric.kind
    beside = replace(load, trials=load.against)
    pairs = _pairs(metric, load, 1.0 if threshold.op.startswith("<") else -1.0)
    observed, centre = metric.value(load), metric.value(beside)
    seen = replace(verdict, baseline=f"side by side with {load.against_name}, {pairs.count} pairs")
    if pairs.count < PAIRS_NEEDED or math.isnan(centre):
        why = f"only {pairs.count} of the pairs can be compared; a verdict needs {PAIRS_NEEDED}"
        if math.isnan(centre):
            why = f"{load.against_name}: {metric.why_missing(replace(beside, aborted=None))}"
        return replace(seen, status="inconclusive", observed=kind.show(observed, 3), reason=why)
    scale = scale_of(metric.name)
    change = _change(metric, pairs, scale, observed, centre)
    bound = limit.value(centre, kind)
    status, reason = _status(threshold, pairs, change, bound, scale)
    if why := _no_measure(metric, load, beside, status):
        status, reason = "inconclusive", f"{reason}: {why}"
    elif status == "inconclusive" and max(abs(each - centre) for each in (change.low, change.high)) > _step(
        centre, scale
    ):
        change = replace(change, undecided=True)
    # An odd trial may move the number of all requests, but not the verdict.
    misleads = status == "regressed" and threshold.holds(observed, bound)
    shown, shown_bound = kind.shown(change.paired if misleads else observed, bound)
    (shown_centre,) = kind.shown(centre)
    return replace(
        seen,
        status=status,
        observed=shown,
        limit=f"{threshold.op} {shown_bound} ({limit.around(shown_centre)})",
        reason=reason,
        change=change,
    )


@dataclass(frozen=True)
class Comparison:
    """One series of two builds."""

    metric: Metric
    change: Change
    status: Literal["worse", "better", "same"]  # "same" where chance may have made the difference

    @property
    def observed(self) -> str:
        """The candidate's number."""
        return self.metric.kind.show(self.change.observed, 3)

    @property
    def centre(self) -> str:
        """The baseline's."""
        return self.metric.kind.show(self.change.centre, 3)

    @property
    def away(self) -> str:
        """How far the candidate is from the baseline: '+11.8%'."""
        return self._away(self.change.paired)

    @property
    def interval(self) -> str:
        """Between which distances it lies, 95 times of 100: '+8.7% to +15.0%'."""
        return f"{self._away(self.change.low)} to {self._away(self.change.high)}"

    @property
    def visible(self) -> str:
        """The smallest change for the worse that would stand out."""
        return self._away(self.change.visible)

    def _away(self, value: float) -> str:
        return away(value, self.change.centre, scale_of(self.metric.name))


def requests_of_fewer(metric: Metric, load: LoadRecord) -> tuple[int, bool]:
    """The requests that a number is of, all pairs together, in the build that made fewer; whether that's the baseline.

    Without a build beside, and where that one made none at all, it is the load's own.
    """
    ours, theirs = (
        measured(half, metric.stage, metric.endpoint).requests for half in (load, replace(load, trials=load.against))
    )
    return (theirs, True) if 0 < theirs < ours else (ours, False)


def lacks_pairs(metric: Metric, load: LoadRecord) -> bool:
    """Whether too few requests were made for a percentile, and those of as many pairs again are likely to be enough."""
    requests, _ = requests_of_fewer(metric, load)
    if metric.percent is None or are_enough(requests, metric.percent) or not are_enough(2 * requests, metric.percent):
        return False
    beside = replace(load, trials=load.against)
    return not math.isnan(metric.value(beside)) and not _no_measure(metric, load, beside, "inconclusive")


def comparisons(load: LoadRecord) -> list[Comparison]:
    """Every series of a load that can be told of, against that of the build beside it."""
    return [made for metric in series_of(load) if (made := _comparison(metric, load)) is not None]


def _comparison(metric: Metric, load: LoadRecord) -> Comparison | None:
    scale, pairs = scale_of(metric.name), _pairs(metric, load, metric.worse)
    beside = replace(load, trials=load.against)
    observed, centre = metric.value(load), metric.value(beside)
    if pairs.count < PAIRS_NEEDED or math.isnan(observed) or math.isnan(centre) or _too_few(metric, load):
        return None
    change = _change(metric, pairs, scale, observed, centre)
    tells = abs(change.paired - centre) >= _step(centre, scale)
    if tells and pairs.is_worse() and not _no_measure(metric, load, beside, "regressed"):
        return Comparison(metric, change, "worse")
    if tells and pairs.is_better() and not _no_measure(metric, load, beside, "improved"):
        return Comparison(metric, change, "better")
    return Comparison(metric, change, "same")


def _too_few(metric: Metric, load: LoadRecord) -> bool:
    return metric.percent is not None and not are_enough(requests_of_fewer(metric, load)[0], metric.percent)


def _pairs(metric: Metric, load: LoadRecord, worse: float) -> Pairs:
    scale = scale_of(metric.name)

    def of(trial: Trial) -> LoadRecord:
        return replace(load, trials=(trial,))

    both = [(of(candidate), of(baseline)) for candidate, baseline in zip(load.trials, load.against, strict=False)]
    values = [(metric.value(candidate), metric.value(baseline)) for candidate, baseline in both]
    # An endpoint may be asked for in some trials only.
    known = [halves for halves, numbers in zip(both, values, strict=True) if not any(map(math.isnan, numbers))]
    return Pairs(values, scale, worse=worse, own_error=_own_error(metric, scale, known))


def _own_error(metric: Metric, scale: Scale, both: Sequence[tuple[LoadRecord, LoadRecord]]) -> float:
    """What the number of requests alone makes of one pair's difference.

    That is of failures, of which there may be none in any pair. The spread of latencies is in the pairs themselves, and
    the interval of a few hundred requests' percentile is much wider than that.
    """
    if scale.relative or not both:
        return 0.0
    return math.sqrt(fmean(own_error(metric, ours) ** 2 + own_error(metric, theirs) ** 2 for ours, theirs in both))


def _change(metric: Metric, pairs: Pairs, scale: Scale, observed: float, centre: float) -> Change:
    """How the candidate stands to the baseline; the numbers of both are of all their trials together."""
    # The count of all pairs is their sum, whose root grows with theirs.
    grown = math.sqrt(pairs.count) if scale is COUNT else 1.0

    def at(difference: float) -> float:
        return scale.back(scale.forward(centre) + grown * difference)

    return Change(
        series=str(metric),
        observed=observed,
        centre=centre,
        low=at(pairs.mean - pairs.reach),
        high=at(pairs.mean + pairs.reach),
        visible=pairs.shown(centre, grown),
        runs=pairs.count,
        paired=at(pairs.mean),
    )


def _step(centre: float, scale: Scale) -> float:
    """The smallest change that counts, in the metric's own unit."""
    return centre * _LEAST if scale.relative else scale.least


def _status(threshold: Threshold, pairs: Pairs, change: Change, bound: float, scale: Scale) -> tuple[Status, str]:
    """What it comes to, and why."""

    def distance(value: float) -> str:
        return away(value, change.centre, scale)

    between = f"{distance(change.low)} to {distance(change.high)}"
    seen = f"{distance(change.paired)} ({between}), {distance(change.visible)} would be seen"
    counts = abs(change.paired - change.centre) >= _step(change.centre, scale)
    if not threshold.holds(change.paired, bound) and counts and pairs.is_worse():
        return "regressed", seen
    # Nor may the requests of all pairs together be beyond the limit: what is odd in a few pairs may be the build's.
    if not all(threshold.holds(value, bound) for value in (change.observed, change.paired)):
        return "inconclusive", f"{seen}: within what chance explains"
    if counts and pairs.is_better():
        return "improved", seen
    if replace(scale, blind=_BLIND if scale.relative else scale.blind).hides(change.visible, change.centre, bound):
        why = "pairs differ too much" if scale.relative else "too little to tell"
        return "inconclusive", f"{seen}: {why}"
    return "ok", seen


def _no_measure(metric: Metric, load: LoadRecord, beside: LoadRecord, status: Status) -> str:
    """Why a number that its failures bend proves nothing: errors are fast, or slow, but no answers."""
    if not bends(metric):
        return ""
    if all(_fails_anew(metric, half) for half in (load, beside)):
        return (
            "of both builds, more requests failed once the services had been started anew, without what was in memory"
        )
    ours, theirs = (measured(each, metric.stage, metric.endpoint).failure_rate for each in (load, beside))
    if theirs > ours + FAILS_MORE:
        return f"{load.against_name} failed more, {show_rate_percent(theirs)} to {show_rate_percent(ours)}"
    if ours > theirs + FAILS_MORE and status in ("ok", "improved"):
        return f"more requests failed, {show_rate_percent(ours)} to {show_rate_percent(theirs)} of {load.against_name}"
    return ""


def _fails_anew(metric: Metric, load: LoadRecord) -> bool:
    """Whether more requests failed than in the first trial, before which nothing was started anew."""
    first, *rest = load.trials
    if not rest:
        return False
    before, after = (
        measured(replace(load, trials=tuple(trials)), metric.stage, metric.endpoint).failure_rate
        for trials in ((first,), rest)
    )
    return after > before + FAILS_MORE
