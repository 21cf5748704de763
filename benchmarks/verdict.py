"""How far a red result can be believed, and a green one: `python -m benchmarks.verdict`.

The plugin's rule beside pytest-benchmark's percentage, Bencher's t-tests and Apache Otava, on runs of unchanged code
and on the same runs made slower; how often the interval of p95 holds the true one; and how long judging takes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.figures import parser, write
from benchmarks.verdict_interval import coverages
from benchmarks.verdict_rules import Rule, red, rules, share, statuses
from benchmarks.verdict_runs import Histories, Windows, simulated
from benchmarks.verdict_time import RUNS, TARGET_S, judging

EARLIER = (1, 3, 5, 10, 30)
SLOWER = (1.0, 1.1, 1.2, 1.5)
_BESIDE = Path(__file__).parents[2] / "shared" / "data" / "histories.csv.gz"
_WIDTH = 34

Alarms = dict[str, dict[str, list[float]]]  # by rule and set: for each of SLOWER
Red = dict[str, dict[str, float]]  # by rule and set


def sets(histories: Histories | None, earlier: int, simulations: int) -> list[Windows]:
    """All windows of so many earlier runs."""
    return [*(histories.windows(earlier) if histories else ()), *simulated(earlier, simulations)]


def measure(found: list[Windows], by: Mapping[str, Rule]) -> tuple[Alarms, Red]:
    """Alarms per 1,000 windows, of unchanged code and of slower; and the share of real CI runs that are red."""
    alarms: Alarms = {}
    reds: Red = {}
    for name, rule in by.items():
        told = {windows.name: [rule(windows, slower) for slower in SLOWER] for windows in found}
        alarms[name] = {of: [*map(share, each)] for of, each in told.items()}
        reds[name] = {windows.name: red(windows, told[windows.name][0]) for windows in found if windows.sessions}
    return alarms, reds


def print_alarms(earlier: int, found: list[Windows], alarms: Alarms) -> None:
    """A row for each rule, a column for each set."""
    print(f"\n{earlier} earlier runs: false alarms per 1,000 | % of +10 % +20 % +50 % detected")
    print(" " * _WIDTH + "".join(f"{windows.name:>20}" for windows in found))
    print(f"{'windows':{_WIDTH}}" + "".join(f"{len(windows.now):>20,}" for windows in found))
    for name, cells in alarms.items():
        shown = [f"{false:.3g} |" + "".join(f"{each / 10:4.0f}" for each in seen) for false, *seen in cells.values()]
        print(f"{name:{_WIDTH}}" + "".join(f"{cell:>20}" for cell in shown))


def print_red(reds: Mapping[str, Red]) -> None:
    """How many runs of the real sets would be red for no reason, by so many earlier runs."""
    first = next(iter(reds.values()))
    names = [*next(iter(first.values()))]
    if not names:
        return
    print(f"\nCI runs in % that a false alarm in any series makes red, with {', '.join(reds)} earlier runs")
    print(" " * _WIDTH + "".join(f"{name:>28}" for name in names))
    for rule in first:
        shown = ["".join(f"{100 * by[rule][name]:5.1f}" for by in reds.values()) for name in names]
        print(f"{rule:{_WIDTH}}" + "".join(f"{cell:>28}" for cell in shown))


def print_statuses(told: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """What the plugin says with its second look, of unchanged code and of what really is 20 % slower; in percent."""
    print("\nthis plugin's verdicts in %: unchanged code inconclusive | really +20 %: inconclusive, ok")
    names = [*next(iter(told.values()))]
    print(f"{'earlier runs':{_WIDTH}}" + "".join(f"{name:>20}" for name in names))
    for earlier, cells in told.items():
        shown = [
            "{:.1f} |{:5.1f}{:5.1f}".format(
                *(100 * cells[name][key] for key in ("unchanged_inconclusive", "slower_inconclusive", "slower_ok"))
            )
            for name in names
        ]
        print(f"{earlier:{_WIDTH}}" + "".join(f"{cell:>20}" for cell in shown))


def verdicts(windows: Windows) -> dict[str, float]:
    """The shares that say how much the rule leaves open."""
    unchanged, slower = statuses(windows, 1.0), statuses(windows, 1.2)
    return {
        "unchanged_inconclusive": unchanged.get("inconclusive", 0.0),
        "slower_inconclusive": slower.get("inconclusive", 0.0),
        "slower_regressed": slower.get("regressed", 0.0),
        "slower_ok": slower.get("ok", 0.0) + slower.get("improved", 0.0),
    }


def compare(histories: Histories | None, quick: bool) -> dict[str, Any]:
    """The tables of alarms and of verdicts."""
    figures: dict[str, Any] = {"alarms": {}, "red": {}, "verdicts": {}}
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        by = rules(not quick, Path(place), stack)
        for earlier in (5, 10) if quick else EARLIER:
            found = sets(histories, earlier, 100 if quick else 2000)
            figures["alarms"][str(earlier)], figures["red"][str(earlier)] = measure(found, by)
            print_alarms(earlier, found, figures["alarms"][str(earlier)])
            if earlier >= 5:  # fewer are no baseline
                figures["verdicts"][str(earlier)] = {windows.name: verdicts(windows) for windows in found}
    print_red(figures["red"])
    print_statuses(figures["verdicts"])
    return figures


def cover(quick: bool) -> list[dict[str, Any]]:
    """The table of intervals."""
    found = coverages(50 if quick else 1000)
    print("\n95 % interval of p95 on a simulated queue (target: it holds the true one 88 to 97 times of 100)")
    print(f"{'service':14}{'utilisation':>12}{'requests':>10}{'held':>8}{'width':>8}{'unbounded':>11}")
    for each in found:
        print(
            f"{each.service:14}{each.utilisation:12}{each.requests:10,}{each.held:8.1%}"
            f"{f'{each.width:.0%}' if each.unbounded < 0.5 else '':>8}{each.unbounded:11.1%}"
        )
    return [each._asdict() for each in found]


def main() -> None:
    """Measure, print, and write the figures as JSON where that is asked for."""
    options = parser(__doc__, "5 and 10 earlier runs, fewer windows and queues, without Otava")
    options.add_argument(
        "--histories", type=Path, default=_BESIDE, help="real ones: dataset,series,run,date,cost,version; gzipped CSV"
    )
    asked = options.parse_args()
    histories = Histories(asked.histories) if asked.histories.exists() else None
    if histories is None:
        sys.stdout.write("without real histories: give their file with --histories\n")
    figures = compare(histories, asked.quick)
    figures["coverage"] = cover(asked.quick)
    took = judging()
    print(
        f"\n{took.series} series judged against {RUNS:,} runs: {took.seconds:.3f} s (target: less than {TARGET_S:g} s)"
    )
    print(f"  of it, to find the comparable ones: {took.find_s:.3f} s")
    write(asked.json, figures | {"judging": took._asdict()})


if __name__ == "__main__":
    main()
