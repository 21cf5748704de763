"""Waits until a service answers over HTTP, and looks on while it comes up."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.redact import redact

_FIRST_PAUSE_S = 0.02  # a service that is up in a moment costs a moment
_LONGEST_PAUSE_S = 0.25
_LONGEST_ANSWER_S = 10.0


class NotReady(ServiceError):
    """The service lives but did not answer as expected in its time."""


def wait_ready(
    url: str | Callable[[], str], timeout_s: float, alive: Callable[[], None], what: str, *, advice: str = ""
) -> float:
    """Seconds until `url` answered; `alive` is asked in every round, and raises when the service is gone.

    For the path '/' any status below 500 will do, since not every service has a start page; a path that was chosen
    must answer with 2xx or 3xx. A callable is asked in every round too. Raises NotReady after `timeout_s`.
    """
    began = time.monotonic()
    end = began + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        alive()
        address = url if isinstance(url, str) else url()
        accepted = range(100, 500) if urlsplit(address).path == "/" else range(200, 400)
        seen = _ask(address, min(_LONGEST_ANSWER_S, max(_LONGEST_PAUSE_S, end - time.monotonic())))
        if seen in accepted:
            return time.monotonic() - began
        if time.monotonic() + pause_s > end:
            alive()
            raise NotReady(" ".join(filter(None, (_late(address, timeout_s, what, seen, accepted), advice))))
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _ask(url: str, timeout_s: float) -> int | str:
    """The status that the URL answers with, or why there is none; never through a proxy."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl(), headers={"Connection": "close"})
        return connection.getresponse().status
    except ConnectionRefusedError:
        return "connection refused"
    except ConnectionResetError:
        return "a connection that closed without an answer"
    except TimeoutError:
        return f"no answer for {timeout_s:.1f} s"
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def _late(url: str, timeout_s: float, what: str, seen: int | str, accepted: range) -> str:
    last = f"status {seen}" if isinstance(seen, int) else seen
    expected = "a status below 500" if accepted.stop == 500 else "a status from 200 to 399"
    return (
        f"{what} was not ready within {timeout_s:g} s: GET {redact(url)} got {last}, expected {expected}. "
        "Check ready= and port=, or allow more time with timeout=."
    )
