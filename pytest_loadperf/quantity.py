"""Numbers with their units, as users write them: durations, sizes and rates."""

from __future__ import annotations

import re

from pytest_loadperf.errors import UsageFault

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {
    **{"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30},
    **{"k": 2**10, "m": 2**20, "g": 2**30},  # Docker's own spelling: 512m
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smh])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


def duration_s(value: object, what: str) -> float:
    """Seconds of a duration such as '30s', '1m30s' or '500ms'; `what` names it in the error."""
    text = value.strip() if isinstance(value, str) else ""
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part.group(0) for part in parts).replace(" ", "") != text.replace(" ", ""):
        raise UsageFault(f"{what} is {value!r}; expected a duration with its unit, such as '30s', '1m30s' or '500ms'")
    seconds = sum(float(part.group(1)) * _SECONDS[part.group(2)] for part in parts)
    if seconds <= 0:
        raise UsageFault(f"{what} is {value!r}; expected more than zero")
    return seconds


def size_bytes(value: object, what: str) -> int:
    """Bytes of a size such as '512m', '1.5GiB' or 536870912."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match.group(2).lower() not in _BYTES or float(match.group(1)) <= 0:
        raise UsageFault(f"{what} is {value!r}; expected a size such as '512m', '1.5GiB' or a number of bytes")
    return int(float(match.group(1)) * _BYTES[match.group(2).lower()])
