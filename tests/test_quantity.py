from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.quantity import (
    duration_s,
    moment,
    show_bytes,
    show_ms,
    show_number,
    show_per_second,
    show_percent,
    show_rate_percent,
    show_time,
    size_bytes,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("2min", 120), (" 1 m 30 s ", 90)],
)
def test_a_duration_is_read_in_every_unit(text: str, seconds: float) -> None:
    assert duration_s(text, "duration") == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["30", "", "s", "30x", "30s!", "s30", "-5s", 30, None, "1,5s"])
def test_a_duration_without_its_unit_is_refused_by_name(value: object) -> None:
    with pytest.raises(UsageFault) as fault:
        duration_s(value, "timeout")
    assert str(fault.value) == (
        f"timeout is {value!r}; expected a duration with its unit, such as '30s', '1m30s' or '500ms'"
    )


def test_a_duration_of_nothing_is_refused() -> None:
    with pytest.raises(UsageFault, match=r"^duration is '0s'; expected more than zero$"):
        duration_s("0s", "duration")


@pytest.mark.parametrize(
    ("value", "size"),
    [("512m", 2**29), ("512MiB", 2**29), ("1.5GiB", 3 * 2**29), ("2GB", 2 * 10**9), ("64 k", 2**16), (4096, 4096)],
)
def test_a_size_is_read_in_every_unit(value: object, size: int) -> None:
    assert size_bytes(value, "memory") == size


@pytest.mark.parametrize("value", ["512", "0m", "m", "512 q", -1, 0, True, None, 1.5])
def test_a_size_that_is_none_is_refused_by_name(value: object) -> None:
    with pytest.raises(UsageFault) as fault:
        size_bytes(value, "memory")
    assert str(fault.value) == (f"memory is {value!r}; expected a size such as '512m', '1.5GiB' or a number of bytes")


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [
        (0, "0 ms"),
        (0.8712, "0.871 ms"),
        (5, "5 ms"),
        (9.999, "10 ms"),
        (31.25, "31.2 ms"),
        (312.4, "312 ms"),
        (1234.4, "1234 ms"),
        (12_345, "12.3 s"),
        (math.nan, "–"),
    ],
)
def test_a_latency_is_shown_with_three_significant_digits(value_ms: float, text: str) -> None:
    assert show_ms(value_ms) == text


def test_more_digits_tell_close_values_apart() -> None:
    assert (show_ms(250.04, 3), show_ms(250.04, 5)) == ("250 ms", "250.04 ms")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (show_percent(87.54), "87.5%"),
        (show_rate_percent(0.005), "0.5%"),
        (show_rate_percent(0), "0%"),
        (show_rate_percent(1), "100%"),
        (show_rate_percent(math.nan), "–"),
        (show_per_second(48.249), "48.2/s"),
        (show_per_second(1234.5), "1234/s"),
        (show_bytes(512), "512 B"),
        (show_bytes(2**10), "1 KiB"),
        (show_bytes(128 * 2**20), "128 MiB"),
        (show_bytes(1.5 * 2**30), "1.5 GiB"),
        (show_bytes(math.nan), "–"),
        (show_number(1_234_567.0), "1234567"),
        (show_number(12.5), "12.5"),
        (show_number(-0.00012345), "-0.000123"),
        (show_number(math.inf), "inf"),
    ],
)
def test_a_quantity_is_shown_with_its_unit(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-9, max_value=1e15), st.integers(1, 9))
def test_a_shown_number_is_right_to_its_last_digit(value: float, digits: int) -> None:
    assert float(show_number(value, digits)) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    "iso", ["2026-11-19T10:12:59+00:00", "2026-11-19T10:12:59Z", "2026-11-19T10:12:59", "2026-11-19T12:12:59+02:00"]
)
def test_a_moment_is_shown_in_utc(iso: str) -> None:
    assert show_time(iso) == "2026-11-19 10:12 UTC"


def test_a_text_that_is_no_moment_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        moment("yesterday")
