"""Starts a service as pytest would, and stays until it is killed.

`python owning.py docker|process|FILE.yml [keep] [paused]`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from pytest_loadperf.service.choose import start
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, ProcessSpec, Spec

TELLING = Path(__file__).with_name("telling.py")


def asked(kind: str) -> Spec:
    if kind == "docker":
        return DockerSpec(
            image="python:3.11-slim-bookworm", command=["python", "-c", TELLING.read_text(), "8000"], port=8000
        )
    if kind == "process":
        return ProcessSpec(command=[sys.executable, str(TELLING), "{port}", "family"], cwd=TELLING.parent)
    return ComposeSpec(file=Path(kind), service="web", port=8000)


def say(line: str) -> None:
    sys.stderr.write(line)


if __name__ == "__main__":
    with start(asked(sys.argv[1]), keep="keep" in sys.argv, say=say) as service:
        if "paused" in sys.argv:
            service.pause()
        sys.stdout.write(f"{service.url}\n")
        sys.stdout.flush()
        signal.pause()
