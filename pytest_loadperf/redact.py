"""Secrets taken out of texts before they reach a record, a report or an error."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HIDDEN = "***"
_RULES = (
    (re.compile(r"(?<=://)[^/\s@\"']+@"), f"{_HIDDEN}@"),  # user:password@ in a URL
    (re.compile(r"([?&][^=&\s\"'<>]+)=[^&\s\"'<>)]+"), rf"\1={_HIDDEN}"),  # values in a query string
    (re.compile(r"\b(basic|bearer)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        re.compile(r"((?:authorization|cookie|set-cookie|x-api-key)[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n]+", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
)
_SHORTEST = 4  # a shorter value ("1", "on") is no secret, and hiding it would eat the text


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL credentials, query values, authorization headers and the given secret values."""
    for secret in sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def without_cut_secret(words: bytes, secrets: Iterable[str]) -> bytes:
    """The end of a longer text, less what may be the rest of a secret that was cut in two, which no rule knows."""
    wholes = [secret.encode() for secret in secrets]
    rests = (whole[-size:] for whole in wholes for size in range(1, len(whole)))
    return words[max((len(rest) for rest in rests if words.startswith(rest)), default=0) :]
