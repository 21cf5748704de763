"""Secrets taken out of texts before they reach a record, a report or an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_HIDDEN = "***"
_FIELD = r"password|passwd|(?:client_|api_?)?secret|(?:access_|refresh_|id_|api_?)?token|api_?key"
_RULES = (
    (re.compile(r"(?<=://)[^/\s@\"']+@"), f"{_HIDDEN}@"),  # user:password@ in a URL
    (re.compile(r"([?&][^=&\s\"'<>]+)=[^&\s\"'<>)]+"), rf"\1={_HIDDEN}"),  # values in a query string
    (re.compile(r"\b(basic|bearer)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        re.compile(r"((?:authorization|cookie|set-cookie|x-api-key)[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n]+", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
    # fields of a body: {"password": "…"} and password=…
    (re.compile(rf"([\"'](?:{_FIELD})[\"']\s*:\s*[\"'])[^\"']+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(rf"\b((?:{_FIELD})=)[^&\s\"'<>]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
)
_SHORTEST = 4  # a shorter value ("1", "on") is no secret, and hiding it would eat the text
HIDDEN_FROM = 8  # characters; a shorter value of an environment ("info", "/shop") is hidden in logs, but not in names
_OF_A_SECRET = re.compile(r"(?:token|secret|passw(?:or)?d|credentials?|key)$", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL credentials, query values, authorization headers and the given secret values."""
    for secret in sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def named_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values in an environment whose names say that they are secrets: CI_TOKEN, DB_PASSWORD."""
    long = (value for name, value in environ.items() if _OF_A_SECRET.search(name) and len(value) >= HIDDEN_FROM)
    return tuple(sorted(set(long)))


def without_cut_secret(words: bytes, secrets: Iterable[str]) -> bytes:
    """The end of a longer text, less what may be the rest of a secret that was cut in two, which no rule knows."""
    wholes = [secret.encode() for secret in secrets]
    rests = (whole[-size:] for whole in wholes for size in range(1, len(whole)))
    return words[max((len(rest) for rest in rests if words.startswith(rest)), default=0) :]
