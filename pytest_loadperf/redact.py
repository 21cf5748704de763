"""Secrets taken out of texts before they reach a record, a report or an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

_HIDDEN = "***"
_SHORTEST = 4  # a shorter value ("1", "on") is no secret, and hiding it would eat the text
HIDDEN_FROM = 8  # characters; a shorter value of an environment ("info", "/shop") is hidden in logs, but not in names

# Texts come as they were sent, and as `repr` and JSON write them, once or twice: "…", '…', \"…\", \'…\'.
_QUOTE = r"\\*[\"']"
_UP_TO_IT = r"(?:(?!\2)(?:\\.|[^\\\r\n]))*"  # the second group's quote
_START = r"(?:\b|(?<=\\[nrt]))"  # where \n is written out, a word begins after it
_HEADER = r"(?:proxy-)?authorization|(?:set-)?cookie2?|x-[\w-]{0,40}(?:key|token|secret)"
_FIELD = r"[\w-]{0,40}(?:password|passwd|passphrase|secret|token|api[_-]?key)"
_RULES = (
    (re.compile(r"(?<=://)[^/\s@\"']+@"), f"{_HIDDEN}@"),  # user:password@ in a URL
    (re.compile(r"([?&][^=&\s\"'<>]+)=[^&\s\"'<>)]+"), rf"\1={_HIDDEN}"),  # values in a query string
    (re.compile(r"\b(basic|bearer)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    # a header or a field and its value, both in quotes or the value alone: {"password": "…"}, password='…'
    (
        re.compile(rf"{_START}((?:{_HEADER}|{_FIELD})(?:{_QUOTE})?\s*[:=]\s*)({_QUOTE}){_UP_TO_IT}", re.I),
        rf"\1\2{_HIDDEN}",
    ),
    # a header on a line of its own; repr writes the line's end as \r\n
    (re.compile(rf"{_START}((?:{_HEADER})\s*[:=]\s*)(?!{_QUOTE}|\*\*\*)(?:(?!\\[rn])[^\r\n])+", re.I), rf"\1{_HIDDEN}"),
    # a field of a form, and a number in JSON
    (re.compile(rf"{_START}((?:{_FIELD})=)(?!{_QUOTE}|\*\*\*)[^&\s\"'<>]+", re.I), rf"\1{_HIDDEN}"),
    (re.compile(rf"{_START}((?:{_FIELD}){_QUOTE}\s*:\s*)\d+", re.I), rf"\1{_HIDDEN}"),
)
_OF_A_SECRET = re.compile(
    r"(?:token|secret|passw(?:or)?d|passphrase|credentials?|(?:api|access|secret|private|encryption|signing)_?key)$",
    re.I,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL credentials, query values, headers and fields that hold secrets, and the given values."""
    text = without(text, secrets)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def without(text: str, secrets: Iterable[str]) -> str:
    """The text without the given values."""
    for secret in sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True):
        for form in _forms(secret):
            text = text.replace(form, _HIDDEN)
    return text


def _forms(secret: str) -> Iterator[str]:
    """As it is, and as errors, JSON and URLs write it."""
    yield from dict.fromkeys((secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")))


def named_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values in an environment whose names say that they are secrets: CI_TOKEN, DB_PASSWORD.

    One that its name already tells (POSTGRES_PASSWORD=postgres) is none, and would eat every mention of the word.
    """
    named = ((name.lower(), value) for name, value in environ.items() if _OF_A_SECRET.search(name))
    found = {value for name, value in named if len(value) >= _SHORTEST and value.lower() not in name}
    return tuple(sorted(found))


def without_cut_secret(words: bytes, secrets: Iterable[str]) -> bytes:
    """The end of a longer text, less what may be the rest of a secret that was cut in two, which no rule knows."""
    wholes = [secret.encode() for secret in secrets]
    rests = (whole[-size:] for whole in wholes for size in range(1, len(whole)))
    return words[max((len(rest) for rest in rests if words.startswith(rest)), default=0) :]
