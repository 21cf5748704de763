"""The build to measure beside the candidate: an image, or the state of the code at a git ref."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.redact import redact

_GIT = "git:"


@dataclass(frozen=True)
class Against:
    """What was asked for with --loadperf-against: one of both is set."""

    image: str | None = None
    ref: str | None = None

    @classmethod
    def parse(cls, text: str) -> Against:
        """'git:REF', else the name of an image; UsageFault if it is neither."""
        ref = text.removeprefix(_GIT)
        if not ref or ref.startswith("-") or text.split() != [text]:
            raise UsageFault(
                f"{text!r} is no build; expected an image such as 'app:1.4', or git:REF such as 'git:main'"
            )
        return cls(ref=ref) if text.startswith(_GIT) else cls(image=text)

    def __str__(self) -> str:
        return f"{_GIT}{self.ref}" if self.image is None else redact(self.image)
