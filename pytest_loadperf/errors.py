"""Every error a user can meet; the texts say what failed, what was seen, what was expected and what to do."""

from __future__ import annotations


class LoadperfError(Exception):
    """The base of everything that this plugin raises on purpose."""


class UsageFault(LoadperfError):
    """Something that the user wrote (a stage, a threshold, an option) can't be meant; said before a service starts."""


class ServiceError(LoadperfError):
    """The service did not build, start, become ready or stay up."""


class GeneratorError(LoadperfError):
    """The load could not be generated or measured, so there is no result to judge."""


class HostRefused(LoadperfError):
    """The load was pointed at a host that is neither local, nor started by this run, nor allowed by name."""


class HistoryError(LoadperfError):
    """The history could not be read or written."""


class ThresholdBroken(AssertionError):
    """At least one threshold of a test does not hold; the text lists every one, observed beside limit."""
