"""What makes requests as fast as it can: users under the plugin and under plain Locust, k6 and wrk.

Each gives its own count of requests a second. The processor seconds are those of the process that makes the requests:
for the users without its start, for k6 and wrk with it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.bench import Bench

USERS = 50
KINDS = {"LeanHttpUser": "Lean", "FastHttpUser": "Fast", "HttpUser": "Plain"}  # what they are called in `users.py`
WARM_UP_S = 1

PLUGGED = """
import json
from pytest_loadperf import Stage, load
from users import {user}

full = load(
    {user},
    Stage("warm-up", users={users}, duration="{warm_up}s", measured=False),
    Stage("full", users={users}, duration="{seconds}s"),
)

def test_full(full):
    assert full.failures == 0
    cpu_s = full.generator.cpu_percent / 100
    with open("told.json", "w") as file:
        json.dump({{"rps": full.rps, "cpu_ms": 1000 * 1000 * cpu_s / full.rps}}, file)
"""

# Locust's own count, from the end of the same warm-up on.
PLAIN = """
import json
from time import process_time
import gevent
from locust import events
from users import {user}

@events.test_start.add_listener
def warm_up(environment, **_):
    gevent.spawn_later({warm_up}, begin, environment)

def begin(environment):
    environment.stats.reset_all()
    environment.used_s = process_time()

@events.test_stopping.add_listener
def tell(environment, **_):
    total = environment.stats.total
    cpu_s = process_time() - environment.used_s
    with open("told.json", "w") as file:
        json.dump({{"rps": total.total_rps, "cpu_ms": 1000 * 1000 * cpu_s / total.num_requests}}, file)
"""

K6 = """
import http from "k6/http";
export const options = { vus: %d, duration: "%ds" };
export default function () { http.get(%s); }
"""


class Speed(NamedTuple):
    """How fast one peer was in one round."""

    rps: float
    cpu_ms: float  # of the processor's time for 1,000 requests


Peer = Callable[[str, int], Speed]  # of a server's address and so many seconds


def peers(bench: Bench) -> dict[str, Peer]:
    """All that are installed, by the name of their row."""
    found: dict[str, Peer] = {}
    for kind, user in KINDS.items():
        found[f"{kind}, plugin"] = partial(plugged, bench, user)
        found[f"{kind}, Locust"] = partial(plain, bench, user)
    if k6_path := _where("k6"):
        found["k6"] = partial(k6, bench, k6_path)
    if wrk_path := _where("wrk"):
        found["wrk"] = partial(wrk, bench, wrk_path)
    return found


def plugged(bench: Bench, user: str, url: str, seconds: int) -> Speed:
    """A load test of one stage, after a warm-up that is not measured."""
    return Speed(**bench.pytest(url, PLUGGED.format(user=user, users=USERS, warm_up=WARM_UP_S, seconds=seconds)))


def plain(bench: Bench, user: str, url: str, seconds: int) -> Speed:
    """`locust --headless` with the same users, after the same warm-up."""
    (bench.folder / "locustfile.py").write_text(PLAIN.format(user=user, warm_up=WARM_UP_S))
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--host", url]
    bench.generate([*command, "-u", str(USERS), "-r", str(USERS), "-t", f"{seconds + WARM_UP_S}s"])
    return Speed(**bench.told())


def k6(bench: Bench, path: str, url: str, seconds: int) -> Speed:
    """As many virtual users on one thread."""
    (bench.folder / "k6.js").write_text(K6 % (USERS, seconds, json.dumps(url)))
    command = [path, "run", "--quiet", "--no-usage-report", "--summary-export", "told.json", "k6.js"]
    _, cpu_s = bench.generate(command, GOMAXPROCS="1")
    requests = bench.told()["metrics"]["http_reqs"]
    return Speed(requests["rate"], 1000 * 1000 * cpu_s / requests["count"])


def wrk(bench: Bench, path: str, url: str, seconds: int) -> Speed:
    """As many connections on one thread."""
    printed, cpu_s = bench.generate([path, "-t1", f"-c{USERS}", f"-d{seconds}s", url])
    requests, rate = (float(found) for found in re.findall(r"\d+(?= requests in)|(?<=Requests/sec:) +[\d.]+", printed))
    return Speed(rate, 1000 * 1000 * cpu_s / requests)


def _where(command: str) -> str | None:
    """Beside this Python, where the wheels of an environment that is not activated are, or on the path."""
    return shutil.which(command, path=sysconfig.get_path("scripts")) or shutil.which(command)
