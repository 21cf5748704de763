"""A service's log by time: its lines with their moments, bounded however long it is, secrets redacted."""

from __future__ import annotations

import os
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from pytest_loadperf.redact import redact

MOST_BYTES = 2**20  # that are read of one replica's log at a time
_LAST_WORDS = 64 * 1024  # bytes at the end of a log file, in which its last lines are looked for
_LONGEST_LINE = 1000  # characters
_MOST_MARKS = 50_000  # seconds of load


@dataclass(frozen=True)
class LogLine:
    """One line, without its end."""

    at: float  # when it was written, by `time.time()`
    text: str


def safe_lines(lines: Iterable[LogLine], secrets: Iterable[str]) -> list[LogLine]:
    """The lines redacted, then cut to a length that can be read."""
    parts = [part for secret in secrets for part in secret.splitlines()]  # a secret may be several lines itself
    return [LogLine(line.at, redact(line.text, parts)[:_LONGEST_LINE]) for line in lines]


def around(lines: Sequence[LogLine], at: float, longest: int) -> Sequence[LogLine]:
    """As many lines as fit: from that moment on, and before it a quarter, or what is left."""
    place = next((number for number, line in enumerate(lines) if line.at >= at), len(lines))
    before = _fitting(reversed(lines[:place]), longest // 4)
    after = _fitting(lines[place:], longest - _size(lines[place - before : place]))
    before = _fitting(reversed(lines[:place]), longest - _size(lines[place : place + after]))
    return lines[place - before : place + after]


def _fitting(lines: Iterable[LogLine], longest: int) -> int:
    """How many of the lines fit."""
    count = 0
    for line in lines:
        longest -= len(line.text) + 1
        if longest < 0:
            break
        count += 1
    return count


def _size(lines: Iterable[LogLine]) -> int:
    return sum(len(line.text) + 1 for line in lines)


class LogFile:
    """The log of a process, in which no line has a time: while a load runs, its size is noted every second."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._marks: deque[tuple[float, int]] = deque([(time.time(), 0)], maxlen=_MOST_MARKS)

    def mark(self) -> None:
        """What is written from now on is of a later time."""
        self._marks.append((time.time(), self._bytes))

    def tail(self, lines: int, secrets: Sequence[str]) -> str:
        """The last lines."""
        text = self._read(max(0, self._bytes - _LAST_WORDS), _LAST_WORDS).decode(errors="replace")
        return redact("\n".join(text.splitlines()[-lines:]), secrets)

    def between(self, since: float, until: float, secrets: Sequence[str]) -> list[LogLine]:
        """What was written between the marks around two moments; each line has the time of the mark before it."""
        marks = list(self._marks)
        times = [at for at, _ in marks]
        start = marks[max(0, bisect_right(times, since) - 1)][1]
        last = bisect_left(times, until)
        end = marks[last][1] if last < len(marks) else self._bytes
        return safe_lines(self._lines(start, end, marks), secrets)

    def _lines(self, start: int, end: int, marks: Sequence[tuple[float, int]]) -> Iterator[LogLine]:
        """Whole lines only: the rest of a secret that was cut in two is known to no rule."""
        offsets = [offset for _, offset in marks]
        words = self._read(start, min(end - start, MOST_BYTES))
        if end - start > MOST_BYTES:
            words = words[: words.rfind(b"\n") + 1]
        cut = start > 0 and self._read(start - 1, 1) != b"\n"
        for line in words.splitlines(keepends=True):
            if not cut:
                at, _ = marks[bisect_right(offsets, start) - 1]
                yield LogLine(at, line.rstrip(b"\r\n").decode(errors="replace"))
            start += len(line)
            cut = False

    @property
    def _bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _read(self, start: int, size: int) -> bytes:
        # By position: the command writes through the same file description, and moving its offset moves the output.
        return os.pread(self._file.fileno(), size, start)
