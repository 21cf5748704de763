"""What an hour of load takes of memory: `python -m benchmarks.long`.

An hour is simulated, as fast as it goes: 200 endpoints with ten requests a second each, of which one in a hundred
fails, with a thousand different error texts. One process counts the requests as a load generator does, and tells of
each second through a pipe; the other one keeps what it is told, as pytest does, and writes the record. The memory of
both is looked at every ten minutes of the load.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from typing import Any

import psutil

from benchmarks.figures import asked, write
from benchmarks.history import run
from pytest_loadperf.generator.protocol import Reader, Second, send
from pytest_loadperf.generator.recorder import Recorder
from pytest_loadperf.history.record import encode, encode_series
from pytest_loadperf.measure.collector import Collector
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import StageRecord
from pytest_loadperf.plan import Stage

ENDPOINTS, EACH, TEXTS = 200, 10, 1000
LOOK_S = 600
GROWTH = 1.2  # memory is flat


class Clock:
    """The time of the load."""

    now_s = 0.0

    def __call__(self) -> float:
        """In seconds since it began."""
        return self.now_s


def generate(seconds: int, pipe: int) -> None:
    """What a generator does in each second: its users' requests end, are counted, and told of."""
    clock, numbers = Clock(), random.Random(1)
    recorder, texts = Recorder(clock), count()
    recorder.begin(0.0)
    recorder.begin_stage(0.0)
    for second in range(1, seconds + 1):
        for request in range(ENDPOINTS * EACH):
            clock.now_s = second - 1 + request / (ENDPOINTS * EACH)
            failed = request % 100 == 0
            recorder.on_request(
                "GET",
                f"/{request % ENDPOINTS}",
                numbers.lognormvariate(3, 1),
                1000,
                exception=f"order {next(texts) % TEXTS} is unknown" if failed else None,
            )
        recorder.see_users(100)
        send(pipe, Second(float(second), 100, recorder.flush()))
    sys.stdin.read()  # until it has been looked at


def measure(seconds: int) -> dict[str, Any]:
    """Both processes' memory over the load, and the size of its record."""
    reading, writing = os.pipe()
    code = f"from benchmarks.long import generate; generate({seconds}, {writing})"
    generator = subprocess.Popen([sys.executable, "-c", code], pass_fds=[writing], stdin=subprocess.PIPE)
    os.close(writing)
    began, here, there = time.monotonic(), psutil.Process(), psutil.Process(generator.pid)
    reader, collector = Reader(reading), Collector()
    memory: dict[int, dict[str, float]] = {}
    for second in range(1, seconds + 1):
        message = reader.next()
        assert isinstance(message, Second), message
        collector.add(message.windows)
        summarise(message.windows, 1.0)
        if second % LOOK_S == 0:
            keeps, generates = (process.memory_info().rss / 1e6 for process in (here, there))
            memory[second] = {"keeps": keeps, "generates": generates}
            print(f"{second // 60:3} min  {keeps:5.0f} MB keeping  {generates:5.0f} MB generating", flush=True)
    generator.communicate()
    os.close(reading)
    speed = seconds / (time.monotonic() - began)
    stage = StageRecord(Stage("hour", users=100, duration=f"{seconds}s"), 0.0, collector.stage(0, seconds))
    record, series = recorded(stage, collector)
    return {
        "simulated_s": seconds,
        "speed": speed,
        "memory_mb": memory,
        "growth": {name: memory[seconds][name] / memory[LOOK_S][name] for name in ("keeps", "generates")},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "record_mb": record,
        "seconds_mb": series,
        "requests": stage.summary.requests,
        "error_texts": len(stage.summary.errors),
    }


def recorded(stage: StageRecord, collector: Collector) -> tuple[float, float]:
    """The size of the run's two files, in MB."""
    made = run(0, 1)
    (load,) = made.loads
    trial = replace(load.trials[0], stages=(stage,), windows=collector.windows())
    made = replace(made, loads=(replace(load, trials=(trial,)),))
    return len(encode(made)) / 1e6, len(encode_series(made)) / 1e6


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "twenty minutes")
    found = measure(1200 if options.quick else 3600)
    grown = found["growth"]
    print(f"{found['requests']:,} requests at {found['speed']:.0f} times the speed")
    print(f"since the first ten minutes: {grown['keeps']:.2f} and {grown['generates']:.2f} times (target: {GROWTH})")
    print(f"at most, with the record being written: {found['peak_mb']:.0f} MB")
    print(f"the record {found['record_mb']:.1f} MB, its seconds {found['seconds_mb']:.1f} MB")
    print(f"{found['error_texts']} error texts of {TEXTS:,}")
    write(options.json, found)


if __name__ == "__main__":
    main()
