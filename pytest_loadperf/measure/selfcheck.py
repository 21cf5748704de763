"""The generator's pulses over a stage: was it awake, was the machine quiet, and how many users ran?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pytest_loadperf.model import Pulse, SelfCheck

_BUSY_PERCENT = 90.0  # of a second at work, or ready for it: too little is left for reading answers when they come
_LATE_MS = 100.0  # a loop that was late by this has not looked at answers for so long
_FEW = 0.1  # of a stage: a ramp's first second, a hiccup of the machine
_FEW_S = 1.5
_SLIVER_S = 0.01  # of a pulse at the edge of a stage: it is told a moment after the stage's end


def is_saturated(pulse: Pulse) -> bool:
    """Whether a process of the generator had no time for its users in this second."""
    waited = 0.0 if math.isnan(pulse.waited_percent) else pulse.waited_percent
    return pulse.cpu_percent + waited >= _BUSY_PERCENT or pulse.lag_ms >= _LATE_MS


def saturated_seconds(pulses: Iterable[Pulse]) -> frozenset[int]:
    """The whole seconds since the load began in which a process was saturated, if only for a part of them."""
    return frozenset(second for pulse in pulses if is_saturated(pulse) for second in _seconds(pulse))


def _seconds(pulse: Pulse) -> Sequence[int]:
    """Those that it is about: it comes a moment after a second's end, and the last one of a stage before."""
    began_s = pulse.at_s - pulse.lasted_s
    return range(round(began_s), round(pulse.at_s)) or [int((began_s + pulse.at_s) / 2)]


def clipped(pulse: Pulse, began_s: float, ended_s: float) -> Pulse | None:
    """The part of a pulse between two moments: what held the loop may have done so over the end of a stage, or more."""
    until_s = min(pulse.at_s, ended_s)
    inside_s = until_s - max(pulse.at_s - pulse.lasted_s, began_s)
    return replace(pulse, at_s=until_s, lasted_s=inside_s) if inside_s > _SLIVER_S else None


def is_bottleneck(check: SelfCheck) -> bool:
    """Whether so much of a stage was saturated that it tells more of the generator than of the service."""
    return check.saturated_s > max(_FEW_S, check.seconds * _FEW)


def self_check(pulses: Sequence[Pulse], began_s: float, ended_s: float, service_cpu_percent: float) -> SelfCheck:
    """The check of a stage that lasted from one moment to the other, in seconds since the load began."""
    processes: defaultdict[int, list[Pulse]] = defaultdict(list)
    for pulse in pulses:
        if part := clipped(pulse, began_s, ended_s):
            processes[pulse.process].append(part)
    if not processes:
        return SelfCheck()
    worst = max(processes.values(), key=lambda process: (_saturated_s(process), _mean(process, _cpu_percent)))
    everything = [pulse for process in processes.values() for pulse in process]
    others_percent = _used_besides(processes.values()) - service_cpu_percent
    return SelfCheck(
        seconds=sum(pulse.lasted_s for pulse in worst),
        saturated_s=_saturated_s(worst),
        cpu_percent=_mean(worst, _cpu_percent),
        waited_percent=_mean(worst, lambda pulse: pulse.waited_percent),
        lag_ms=max(pulse.lag_ms for pulse in everything),
        steal_percent=_mean(everything, lambda pulse: pulse.steal_percent),
        stalled_percent=_mean(everything, lambda pulse: pulse.stalled_percent),
        others_percent=others_percent if math.isnan(others_percent) else max(0.0, others_percent),
    )


def most_users(pulses: Iterable[Pulse], began_s: float, ended_s: float) -> int:
    """The most that all processes ran in one second between two moments, in whichever order they told of it."""
    seconds: defaultdict[int, Counter[int]] = defaultdict(Counter)  # of each process
    for pulse in pulses:
        if began_s <= pulse.at_s - pulse.lasted_s / 2 < ended_s:  # a worker hears of a stage a moment early or late
            for second in _seconds(pulse):
                seconds[second][pulse.process] = max(seconds[second][pulse.process], pulse.users)
    return max((users.total() for users in seconds.values()), default=0)


def _saturated_s(pulses: Iterable[Pulse]) -> float:
    return sum(pulse.lasted_s for pulse in pulses if is_saturated(pulse))


def _cpu_percent(pulse: Pulse) -> float:
    return pulse.cpu_percent


def _used_besides(processes: Iterable[Sequence[Pulse]]) -> float:
    """What the machine was busy with besides the generator; NaN where it does not say."""
    # Workers elsewhere do not say how busy their machines were: that is nothing of this one.
    here = [process for process in processes if not math.isnan(_mean(process, lambda pulse: pulse.busy_percent))]
    busy = [_mean(process, lambda pulse: pulse.busy_percent) for process in here]
    return max(busy) - sum(_mean(process, _cpu_percent) for process in here) if here else math.nan


def _mean(pulses: Iterable[Pulse], of: Callable[[Pulse], float]) -> float:
    """Over time; NaN where no pulse says."""
    known = [(of(pulse), pulse.lasted_s) for pulse in pulses if not math.isnan(of(pulse))]
    lasted = sum(lasted_s for _, lasted_s in known)
    return sum(value * lasted_s for value, lasted_s in known) / lasted if lasted else math.nan
