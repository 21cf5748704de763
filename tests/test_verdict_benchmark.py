"""The benchmark of the verdict measures the rule that the plugin judges by."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What it prints, and its figures."""
    folder = tmp_path_factory.mktemp("figures")
    command = [sys.executable, "-m", "benchmarks.verdict", "--quick", "--json", str(folder / "told.json")]
    done = subprocess.run(
        [*command, "--histories", str(folder / "none")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout, json.loads((folder / "told.json").read_text())


def test_without_the_real_histories_it_says_so_and_goes_on(told: tuple[str, dict[str, Any]]) -> None:
    printed, figures = told
    assert printed.startswith("without real histories: give their file with --histories\n")
    assert [*figures["verdicts"]["10"]] == ["model, CV 3%", "model, CV 6%", "model, CV 10%", "model, CV 15%"]


def test_the_rule_raises_an_alarm_where_a_test_would_fail(told: tuple[str, dict[str, Any]]) -> None:
    for earlier, sets in told[1]["verdicts"].items():
        for name, shares in sets.items():
            per_thousand = told[1]["alarms"][earlier]["this plugin, confirmed"][name][2]
            assert shares["slower_regressed"] == pytest.approx(per_thousand / 1000)


def test_fewer_false_alarms_than_by_any_other_rule_and_never_many(told: tuple[str, dict[str, Any]]) -> None:
    alarms = {rule: [cell[0] for cell in sets.values()] for rule, sets in told[1]["alarms"]["10"].items()}
    ours = sum(alarms.pop("this plugin, confirmed"))
    assert all(ours < sum(others) for others in alarms.values())
    assert ours <= 10  # one in four times a hundred windows


def test_the_time_that_judging_takes_is_told(told: tuple[str, dict[str, Any]]) -> None:
    judging = told[1]["judging"]
    assert judging["series"] == 40
    assert 0 < judging["find_s"] < judging["seconds"]
