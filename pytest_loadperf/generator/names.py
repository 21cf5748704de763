"""The names of endpoints and errors as they are counted: without secrets, and no more than a report can hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_loadperf.redact import redact

_MOST_ERRORS = 100  # distinct error texts of one load; what comes after counts as one
_OTHER_ERRORS = "(other errors)"
_LONGEST_ERROR = 300
_MOST_ENDPOINTS = 500  # of one load; users who put an id into every URL make one each
_OTHER_ENDPOINTS = ("", "(other endpoints)")
_MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def redacted(text: str, secrets: Sequence[str]) -> str:
    """An error's text without secrets; of one that a worker, which is not told them, has cut off, the rest goes too."""
    if len(text) == _LONGEST_ERROR:
        text = text[: len(text) - max((_begun(secret, text) for secret in secrets), default=0)]
    return redact(text, secrets)


def _begun(secret: str, text: str) -> int:
    """How many characters of the secret the text ends with."""
    return next((length for length in range(len(secret) - 1, 0, -1) if text.endswith(secret[:length])), 0)


class Names:
    """Those of one load."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets
        self._endpoints: dict[tuple[str, str], tuple[str, str]] = {}  # as counted, by how the users call them
        self._error_texts: set[str] = set()

    def endpoint(self, method: str, name: str) -> tuple[str, str]:
        """Method and name of an endpoint."""
        known = self._endpoints.get((method, name))
        if known is None:
            if len(self._endpoints) >= _MOST_ENDPOINTS:
                return _OTHER_ENDPOINTS
            known = self._endpoints[method, name] = (method, redact(name, self._secrets))
        return known

    def error(self, exception: object) -> str:
        """The text of an exception, or of what a user gave instead."""
        raw = exception if isinstance(exception, str) else repr(exception)
        text = redacted(_MEMORY_ADDRESS.sub("", raw), self._secrets)[:_LONGEST_ERROR]
        if text not in self._error_texts and len(self._error_texts) >= _MOST_ERRORS:
            return _OTHER_ERRORS
        self._error_texts.add(text)
        return text
