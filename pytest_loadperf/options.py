"""The plugin's settings, read from pytest once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Backend = Literal["auto", "docker", "process"]


@dataclass(frozen=True)
class LoadperfConfig:
    """What the command line and the ini file say; the command line wins."""

    rootpath: Path
    backend: Backend = "auto"
    url: str | None = None
    allow_hosts: tuple[str, ...] = ()
    history: str = ".loadperf"  # as given; relative directories start at rootpath
    save: bool = True
    baseline: str | None = None
    require_baseline: bool = False
    report: Path | None = None  # absolute
    summary: Path | None = None  # absolute
    scale: float | None = None
    keep_service: bool = False
