"""A container's log, as the engine keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from docker.models.containers import Container

from pytest_loadperf.service.engine import in_words
from pytest_loadperf.service.log import MOST_BYTES, LogLine, safe_lines

_AT_A_TIME = 64 * 1024  # bytes
_HEAD = 8  # bytes before each piece of a log: the stream's number, the piece's size


def lines_between(container: Container, since: float, until: float, secrets: Sequence[str]) -> list[LogLine]:
    """What the container wrote between two moments of `time.time()`, from the beginning, bounded."""
    assert container.client is not None  # which gave it
    api = container.client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/logs"
    asked = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": f"{since:.6f}", "until": f"{until:.6f}"}
    # Not with the SDK, which reads all of it, or leaves its connection open when it is left.
    with (
        in_words(f"reading the log of {container.name}"),
        api.get(url, params=asked, stream=True, timeout=api.timeout) as answer,
    ):
        answer.raise_for_status()
        raw = _bounded(answer.iter_content(_AT_A_TIME))
    is_terminal = container.attrs["Config"]["Tty"]  # whose output comes as it is
    words = raw if is_terminal else b"".join(_pieces(raw))
    if len(raw) >= MOST_BYTES:  # a line that was cut may end in half of a secret, which no rule knows
        words = words[: words.rfind(b"\n") + 1]
    return safe_lines(_timed(words.decode(errors="replace").split("\n")), secrets)


def _bounded(chunks: Iterable[bytes]) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) >= MOST_BYTES:
            break
    return bytes(read)


def _pieces(raw: bytes) -> Iterator[bytes]:
    start = 0
    while (begins := start + _HEAD) <= len(raw):
        start = begins + int.from_bytes(raw[start + 4 : begins], "big")
        yield raw[begins:start]


def _timed(lines: Sequence[str]) -> Iterator[LogLine]:
    at = 0.0
    for line in filter(None, lines):
        stamp, _, text = line.partition(" ")
        try:
            at = datetime.fromisoformat(stamp).timestamp()
        except ValueError:  # no time that we know: as late as the line before
            text = line
        yield LogLine(at, text.rstrip("\r"))
