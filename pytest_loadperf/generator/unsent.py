"""Requests that never left this machine: it had no port or file left for their connections."""

from __future__ import annotations

import errno
from typing import Any

from pytest_loadperf.model import UNSENT

_LACKS = {
    errno.EADDRNOTAVAIL: "no local port was free",
    errno.EMFILE: "the process had too many files open",
    errno.ENFILE: "the machine had too many files open",
}
_DEEPEST = 10  # HttpUser's libraries wrap such an error three times


def told(exception: object, response: Any) -> object:
    """The exception of a request's event, or instead a text that begins with UNSENT where that is what went wrong.

    The text is the same for all of a kind: the libraries' own have the URL in it, and of different texts few are kept.
    """
    for error in (exception, getattr(response, "error", None)):  # a user may have called it something else
        if (cause := _cause(error)) is not None:
            return f"{UNSENT}{_LACKS[cause.errno or 0]}: {cause!r}"
    return exception


def _cause(error: object) -> OSError | None:
    for _ in range(_DEEPEST):
        if not isinstance(error, BaseException):
            break
        if isinstance(error, OSError) and error.errno in _LACKS:
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
