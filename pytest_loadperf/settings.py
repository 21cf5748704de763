"""The settings of a run with --loadperf, read from pytest once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from pytest_loadperf import options

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


def read(config: pytest.Config, environ: dict[str, str]) -> LoadperfConfig:
    """The settings of this run; a bad ini value is a usage error."""

    def given(name: str) -> Any:
        return config.getoption(f"loadperf_{name}") or config.getini(f"loadperf_{name}") or None

    summary = given("summary") or environ.get("GITHUB_STEP_SUMMARY") or None
    try:
        backend = cast(Backend, options.backend(given("backend") or "auto"))
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
