"""Whether open-model stages tell the truth: a service that stops, and arrivals in their thousands."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, free_port
from benchmarks.stopping import CYCLE_S, STOP_S

RATE = 200  # arrivals a second at the service that stops
FAST_RATE = 2000  # and at nginx

# Five users who ask every 25 ms are 200 requests a second, too, while the service answers at once.
STOPPING = """
import json
from locust import constant
from pytest_loadperf import Stage, load
from users import Lean

class Pausing(Lean):
    wait_time = constant(0.025)

opened = load(Lean, Stage("open", rate="{rate}/s", duration="{seconds}s", max_users=500))
closed = load(Pausing, Stage("closed", users=5, duration="{seconds}s"))

def test_stopping(opened, closed):
    told = {{name: {{p: load.percentile_ms(p) for p in (50, 90, 99)}} for name, load in locals().copy().items()}}
    with open("told.json", "w") as file:
        json.dump(told, file)
"""

ARRIVING = """
import json
from pytest_loadperf import Stage, load
from users import Lean

many = load(Lean, Stage("open", rate="{rate}/s", duration="{seconds}s", max_users=500))

def test_arriving(many):
    arrivals = many.stages["open"].arrivals
    told = {{
        "due": arrivals.due,
        "started": arrivals.started,
        "waiting": arrivals.waiting,
        "achieved_rate": arrivals.achieved_rate,
        "late_p50_ms": arrivals.late_ms(50),
        "late_p99_ms": arrivals.late_ms(99),
        "p50_ms": many.p50_ms,
        "p99_ms": many.p99_ms,
    }}
    with open("told.json", "w") as file:
        json.dump(told, file)
"""


def stopping(bench: Bench, cycles: int) -> list[dict[str, float]]:
    """Latencies of a service that stops for 1 s in every 5: as the schedule has them, open and closed."""
    port = free_port()
    seconds = cycles * CYCLE_S
    command = [sys.executable, str(Path(__file__).with_name("stopping.py")), str(port)]
    with bench.server(command, port) as url:
        told = bench.pytest(url, STOPPING.format(rate=RATE, seconds=seconds))
    return [
        {
            "percentile": percent,
            "expected_ms": expected_ms(percent),
            "open_ms": told["opened"][str(percent)],
            "closed_ms": told["closed"][str(percent)],
        }
        for percent in (50, 90, 99)
    ]


def expected_ms(percent: int) -> float:
    """The latency of arrivals that are evenly spaced over whole cycles: each waits until the stop ends."""
    times = (number / RATE for number in range(RATE * CYCLE_S))
    waits = sorted(CYCLE_S - at if at >= CYCLE_S - STOP_S else 0.0 for at in times)
    return waits[math.ceil(len(waits) * percent / 100) - 1] * 1000


def arriving(bench: Bench, url: str, seconds: int) -> Any:
    """2,000 arrivals a second at a service that answers at once."""
    return bench.pytest(url, ARRIVING.format(rate=FAST_RATE, seconds=seconds)) | {"rate": FAST_RATE}
