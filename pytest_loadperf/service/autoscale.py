"""How many replicas there should be, by what those that are there use: Kubernetes' rule, without a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.quantity import duration_s, show_rate_percent

if TYPE_CHECKING:  # this module is loaded with the plugin, in every pytest run
    from pytest_loadperf.model import Sample

_TOLERANCE = 0.1  # of the target, in which nothing changes
_HIGHEST = 0.85  # a replica at its limit has to be beyond the tolerance, also where its use is seen as a little less
_FRESH_S = 2.5  # the engine tells once a second, later on a busy machine


@dataclass(frozen=True)
class Autoscale:
    """Adds and removes replicas of a docker_service while a load runs: from `min` to `max`, by their CPU.

    `target_cpu` is what a replica should use on average, as a share of its limit (`cpus=`, else one core). There are
    more as soon as more were wanted for all of the last `up`, and fewer once no more than that were for all of `down`.
    """

    min: int = 1
    max: int = 5
    target_cpu: float = 0.75
    up: str = "3s"
    down: str = "15s"

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise UsageFault("Autoscale: " + "; ".join(faults))

    def _faults(self) -> Iterator[str]:
        counts = {"min": self.min, "max": self.max}
        wrong = [name for name, count in counts.items() if type(count) is not int or count < 1]
        for name in wrong:
            yield f"{name} is {counts[name]!r}; expected a whole number from 1"
        if not wrong and self.max < self.min:
            yield f"max is {self.max}; expected at least min, which is {self.min}"
        share = self.target_cpu
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= _HIGHEST:
            yield (
                f"target_cpu is {share!r}; expected a share of the CPU limit, more than 0 and at most {_HIGHEST}: a "
                "replica at its limit could not be told from one at a higher target"
            )
        for name, value in (("up", self.up), ("down", self.down)):
            try:
                duration_s(value, name)
            except UsageFault as fault:
                yield str(fault)

    @property
    def up_s(self) -> float:
        """For how long more replicas have to be wanted, in seconds."""
        return duration_s(self.up, "up")

    @property
    def down_s(self) -> float:
        """For how long fewer replicas have to be enough, in seconds."""
        return duration_s(self.down, "down")

    def __str__(self) -> str:
        """As a service's record has it: '1 to 5 replicas at 75% CPU'; times where they are not the usual ones."""
        usual = Autoscale()
        up = "" if self.up_s == usual.up_s else f", up after {self.up_s:g} s"
        down = "" if self.down_s == usual.down_s else f", down after {self.down_s:g} s"
        return f"{self.min} to {self.max} replicas at {show_rate_percent(self.target_cpu)} CPU{up}{down}"


class Rule:
    """Decides, look by look, how many replicas there should be."""

    def __init__(self, asked: Autoscale) -> None:
        self._asked = asked
        self._wanted: list[tuple[float, int]] = []  # at which moment, how many

    def decide(self, at_s: float, shares: Sequence[float | None]) -> int:
        """How many there should be from now on; of each that is ready, its CPU as a share of its limit, where known."""
        asked, there = self._asked, len(shares)
        longest_s = max(asked.up_s, asked.down_s)
        while len(self._wanted) > 1 and self._wanted[1][0] <= at_s - longest_s:  # the first one tells since when it is
            del self._wanted[0]
        self._wanted.append((at_s, min(max(self._desired(shares), asked.min), asked.max)))
        more = min(self._over(at_s, asked.up_s), default=there)
        fewer = max(self._over(at_s, asked.down_s), default=there)
        return more if more > there else min(fewer, there)

    def _desired(self, shares: Sequence[float | None]) -> int:
        known = [share for share in shares if share is not None]
        if not known:
            return len(shares)
        target, unknown = self._asked.target_cpu, len(shares) - len(known)
        is_busy = mean(known) > target
        # Those that nothing is known of yet are taken to be idle where more would be wanted, and busy where fewer.
        ratio = mean([*known, *[0.0 if is_busy else 1.0] * unknown]) / target
        if abs(ratio - 1) <= _TOLERANCE or (ratio > 1) != is_busy:
            return len(shares)
        return math.ceil(len(shares) * ratio - 1e-9)

    def _over(self, at_s: float, seconds: float) -> list[int]:
        """What was wanted in the last so many seconds; nothing where it is not known for so long."""
        since_s = at_s - seconds
        before = [count for moment, count in self._wanted if moment <= since_s]
        if not before:
            return []
        return [before[-1], *(count for moment, count in self._wanted if moment > since_s)]


def fresh_cpu(samples: Sequence[Sample], replicas: Collection[int], at_s: float) -> list[float | None]:
    """What each of these replicas used last, in percent of a core; None for one that has told nothing of late."""
    found: dict[int, float] = {}
    for sample in reversed(samples):
        if sample.at_s < at_s - _FRESH_S:
            break
        found.setdefault(sample.replica, sample.cpu_percent)
    return [found.get(replica) for replica in replicas]


def mean(shares: Sequence[float]) -> float:
    """Of at least one."""
    return sum(shares) / len(shares)


def change_in_words(before: int, after: int) -> str:
    """'1 to 2 replicas'."""
    return f"{before} to {after} " + ("replica" if after == 1 else "replicas")
