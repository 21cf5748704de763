"""The token of a run: who shows it is a worker, or the generator that a worker was started for."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_loadperf.errors import UsageFault

VARIABLE = "LOADPERF_TOKEN"  # never an option: everybody on a machine sees the command lines of its processes
_SHORTEST = 16  # characters; a shorter one could be found by trying


def given(environ: Mapping[str, str]) -> str | None:
    """The token that the environment has; raises UsageFault for one that could be guessed."""
    token = environ.get(VARIABLE, "").strip()  # a file that it was read from may have ended its line
    if token and len(token) < _SHORTEST:
        raise UsageFault(
            f"{VARIABLE} has {len(token)} characters; expected {_SHORTEST} at least, as `openssl rand -hex 16` makes "
            "them"
        )
    return token or None
