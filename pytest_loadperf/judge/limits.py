"""What a number is held against: a quantity, or the baseline with a tolerance around it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pytest_loadperf.judge.metrics import Kind


@dataclass(frozen=True)
class Quantity:
    """A number as it was written, and its unit."""

    number: Decimal
    unit: str = ""

    def value(self, kind: Kind) -> float:
        """The number in the kind's base unit, rounded once, so that 57% equals 57 of 100."""
        return float(self.number * kind.units[self.unit])

    def __str__(self) -> str:
        return f"{self.number:f}{self.unit}"


@dataclass(frozen=True)
class Tolerance:
    """How far from the baseline is still good: a part of it, an amount, or the larger of both."""

    percent: Decimal | None = None
    amount: Quantity | None = None

    def value(self, baseline: float, kind: Kind) -> float:
        """The tolerance around this baseline, in the kind's base unit."""
        part = 0.0 if self.percent is None else baseline * float(self.percent / 100)
        return max(part, 0.0 if self.amount is None else self.amount.value(kind))

    def __str__(self) -> str:
        percent = "" if self.percent is None else f"{self.percent:f}%"
        if self.amount is None:
            return percent
        return f"max({percent}, {self.amount})" if percent else str(self.amount)


@dataclass(frozen=True)
class FromBaseline:
    """A limit that moves with the baseline."""

    sign: Literal["+", "-"] = "+"
    tolerance: Tolerance | None = None

    def value(self, baseline: float, kind: Kind) -> float:
        """The limit that this baseline gives, in the kind's base unit."""
        distance = self.tolerance.value(baseline, kind) if self.tolerance else 0.0
        return baseline + distance if self.sign == "+" else baseline - distance

    def around(self, centre: str) -> str:
        """The limit in words, `centre` standing for the baseline."""
        return f"{centre} {self.sign} {self.tolerance}" if self.tolerance else centre

    def __str__(self) -> str:
        return self.around("baseline")
