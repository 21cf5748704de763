"""The lock between loads and ordinary tests, with real processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

from pytest_loadperf.quiet import Quiet

WORKER = """
    import sys, time
    from pathlib import Path
    from pytest_loadperf.quiet import Quiet
    lock, log, kind, number = Quiet(Path(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4])
    for turn in range(number):
        with getattr(lock, kind)():
            begin = time.monotonic()
            time.sleep(0.02)
            with open(log, "a") as file:
                file.write(f"{kind} {begin} {time.monotonic()}\\n")
"""


def start(lock: Path, log: Path, kind: str, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), str(lock), str(log), kind, str(number)])


def test_a_load_is_alone_and_is_not_starved_by_overlapping_tests(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(tmp_path / "lock", log, kind, 20) for kind in ("shared", "shared", "alone", "alone")]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    rows = [line.split() for line in log.read_text().splitlines()]
    spans = sorted((float(begin), float(end), kind) for kind, begin, end in rows)
    assert len(spans) == 80
    alone = [span for span in spans if span[2] == "alone"]
    for begin, end, _ in alone:
        assert sum(1 for other in spans if other[0] < end and other[1] > begin) == 1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from pytest_loadperf.quiet import Quiet\n"
            "with Quiet(Path(sys.argv[1])).alone(): print('held', flush=True); time.sleep(60)",
            str(lock),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    began = time.monotonic()
    with Quiet(lock).alone():
        assert time.monotonic() - began < 1


def test_waiting_is_said(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from pytest_loadperf.quiet import Quiet\n"
            "with Quiet(Path(sys.argv[1])).alone(): print('held', flush=True); time.sleep(0.5)",
            str(lock),
        ],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        said = []
        with Quiet(lock).alone(lambda: said.append("waiting")):
            pass
    assert said == ["waiting"]


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        from pathlib import Path
        from pytest_loadperf.quiet import Quiet
        lock = Quiet(Path(sys.argv[1]))
        children = []
        for kind in (lock.shared, lock.alone):
            with kind():
                children.append(os.fork())
                if children[-1] == 0:
                    time.sleep(60)
                    os._exit(0)
        said = []
        with lock.alone(lambda: said.append("it waited")):
            print(said)
        for child in children:
            os.kill(child, 9)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "lock")]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "[]\n"
