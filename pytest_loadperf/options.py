"""The plugin's settings: declared to pytest, and read from it once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

Backend = Literal["auto", "docker", "process"]


@dataclass(frozen=True)
class LoadperfConfig:
    """What the command line and the ini file say; the command line wins."""

    rootpath: Path
    backend: Backend = "auto"
    url: str | None = None
    allow_hosts: tuple[str, ...] = ()
    history: str = ".loadperf"  # as given; a relative directory starts at rootpath
    save: bool = True
    baseline: str | None = None
    require_baseline: bool = False
    report: Path = Path(".loadperf/report.html")  # absolute, once read
    summary: Path | None = None
    scale: float | None = None
    keep_service: bool = False


def declare(parser: pytest.Parser) -> None:
    """Declare every option and its ini twin."""
    group = parser.getgroup("loadperf", "load tests (pytest-loadperf)")
    add = group.addoption
    add("--loadperf", action="store_true", help="run load tests; without it they are skipped")
    add("--loadperf-backend", type=_backend, help="where services run: auto (default), docker or process")
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
    add("--loadperf-require-baseline", action="store_true", help="fail tests whose load has no comparable run")
    add("--loadperf-report", metavar="PATH", help="the HTML report (default: .loadperf/report.html)")
    add("--loadperf-summary", metavar="PATH", help="a Markdown summary (default: $GITHUB_STEP_SUMMARY where set)")
    add("--loadperf-scale", metavar="FACTOR", type=_scale, help="shrink every stage: a smoke run, nothing judged")
    add("--loadperf-keep-service", action="store_true", help="leave the service up, and say how to remove it")
    for name, what in (
        ("backend", "where services run: auto, docker or process"),
        ("history", "directory or fsspec URL that keeps the runs"),
        ("baseline", "branch, tag or run id to compare with"),
        ("report", "path of the HTML report"),
        ("summary", "path of the Markdown summary"),
    ):
        parser.addini(f"loadperf_{name}", f"{what} (as --loadperf-{name})", default="")
    parser.addini("loadperf_allow_host", "hosts that may be loaded (as --loadperf-allow-host)", type="args", default=[])


def read(config: pytest.Config, environ: dict[str, str]) -> LoadperfConfig:
    """The settings of this run; a bad ini value is a usage error."""

    def given(name: str) -> Any:
        return config.getoption(f"loadperf_{name}") or config.getini(f"loadperf_{name}") or None

    summary = given("summary") or environ.get("GITHUB_STEP_SUMMARY") or None
    try:
        backend = _backend(given("backend") or "auto")
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"loadperf_backend in {config.inipath}: {error}") from None
    return LoadperfConfig(
        rootpath=config.rootpath,
        backend=backend,
        url=config.getoption("loadperf_url"),
        allow_hosts=(*config.getoption("loadperf_allow_host"), *config.getini("loadperf_allow_host")),
        history=given("history") or ".loadperf",
        save=not config.getoption("loadperf_no_save"),
        baseline=given("baseline"),
        require_baseline=config.getoption("loadperf_require_baseline"),
        report=config.rootpath / (given("report") or ".loadperf/report.html"),
        summary=config.rootpath / summary if summary else None,
        scale=config.getoption("loadperf_scale"),
        keep_service=config.getoption("loadperf_keep_service"),
    )


def _backend(text: str) -> Backend:
    for known in get_args(Backend):
        if text == known:
            return known  # type: ignore[no-any-return] # one of the literals
    raise argparse.ArgumentTypeError(f"{text!r} is no backend; expected auto, docker or process")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no base address; expected one such as http://127.0.0.1:8000")
    return text.rstrip("/")


def _scale(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no scale; expected more than 0 and at most 1, such as 0.1")
    return factor
