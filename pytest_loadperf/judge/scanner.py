"""A place in a text that only moves forward, and that knows how to show a fault."""

from __future__ import annotations

import re

from pytest_loadperf.errors import UsageFault


class Scanner:
    """Takes a threshold's text apart; white space between its parts means nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, pattern: re.Pattern[str]) -> str:
        """What the pattern matches next, or nothing."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match.group() if match else ""

    def expect(self, pattern: re.Pattern[str], wrong: str, accepted: str) -> str:
        """What the pattern matches next; a fault if that is nothing."""
        taken = self.take(pattern)
        if not taken:
            raise self.fault(wrong, accepted)
        return taken

    def fault(self, wrong: str, accepted: str, at: int | None = None) -> UsageFault:
        """What is wrong, the text with a caret under the place (here, unless `at` is given), what is accepted there."""
        line = "".join(letter if letter.isprintable() else " " for letter in self.text).rstrip()
        caret = min(self.at if at is None else at, len(line))
        return UsageFault(f"bad threshold: {wrong}\n  {line}\n  {' ' * caret}^\n  expected {accepted}")
