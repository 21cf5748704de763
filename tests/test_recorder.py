from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_loadperf.generator.recorder import AFTER, Recorder


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def recorder() -> tuple[Recorder, Clock]:
    clock = Clock()
    made = Recorder(clock)
    made.begin(100.0)
    made.begin_stage(100.0)
    return made, clock


def test_a_request_belongs_to_the_second_and_stage_in_which_it_was_sent() -> None:
    made, clock = recorder()
    made.begin_stage(102.0)
    clock.now = 102.5
    made.on_request("GET", "/slow", 600.0, 10)  # sent at 101.9
    made.on_request("GET", "/fast", 100.0, 10)  # sent at 102.4
    assert [(window.second, window.stage) for window in made.flush()] == [(1, 0), (2, 1)]


def test_what_is_sent_after_the_last_stage_is_in_no_stage() -> None:
    made, clock = recorder()
    made.end_stages(105.0)
    clock.now = 106.0
    made.on_request("GET", "/late", 100.0, 1)
    made.on_request("GET", "/in-time", 1500.0, 1)
    assert {window.endpoint: window.stage for window in made.flush()} == {"/late": AFTER, "/in-time": 0}


def test_a_flush_holds_only_what_is_new() -> None:
    made, _ = recorder()
    made.on_request("GET", "/", 1.0, 1)
    assert len(made.flush()) == 1
    assert made.flush() == ()


def test_a_window_counts_everything() -> None:
    made, clock = recorder()
    clock.now = 100.5
    made.see_users(7)
    made.on_request("GET", "/", 10.0, 100, response=SimpleNamespace(status_code=200))
    made.on_request("GET", "/", 30.0, 50, exception=ValueError("no"), response=SimpleNamespace(status_code=404))
    made.on_request("GET", "/", None, None, exception="refused", response=SimpleNamespace(status_code=0))
    (window,) = made.flush()
    assert (window.requests, window.failures, window.bytes, window.users) == (3, 2, 150, 7)
    assert (window.sum_ms, window.min_ms, window.max_ms) == (40.0, 0.0, 30.0)
    assert window.status_codes == {"200": 1, "404": 1}
    assert window.errors == {"ValueError('no')": 1, "refused": 1}
    assert window.histogram.total == 3


def test_answers_that_come_together_are_told_apart_by_when_their_requests_were_sent() -> None:
    made, clock = recorder()
    made.begin_stage(101.5)
    clock.now = 103.0
    for sent in (102.5, 101.75, 101.25, 100.5, 101.25, 99.0, 102.5, 101.5):
        made.on_request("GET", "/", (clock.now - sent) * 1000, 1)
    counted = {(window.second, window.stage): window.requests for window in made.flush()}
    assert counted == {(0, 0): 2, (1, 0): 2, (1, 1): 2, (2, 1): 2}


@pytest.mark.parametrize("time", ["slow", float("nan"), float("inf"), float("-inf"), [1.0]])
def test_an_event_that_can_not_be_counted_is_seen_all_the_same(time: object) -> None:
    made, clock = recorder()
    clock.now = 100.5
    made.on_request("GET", "/", 1.0, 1)
    made.on_request("GET", "/", time, 1)
    made.on_request("GET", "/", 1.0, 1)
    (window,) = made.flush()
    assert (window.requests, window.histogram.total, window.bytes) == (2, 2, 2)
    assert made.requests == 3


def test_names_and_errors_are_redacted_before_they_leave() -> None:
    made, _ = recorder()
    made.on_request("GET", "/search?q=geheim", 1.0, 1, exception=OSError("http://me:geheim@host/?token=geheim"))
    (window,) = made.flush()
    assert window.endpoint == "/search?q=***"
    assert "geheim" not in str(window)


def test_memory_addresses_do_not_make_errors_distinct() -> None:
    made, _ = recorder()
    for address in (1, 2):
        made.on_request("GET", "/", 1.0, 1, exception=f"<Connection at 0x7f{address}> refused")
    assert made.flush()[0].errors == {"<Connection> refused": 2}


def test_distinct_errors_are_bounded() -> None:
    made, _ = recorder()
    for number in range(150):
        made.on_request("GET", "/", 1.0, 1, exception=f"error {number}")
    errors = made.flush()[0].errors
    assert len(errors) == 101
    assert errors["(other errors)"] == 50


def test_users_are_those_of_the_second_in_which_a_request_was_sent() -> None:
    made, clock = recorder()
    made.see_users(2)
    clock.now = 101.5
    made.see_users(10)
    made.on_request("GET", "/slow", 1000.0, 1)  # sent at 100.5
    made.on_request("GET", "/fast", 1.0, 1)
    assert {window.endpoint: window.users for window in made.flush()} == {"/slow": 2, "/fast": 10}
