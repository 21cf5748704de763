"""A worker for the generators of other machines: a fresh process for each load, one after the other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from pytest_loadperf.folders import own_folder, sweep_folders
from pytest_loadperf.generator.protocol import Join, send
from pytest_loadperf.generator.start import REFUSED, command, end, how_ended

_PAUSE_S = 1.0  # after a process that broke


def serve(host: str, port: int, token: str, code: Path | None, say: Callable[[str], None]) -> None:
    """Take part in every load of the generators that listen there; returns when one does not want this worker."""
    sweep_folders(say, lambda _: None)
    home = uuid4().hex  # host and process number would be the same in two containers of one network
    while True:
        say(f"waiting for a load at {host}:{port}")
        status = _take_part(Join(host, port, code=str(code.resolve()) if code else "", home=home, token=token))
        if status == REFUSED:
            return
        if status != 0:
            say(f"the worker's process {how_ended(status)}")
            time.sleep(_PAUSE_S)


def _take_part(join: Join) -> int:
    """One load, from the wait for its beginning; the exit status of the process."""
    with own_folder("worker") as folder:
        process = subprocess.Popen(command(), stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
        try:
            assert process.stdin is not None
            send(process.stdin.fileno(), replace(join, folder=str(folder)))
            return process.wait()
        finally:
            end(process)
