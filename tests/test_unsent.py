"""Requests that never left this machine are told from those that the service failed."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from pytest_loadperf.generator.recorder import Recorder
from pytest_loadperf.generator.unsent import told

NO_PORT = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
NO_FILE = OSError(errno.EMFILE, "Too many open files")
SAID = f"never sent, no local port was free: {NO_PORT!r}"


class FromElsewhere(HTTPAdapter):
    """Its connections are to come from an address that this machine does not have."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=("192.0.2.1", 0), **options)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EADDRNOTAVAIL, "no local port was free"),
        (errno.EMFILE, "the process had too many files open"),
        (errno.ENFILE, "the machine had too many files open"),
    ],
)
def test_it_says_what_the_machine_lacked(number: int, why: str) -> None:
    assert told(OSError(number, "so it said"), None) == f"never sent, {why}: {OSError(number, 'so it said')!r}"


def test_it_is_found_in_what_requests_makes_of_it() -> None:
    with requests.Session() as session:
        session.mount("http://", FromElsewhere())
        with pytest.raises(requests.ConnectionError) as raised:
            session.get("http://127.0.0.1:1/item/17")
    assert told(raised.value, None) == SAID


def test_it_is_found_where_a_user_calls_it_something_else() -> None:
    assert told(ValueError("no cart"), SimpleNamespace(error=NO_PORT)) == SAID


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        ValueError(f"the service said {NO_FILE!r}"),
        repr(NO_FILE),
        OSError("no number"),
    ],
)
def test_other_failures_stay_what_they_are(failure: object) -> None:
    assert told(failure, SimpleNamespace(error=None)) is failure


def test_an_error_that_was_dealt_with_is_not_what_went_wrong() -> None:
    def dealt_with() -> None:
        try:
            raise NO_PORT
        except OSError:
            raise ValueError("the service's own") from None

    with pytest.raises(ValueError, match="own") as raised:
        dealt_with()
    assert told(raised.value, None) is raised.value


def test_it_is_counted_under_that_name() -> None:
    recorder = Recorder(lambda: 1.0)
    recorder.begin_stage(0.0)
    recorder.on_request("GET", "/", 1.0, 0, NO_PORT, None)
    (window,) = recorder.flush()
    assert (window.failures, window.errors) == (1, {SAID: 1})
