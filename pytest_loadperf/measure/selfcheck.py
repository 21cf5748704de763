"""The generator's pulses over a stage: was it awake, and was the machine quiet?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from pytest_loadperf.model import Pulse, SelfCheck

_BUSY_PERCENT = 90.0  # of a second at work, or ready for it: too little is left for reading answers when they come
_LATE_MS = 100.0  # a loop that was late by this has not looked at answers for so long
_FEW = 0.1  # of a stage's seconds, and one at least: a ramp's first second, a hiccup of the machine


def is_saturated(pulse: Pulse) -> bool:
    """Whether a process of the generator had no time for its users in this second."""
    waited = 0.0 if math.isnan(pulse.waited_percent) else pulse.waited_percent
    return pulse.cpu_percent + waited >= _BUSY_PERCENT or pulse.lag_ms >= _LATE_MS


def is_bottleneck(check: SelfCheck) -> bool:
    """Whether so many seconds were saturated that the stage tells more of the generator than of the service."""
    return check.saturated_s > max(1.0, check.seconds * _FEW)


def self_check(pulses: Sequence[Pulse], began_s: float, ended_s: float, service_cpu_percent: float) -> SelfCheck:
    """The check of a stage that lasted from one moment to the other, in seconds since the load began."""
    seconds: defaultdict[int, list[Pulse]] = defaultdict(list)
    for pulse in pulses:
        if began_s + 0.5 < pulse.at_s <= ended_s + 0.5:  # most of its second is the stage's
            seconds[round(pulse.at_s)].append(pulse)
    if not seconds:
        return SelfCheck()
    each = list(seconds.values())
    others_percent = _mean(map(_used_besides, each)) - service_cpu_percent
    return SelfCheck(
        seconds=len(each),
        saturated_s=sum(any(is_saturated(pulse) for pulse in second) for second in each),
        cpu_percent=fmean(max(pulse.cpu_percent for pulse in second) for second in each),
        waited_percent=_mean(pulse.waited_percent for second in each for pulse in second),
        lag_ms=max(pulse.lag_ms for second in each for pulse in second),
        steal_percent=_mean(pulse.steal_percent for second in each for pulse in second),
        stalled_percent=_mean(pulse.stalled_percent for second in each for pulse in second),
        others_percent=others_percent if math.isnan(others_percent) else max(0.0, others_percent),
    )


def _used_besides(second: Sequence[Pulse]) -> float:
    """What the machine was busy with besides the generator; NaN where it does not say."""
    here = [pulse for pulse in second if not math.isnan(pulse.busy_percent)]  # workers elsewhere do not say
    return here[0].busy_percent - sum(pulse.cpu_percent for pulse in here) if here else math.nan


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
