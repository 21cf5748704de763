"""What waits for an interrupt, and what an interrupt waits for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pytest_loadperf.interrupts import Interrupts, deferred

SAID = "loadperf: removing what this run has started; once more leaves it to the next run"


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    """A shell lets what it runs in the background ignore SIGINT, and pytest with the plugin has handlers of its own."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}  # type: ignore[arg-type]
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def interrupts(_defaults: None, said: list[str]) -> Iterator[Interrupts]:
    """In place of what pytest itself would have them do."""
    made = Interrupts(said.append)
    made.install()
    yield made
    made.restore()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ends_the_run_and_the_third_what_it_does_then(
    interrupts: Interrupts, said: list[str], number: signal.Signals
) -> None:
    with pytest.raises(KeyboardInterrupt, match=number.name):
        signal.raise_signal(number)
    interrupts.pytest_keyboard_interrupt()
    assert said == []
    signal.raise_signal(number)
    assert said == [SAID]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_those_that_a_test_itself_expects_are_each_the_first(interrupts: Interrupts) -> None:
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_when_the_tests_are_over_the_first_one_changes_nothing(interrupts: Interrupts, said: list[str]) -> None:
    interrupts.pytest_sessionfinish()
    signal.raise_signal(signal.SIGTERM)
    assert said == [SAID]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def interrupted(done: list[str], *numbers: signal.Signals) -> None:
    """While something is done that is not to be cut short."""
    with deferred():
        for number in numbers:
            signal.raise_signal(number)
        done.append("all of it")


def test_one_waits_for_the_end_of_what_is_not_to_be_cut_short(interrupts: Interrupts, said: list[str]) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        interrupted(done, signal.SIGTERM)
    assert done == ["all of it"]
    assert said == [SAID]
    interrupts.pytest_keyboard_interrupt()
    signal.raise_signal(signal.SIGINT)  # the second one that comes


def test_nor_does_a_second_one_cut_it_short_but_a_third(interrupts: Interrupts) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, signal.SIGINT, signal.SIGINT)
    assert done == ["all of it"]
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert done == ["all of it"]


def test_one_waits_for_the_outermost(interrupts: Interrupts) -> None:
    done: list[str] = []

    def within() -> None:
        with deferred():
            interrupted(done, signal.SIGINT)
            done.append("and more")

    with pytest.raises(KeyboardInterrupt):
        within()
    assert done == ["all of it", "and more"]


def test_one_is_not_forgotten_where_what_it_waits_for_fails(interrupts: Interrupts) -> None:
    def failing() -> None:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        failing()


def test_a_fork_is_ended_as_if_nothing_were_here(interrupts: Interrupts) -> None:
    child = os.fork()
    if not child:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def test_what_a_user_has_arranged_stays(said: list[str]) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    made = Interrupts(said.append)
    made.install()
    signal.raise_signal(signal.SIGTERM)
    made.restore()
    assert heard == [signal.SIGTERM]


def test_a_thread_defers_nothing(interrupts: Interrupts) -> None:
    inside, leave = threading.Event(), threading.Event()

    def remove() -> None:
        with deferred():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=remove)
    thread.start()
    inside.wait()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        leave.set()
        thread.join()
