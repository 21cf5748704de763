"""The usual percentiles: kept as a text, and read when they are asked for."""

from __future__ import annotations

import math

import pytest

from pytest_loadperf.measure.percentiles import Percentile, Percentiles

KNOWN = {"50": Percentile(12.1, 11.75, 12.5), "99.9": Percentile(80.0, 61.5, math.inf)}
TEXT = "50 12.1 11.75 12.5;99.9 80.0 61.5 inf"


def test_the_text_that_is_kept() -> None:
    assert Percentiles(KNOWN).to_text() == TEXT


def test_a_text_is_read_when_somebody_asks() -> None:
    kept = Percentiles.of_text(TEXT)
    assert kept.to_text() == TEXT
    assert kept.get("99.9") == KNOWN["99.9"]
    assert kept.get("95") is None
    assert kept == Percentiles(KNOWN)
    assert kept.to_text() == TEXT


def test_none_are_an_empty_text() -> None:
    assert Percentiles().to_text() == ""
    assert Percentiles.of_text("") == Percentiles()


@pytest.mark.parametrize("text", ["50", "50 1.0 2.0", "50 1.0 2.0 3.0 4.0", "50 1.0 2.0 many", ";", "50  1.0 2.0 3.0"])
def test_a_text_that_was_tampered_with_holds_none(text: str) -> None:
    assert Percentiles.of_text(text).known == {}


def test_they_show_what_they_hold() -> None:
    assert repr(Percentiles.of_text("50 1.0 0.5 2.0")) == (
        "Percentiles({'50': Percentile(ms=1.0, low_ms=0.5, high_ms=2.0)})"
    )
