"""What waits for an interrupt, and what an interrupt waits for."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from pytest_loadperf.interrupts import deferred, ending_in_order


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the handler says, which hears of every interrupt here."""
    lines: list[str] = []
    with ending_in_order(lines.append):
        yield lines
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ends_the_run_and_the_third_what_it_does_then(said: list[str], number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt, match=number.name):
        signal.raise_signal(number)
    assert said == []
    signal.raise_signal(number)
    assert said == ["loadperf: removing what this run has started; once more leaves it to the next run"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_one_that_comes_much_later_is_another_first_one(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_loadperf.interrupts._FORGET_S", -1.0)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def interrupted(done: list[str], *numbers: signal.Signals) -> None:
    """While something is done that is not to be cut short."""
    with deferred():
        for number in numbers:
            signal.raise_signal(number)
        done.append("all of it")


def test_one_waits_for_the_end_of_what_is_not_to_be_cut_short(said: list[str]) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        interrupted(done, signal.SIGTERM, signal.SIGINT)
    assert done == ["all of it"]
    assert said == []


def test_a_third_one_does_not_wait(said: list[str]) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert done == []


def test_one_waits_for_the_outermost(said: list[str]) -> None:
    done: list[str] = []

    def within() -> None:
        with deferred():
            interrupted(done, signal.SIGINT)
            done.append("and more")

    with pytest.raises(KeyboardInterrupt):
        within()
    assert done == ["all of it", "and more"]


def test_what_a_user_has_arranged_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with ending_in_order(pytest.fail), deferred():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
