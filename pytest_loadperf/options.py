"""The options and their ini twins, declared to pytest; every pytest run imports this, so it stays small."""

from __future__ import annotations

import argparse

import pytest

BACKENDS = ("auto", "docker", "process")
FAILING = ("regression", "inconclusive", "no_baseline", "unsaved")
MASTER_HOST = "127.0.0.1"
MASTER_PORT = 5557  # Locust's own
_TWINS = (
    ("backend", "where services run: auto, docker or process"),
    ("history", "directory or fsspec URL that keeps the runs"),
    ("baseline", "branch, tag or run id to compare with"),
    ("against", "image, or git:REF, to measure side by side"),
    ("pairs", "how many times each is measured, side by side"),
    ("control", "how long to load a service that never changes, before and after each load"),
    ("fail_on", "what fails tests, or the run, as well: regression, inconclusive, no_baseline, unsaved"),
    ("workers", "in how many processes of this machine the users run"),
    ("master", "where to listen for workers from elsewhere"),
    ("expect_workers", "how many workers from elsewhere to wait for"),
    ("report", "path of the HTML report"),
    ("summary", "path of the Markdown summary"),
    ("json", "path of the JSON document"),
    ("csv", "folder for CSV files in Locust's columns"),
    ("locust_report", "folder for the HTML page that Locust itself makes of each trial"),
)


def declare(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin."""
    group = parser.getgroup("loadperf", "load tests (pytest-loadperf)")
    add = group.addoption
    add("--loadperf", action="store_true", help="run load tests; without it they are skipped")
    add("--loadperf-backend", type=backend, help="where services run: auto (default), docker or process")
    add("--loadperf-url", metavar="URL", type=_url, help="load this running service instead of starting one")
    add(
        "--loadperf-allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="load this host although it is not local, private or started by this run; may be given several times",
    )
    add("--loadperf-history", metavar="PLACE", help="directory (default: .loadperf) or fsspec URL that keeps the runs")
    add("--loadperf-no-save", action="store_true", help="judge, but keep no record of this run")
    add("--loadperf-baseline", metavar="NAME", help="branch, tag or run id to compare with (default: default branch)")
    add("--loadperf-require-baseline", action="store_true", help="fail tests whose load has no five comparable runs")
    add("--loadperf-against", metavar="BUILD", type=against, help="an image, or git:REF, to measure side by side")
    add("--loadperf-pairs", metavar="N", type=pairs, help="how many times each, side by side (default: 5)")
    add(
        "--loadperf-control",
        metavar="TIME",
        type=control,
        help="load a service that never changes for so long before and after each load, and compare over it",
    )
    add(
        "--loadperf-fail-on",
        metavar="WHAT",
        type=fail_on,
        help="what fails as well: a regression, inconclusive or no_baseline its test, unsaved the run",
    )
    add("--loadperf-report", metavar="PATH", help="the HTML report (default: .loadperf/report.html)")
    add("--loadperf-summary", metavar="PATH", help="a Markdown summary (default: $GITHUB_STEP_SUMMARY where set)")
    add("--loadperf-json", metavar="PATH", help="write the whole run as one JSON document, for other programs")
    add("--loadperf-csv", metavar="DIR", help="write CSV files in Locust's column names, for each stage, into DIR")
    add("--loadperf-locust-report", metavar="DIR", help="keep Locust's own HTML page of each trial in DIR")
    add("--loadperf-scale", metavar="FACTOR", type=_scale, help="shrink every stage: a smoke run, nothing judged")
    add("--loadperf-calibrate", metavar="N", type=_runs, help="run every load N times: how much do its numbers differ?")
    add("--loadperf-keep-service", action="store_true", help="leave the service up, and say how to remove it")
    _declare_workers(group)
    for name, what in _TWINS:
        option = "--loadperf-" + name.replace("_", "-")
        parser.addini(f"loadperf_{name}", f"{what} (as {option})", default="")
    parser.addini("loadperf_allow_host", "hosts that may be loaded (as --loadperf-allow-host)", type="args", default=[])


def _declare_workers(group: pytest.OptionGroup) -> None:
    add = group.addoption
    add("--loadperf-workers", metavar="N", type=count, help="run the users in so many processes of this machine")
    add(
        "--loadperf-master",
        metavar="ADDRESS",
        type=address,
        help="where to listen for workers from elsewhere: HOST:PORT, HOST or :PORT (default: 127.0.0.1:5557)",
    )
    add("--loadperf-expect-workers", metavar="N", type=count, help="wait for so many workers from elsewhere")


def backend(text: str) -> str:
    """One of the backends; argparse says what is wrong with another."""
    if text not in BACKENDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no backend; expected auto, docker or process")
    return text


def fail_on(text: str) -> tuple[str, ...]:
    """What passes unless it is named here."""
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if word not in FAILING:
            raise argparse.ArgumentTypeError(
                f"{word!r} is nothing to fail on; expected a list of " + ", ".join(FAILING)
            )
    return words


def _whole(text: str) -> int:
    """The number, or -1 where it is none, or one with more digits than anything here has."""
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def count(text: str) -> int:
    """A number of workers."""
    if _whole(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; expected a whole number from 1")
    return int(text)


def pairs(text: str) -> int:
    """A number of pairs: of one alone, chance could be told from nothing."""
    if _whole(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pairs; expected a whole number from 2")
    return int(text)


def control(text: str) -> float:
    """How long the control is loaded each time, in seconds."""
    from pytest_loadperf.errors import UsageFault  # only where the option is given
    from pytest_loadperf.quantity import duration_s

    try:
        seconds = duration_s(text, "the time of the control")
    except UsageFault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is too short for a control; expected a second at least, such as 2s")
    return seconds


def against(text: str) -> str:
    """A build to measure side by side; still a text, which xdist can hand to its workers."""
    from pytest_loadperf.errors import UsageFault  # only where the option is given
    from pytest_loadperf.service.against import Against

    try:
        Against.parse(text)
    except UsageFault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    return text


def address(text: str) -> tuple[str, int]:
    """Host and port of 'HOST:PORT', 'HOST' or ':PORT'."""
    host, _, port = text.rpartition(":") if ":" in text else (text, ":", str(MASTER_PORT))
    if not 0 < _whole(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; expected HOST:PORT, HOST or :PORT")
    return host or MASTER_HOST, int(port)


def _url(text: str) -> str:
    from pytest_loadperf.errors import UsageFault  # only where the option is given
    from pytest_loadperf.service.spec import UrlSpec

    try:
        UrlSpec(text)
    except UsageFault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    return text.rstrip("/")


def _runs(text: str) -> int:
    if _whole(text) < 4:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; expected a whole number from 4, such as 10")
    return int(text)


def _scale(text: str) -> float | None:
    """None for 1, which is a whole run: it takes back what an ini file has in `addopts`."""
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no scale; expected more than 0 and at most 1, such as 0.1")
    return None if factor == 1 else factor
