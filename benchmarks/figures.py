"""What the benchmarks have in common: their options, and where their figures go."""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from typing import Any


def asked(about: str | None, quick: str) -> argparse.Namespace:
    """`--json PATH` and `--quick`, which every benchmark takes; says what `quick` means in this one."""
    return parser(about, quick).parse_args()


def parser(about: str | None, quick: str) -> argparse.ArgumentParser:
    """The same, for a benchmark that takes more."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the figures to this file")
    made.add_argument("--quick", action="store_true", help=quick)
    return made


def write(path: Path | None, figures: Any) -> None:
    """Write the figures as JSON where that is asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def children_cpu_s() -> float:
    """Processor seconds of all processes that this one started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
