"""When the arrivals of an open-model stage are due."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_loadperf.errors import UsageFault

_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h)")
_EXPECTED = "expected a rate such as '200/s' or '90/min', or a ramp such as '50/s to 200/s'"


@dataclass(frozen=True)
class Schedule:
    """Arrivals at a steady rate, or at one that changes in a straight line; rates are arrivals a second."""

    start_rate: float
    end_rate: float
    lasts_s: float

    @classmethod
    def parse(cls, rate: object, lasts_s: float) -> Schedule:
        """'200/s', or '50/s to 200/s'; UsageFault for anything else."""
        parts = rate.split(" to ") if isinstance(rate, str) else []
        rates = [found for part in parts if (found := _rate(part.strip())) is not None]
        if not 1 <= len(parts) == len(rates) <= 2:
            raise UsageFault(f"rate is {rate!r}; {_EXPECTED}")
        schedule = cls(rates[0], rates[-1], lasts_s)
        if schedule.count == 0:
            raise UsageFault(f"rate is {rate!r}, at which nobody arrives in {lasts_s:g} s; {_EXPECTED}")
        return schedule

    @property
    def count(self) -> int:
        """How many arrivals there are: the area below the rate."""
        return math.floor((self.start_rate + self.end_rate) / 2 * self.lasts_s + 1e-9)

    @property
    def fastest(self) -> float:
        """The highest rate."""
        return max(self.start_rate, self.end_rate)

    def due(self) -> Iterator[float]:
        """When each is due, in seconds since the stage began: when the area below the rate has grown to its number."""
        slope = (self.end_rate - self.start_rate) / self.lasts_s
        for number in range(self.count):
            if slope == 0:
                yield number / self.start_rate
            else:
                yield (math.sqrt(max(0.0, self.start_rate**2 + 2 * slope * number)) - self.start_rate) / slope

    def smallest_factor(self, lasts_s: float) -> float:
        """By what its rate may be made smaller, at most, so that one arrives in that time."""
        return 2 / lasts_s / (self.start_rate + self.end_rate) * (1 + 1e-6)  # for what rounding takes away

    def scaled(self, factor: float) -> str:
        """The rate, as it would be written, of a stage `factor` times as large."""
        return " to ".join(dict.fromkeys(_written(rate * factor) for rate in (self.start_rate, self.end_rate)))


def _written(rate: float) -> str:
    return f"{rate:.9f}".rstrip("0").rstrip(".") + "/s"


def _rate(text: str) -> float | None:
    match = _RATE.fullmatch(text)
    return float(match.group(1)) / _PER[match.group(2)] if match else None
