"""Numbers with their units: durations and sizes as users write them, and every quantity as it is shown."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

from pytest_loadperf.errors import UsageFault

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {
    **{"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30},
    **{"k": 2**10, "m": 2**20, "g": 2**30},  # Docker's own spelling: 512m
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smh])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_UNKNOWN = "–"


def duration_s(value: object, what: str) -> float:
    """Seconds of a duration such as '30s', '1m30s' or '500ms'; `what` names it in the error."""
    seconds = _seconds(value.strip()) if isinstance(value, str) else None
    if seconds is None:
        raise UsageFault(f"{what} is {value!r}; expected a duration with its unit, such as '30s', '1m30s' or '500ms'")
    if seconds <= 0:
        raise UsageFault(f"{what} is {value!r}; expected more than zero")
    return seconds


@lru_cache(1_000)  # the stages of a long history have the same ones
def _seconds(text: str) -> float | None:
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part.group(0) for part in parts).replace(" ", "") != text.replace(" ", ""):
        return None
    return sum(float(part.group(1)) * _SECONDS[part.group(2)] for part in parts)


def size_bytes(value: object, what: str) -> int:
    """Bytes of a size such as '512m', '1.5GiB' or 536870912."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match.group(2).lower() not in _BYTES or float(match.group(1)) <= 0:
        raise UsageFault(f"{what} is {value!r}; expected a size such as '512m', '1.5GiB' or a number of bytes")
    return int(float(match.group(1)) * _BYTES[match.group(2).lower()])


def show_number(value: float, digits: int = 3) -> str:
    """The number with this many significant digits, all digits before the point kept; NaN is a dash."""
    if math.isnan(value):
        return _UNKNOWN
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def show_ms(value_ms: float, digits: int = 3) -> str:
    """A latency: '0.87 ms', '312 ms', '1234 ms', and in seconds from ten of them."""
    if abs(value_ms) >= 10_000:
        return f"{show_number(value_ms / 1000, digits)} s"
    return _with_unit(value_ms, digits, " ms")


def show_percent(percent: float, digits: int = 3) -> str:
    """A share in percent, or CPU use, where 100 % is one core: '87.5%'."""
    return _with_unit(percent, digits, "%")


def show_rate_percent(rate: float, digits: int = 3) -> str:
    """A rate from 0 to 1 in percent: '0.5%'."""
    return show_percent(rate * 100, digits)


def show_per_second(rps: float, digits: int = 3) -> str:
    """A throughput: '48.2/s'."""
    return _with_unit(rps, digits, "/s")


def show_bytes(size: float, digits: int = 3) -> str:
    """A size in the largest binary unit that leaves at least one: '128 MiB'."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(size) >= unit:
            return f"{show_number(size / unit, digits)} {name}"
    return _with_unit(size, digits, " B")


def _with_unit(value: float, digits: int, unit: str) -> str:
    return _UNKNOWN if math.isnan(value) else show_number(value, digits) + unit


def show_time(iso: str) -> str:
    """A moment to the minute, in UTC whatever its own zone: '2026-11-19 10:12 UTC'."""
    return f"{moment(iso):%Y-%m-%d %H:%M} UTC"


def moment(iso: str) -> datetime:
    """The moment of an ISO 8601 text, which is in UTC where it names no zone; ValueError if it is none."""
    read = datetime.fromisoformat(iso)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
