"""The threshold language: what a test demands of a load, parsed when tests are collected.

    threshold := [ load "." ] metric [ "[" endpoint "]" ] [ "@" stage ] op limit
    metric    := p50 … p99.99 | mean | min | max | rps | requests | failures | failure_rate
               | service.cpu | service.memory | capacity.users | capacity.rate | capacity.rps
    op        := "<" | "<=" | ">" | ">="
    limit     := quantity | "baseline" [ ("+" | "-") tolerance ]
    tolerance := percent | quantity | "max(" percent "," quantity ")"

A percentage of the baseline is relative: `p95 < baseline + 10%`. For failure_rate and service.cpu, which are counted in
percent themselves, it means percentage points: a tenth of a failure rate of zero would be no tolerance at all. An
endpoint may hold brackets in pairs, as in `p95[/items/[id]]`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.limits import FromBaseline, Quantity, Tolerance
from pytest_loadperf.judge.metrics import LATENCY, NAMES, Kind, Metric, is_metric
from pytest_loadperf.judge.scanner import Scanner

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Threshold:
    """One demand on a load."""

    metric: Metric
    op: str
    limit: Quantity | FromBaseline
    load: str | None = None  # the fixture's name, where a test that uses several names one
    text: str = field(default="", compare=False)  # as the user wrote it

    @property
    def relative(self) -> bool:
        """Whether it takes earlier runs to judge it."""
        return isinstance(self.limit, FromBaseline)

    @property
    def excusable(self) -> bool:
        """Whether a generator that is short of time can break it: it sees answers late, and asks for less."""
        if self.op.startswith("<"):
            return self.metric.kind.noun == LATENCY
        return self.metric.of_capacity or self.metric.name in ("rps", "requests")

    def holds(self, observed: float, limit: float) -> bool:
        """Whether the observed number keeps the limit; NaN never does."""
        return _COMPARE[self.op](observed, limit)

    def __str__(self) -> str:
        load = "" if self.load is None else f"{self.load}."
        return f"{load}{self.metric} {self.op} {self.limit}"


# A dot before a letter ends a load's name; metrics with such a dot are no load that is called "service" or "capacity".
_LOAD = re.compile(r"(?!(?:service\.(?:cpu|memory)|capacity\.(?:users|rate|rps))(?![\w.]))[^\W\d]\w*\.(?=[^\W\d])")
_NAME = re.compile(r"[^\W\d][\w.]*")
_STAGE = re.compile(r"[^<>=]+")
_OPERATOR = re.compile(r"[<>]=?(?!=)")
_BASELINE, _MAX = re.compile(r"baseline\b"), re.compile(r"max\b")
_SIGN = re.compile(r"[+-]")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?(?![0-9.])")
_UNIT = re.compile(r"[^\W\d_]+|%|/\w+")
_OPEN, _COMMA, _CLOSE, _PERCENT = (re.compile(re.escape(sign)) for sign in "(,)%")
_BRACKET, _AT, _REST = re.compile(r"\["), re.compile("@"), re.compile(r"(?s).+")


def parse(text: object) -> Threshold:
    """The threshold that a text means; UsageFault, with a caret under the fault, if it means none."""
    if not isinstance(text, str):
        raise UsageFault(f"bad threshold: {text!r} is no text; expected one such as 'p95 < 250ms'")
    scan = Scanner(text)
    load = scan.take(_LOAD).removesuffix(".") or None
    metric = _metric(scan)
    op = scan.expect(_OPERATOR, "the comparison is missing", "one of < <= > >=")
    limit = _limit(scan, metric.kind)
    if rest := scan.take(_REST):
        raise scan.fault(f"{rest.rstrip()!r} is too much", "the end of the threshold", scan.at - len(rest))
    return Threshold(metric, op, limit, load, text)


def _metric(scan: Scanner) -> Metric:
    name = scan.take(_NAME)
    if not is_metric(name):
        wrong = f"there is no metric {name!r}" if name else "the metric is missing"
        raise scan.fault(wrong, "one of " + ", ".join(NAMES), scan.at - len(name))
    metric = Metric(name)
    if scan.take(_BRACKET):
        metric = replace(metric, endpoint=_endpoint(scan, metric))
    if scan.take(_AT):
        if metric.of_capacity:
            raise scan.fault(f"{metric.name} is of no stage: the search tries many", "a comparison", scan.at - 1)
        stage = scan.expect(_STAGE, "the stage is missing", f"its name, as in {name}@rush")
        metric = replace(metric, stage=stage.rstrip())
    return metric


def _endpoint(scan: Scanner, metric: Metric) -> str:
    start = scan.at
    if metric.of_service:
        raise scan.fault(f"{metric.name} is not counted by endpoint", "@ and a stage, or a comparison", start - 1)
    if metric.of_capacity:
        raise scan.fault(f"{metric.name} is of all endpoints together", "a comparison", start - 1)
    end = _closing(scan.text, start)
    if end is None:
        raise scan.fault("the bracket is not closed", f"an endpoint and ], as in {metric.name}[GET /search]", start - 1)
    endpoint = scan.text[start:end].strip()
    if not endpoint:
        raise scan.fault("the endpoint is missing", f"its name, as in {metric.name}[GET /search]")
    scan.at = end + 1
    return endpoint


def _closing(text: str, start: int) -> int | None:
    """Where the bracket that was opened before `start` is closed."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None


def _limit(scan: Scanner, kind: Kind) -> Quantity | FromBaseline:
    if not scan.take(_BASELINE):
        return _quantity(scan, kind.noun, kind.units, f"a quantity such as {kind.example}, or baseline")
    sign = scan.take(_SIGN)
    return FromBaseline("-" if sign == "-" else "+", _tolerance(scan, kind)) if sign else FromBaseline()


def _tolerance(scan: Scanner, kind: Kind) -> Tolerance:
    if scan.take(_MAX):
        return _larger(scan, kind)
    examples = kind.step if kind.in_percent else f"10%, {kind.step} or max(10%, {kind.step})"
    quantity = _quantity(scan, "the tolerance", dict.fromkeys(("%", *kind.units)), f"a tolerance such as {examples}")
    relative = quantity.unit == "%" and not kind.in_percent
    return Tolerance(percent=quantity.number) if relative else Tolerance(amount=quantity)


def _larger(scan: Scanner, kind: Kind) -> Tolerance:
    example = f"a percentage and a quantity, as in max(10%, {kind.step})"
    if kind.in_percent:
        wrong = f"max() is not for {kind.noun}, whose % are percentage points"
        raise scan.fault(wrong, f"one tolerance, as in + {kind.step}", scan.at - len("max"))
    scan.expect(_OPEN, "the bracket after max is missing", example)
    percent = scan.expect(_NUMBER, "the percentage is missing", example)
    scan.expect(_PERCENT, "the first of max() is no percentage", example)
    scan.expect(_COMMA, "the comma is missing", example)
    amount = _quantity(scan, kind.noun, kind.units, example)
    scan.expect(_CLOSE, "the bracket is not closed", example)
    return Tolerance(Decimal(percent), amount)


def _quantity(scan: Scanner, noun: str, units: Iterable[str], accepted: str) -> Quantity:
    number = scan.expect(_NUMBER, "the number is missing", accepted)
    unit = scan.take(_UNIT)
    if unit in units:
        return Quantity(Decimal(number), unit)
    choice = " or ".join(unit or "no unit" for unit in units)
    wrong = f"{unit!r} is no unit of {noun}" if unit else f"{noun} needs its unit"
    raise scan.fault(wrong, f"{choice}, as in {number}{next(iter(units))}", scan.at - len(unit))
