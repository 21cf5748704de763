"""A change that is accepted on purpose, how it is kept, and the level that begins with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from records import history, judged, run, verdict
from records import load as made_load

from pytest_loadperf.cli import main
from pytest_loadperf.errors import HistoryError
from pytest_loadperf.history.accept import acceptance
from pytest_loadperf.history.store import Store, open_store
from pytest_loadperf.judge.baseline import Baseline, find
from pytest_loadperf.records import Acceptance, Change, RunRecord

NOW = made_load()
OTHER = "tests/test_search_perf.py::other"
SUSPECT = Change("p95", 300.0, 200.0, 190.0, 210.0, 220.0, 6, suspect=True, again=201.0)


def slower(number: int, *status: str) -> RunRecord:
    """A run that regressed, or came to something else."""
    verdicts = [verdict("p95 < baseline + 10%", status=each) for each in status or ("regressed",)]
    return run(number, tests=[judged("test_rush_hour", "failed", *verdicts)])


def accepted(at_run: int, *, later: float = 0) -> Acceptance:
    """An acceptance from this run on, made when the run `later` had ended."""
    since = run(at_run)
    return Acceptance("a1", run(int(later or at_run)).started_at, "encryption", (NOW.key,), since.id, since.started_at)


def levels(baseline: Baseline) -> list[list[str]]:
    return [[found.id for found, _ in level] for level in baseline.levels]


def store(place: Path, *runs: RunRecord) -> Store:
    kept = open_store(str(place), place)
    for each in runs:
        kept.append(each)
    return kept


def test_by_default_it_is_about_the_loads_that_had_regressed() -> None:
    tests = (
        judged("test_a", "failed", verdict(status="regressed"), verdict(status="regressed")),
        judged("test_b", "passed", verdict(status="ok", load=OTHER)),
    )
    made = acceptance(run(3, tests=tests), " encryption ", ())
    assert (made.reason, made.loads) == ("encryption", (NOW.key,))
    assert (made.run, made.since, made.commit) == (run(3).id, run(3).started_at, run(3).commit)


@pytest.mark.parametrize("pattern", ["test_b", "tests/test_search_perf.py::test_b", "test_?", "tests/*"])
def test_a_pattern_names_the_tests_whose_loads_it_is_about(pattern: str) -> None:
    tests = (judged("test_b", "passed", verdict(load=OTHER)),)
    assert acceptance(run(3, tests=tests), "reason", (pattern,)).loads == (OTHER,)


def test_what_is_about_nothing_is_refused_and_says_what_there_is() -> None:
    with pytest.raises(HistoryError, match=rf"^nothing had regressed in run {run(1).id}; name what to accept with"):
        acceptance(run(1), "reason", ())
    with pytest.raises(HistoryError, match=r"is called 'test_x'; its load tests: tests/test_search_perf.py"):
        acceptance(run(1), "reason", ("test_x",))
    with pytest.raises(HistoryError, match=r"^the reason is empty; say why the change is the new normal$"):
        acceptance(slower(1), "  ", ())


def test_it_is_a_file_of_its_own_beside_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = store(tmp_path, run(0), slower(1))
    assert main(["accept", "--reason", "encryption", "--history", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{NOW.key}: run {run(1).id} begins a new level"
    assert json.loads(Path(told[1]).read_text())["reason"] == "encryption"
    assert [each.id for each in kept.records(pytest.fail)] == [run(0).id, run(1).id]
    (made,) = kept.acceptances(pytest.fail)
    assert (made.run, made.reason, made.loads) == (run(1).id, "encryption", (NOW.key,))


def test_an_earlier_run_may_be_the_first_of_the_level(tmp_path: Path) -> None:
    kept = store(tmp_path, run(0), run(1))
    asked = ["accept", "--reason", "x", "--test", "test_rush_hour", "--run", run(0).id, "--history", str(tmp_path)]
    assert main(asked) == 0
    assert [made.run for made in kept.acceptances(pytest.fail)] == [run(0).id]


def test_what_can_not_be_accepted_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, run(0))
    assert main(["accept", "--reason", "x", "--history", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"pytest-loadperf: nothing had regressed in run {run(0).id}")


def test_an_acceptance_that_can_not_be_read_is_named_and_left_alone(tmp_path: Path) -> None:
    kept = store(tmp_path, run(0))
    (tmp_path / "runs/20260901T080000Z-x.accepted.json").write_text('{"format": 1, "id": "x"}')
    warnings: list[str] = []
    assert kept.acceptances(warnings.append) == []
    assert "20260901T080000Z-x.accepted.json is no acceptance of pytest-loadperf" in warnings[0]
    assert len(kept.records(pytest.fail)) == 1


def test_a_level_begins_with_the_accepted_run_although_it_had_regressed() -> None:
    runs = [*history(3), slower(3), run(4)]
    before = find(runs, NOW, runs[0].commit)
    assert levels(before) == [[each.id for each in runs[:3]]]
    after = find(runs, NOW, runs[0].commit, None, [accepted(3)])
    assert levels(after) == [[each.id for each in runs[:3]], [run(3).id, run(4).id]]
    assert after.line.startswith("median of 2 runs on main since a change was accepted (encryption), newest ")
    assert (len(after.loads), after.runs) == (2, 5)


def test_what_had_regressed_between_the_run_and_the_acceptance_belongs_to_the_level() -> None:
    runs = [run(0), slower(1), slower(2), slower(3)]
    found = find(runs, NOW, runs[0].commit, None, [accepted(1, later=2)])
    assert levels(found) == [[run(0).id], [run(1).id, run(2).id]]


def test_an_acceptance_of_another_load_changes_nothing() -> None:
    runs = [*history(3), slower(3)]
    elsewhere = replace(accepted(3), loads=(OTHER,))
    assert levels(find(runs, NOW, runs[0].commit, None, [elsewhere])) == [[each.id for each in runs[:3]]]


def test_a_named_run_is_compared_with_and_the_others_tell_how_much_runs_differ() -> None:
    runs = history(6)
    found = find(runs, NOW, runs[0].commit, runs[2].id)
    assert levels(found) == [[each.id for each in (*runs[:2], *runs[3:])], [runs[2].id]]
    assert found.line.startswith(f"1 run called {runs[2].id}, ")


def test_suspects_that_were_not_confirmed_are_left_out_and_counted() -> None:
    unconfirmed = replace(verdict("p95 < baseline + 10%", status="inconclusive"), change=SUSPECT)
    odd = replace(run(6), tests=(judged("test_rush_hour", "passed", unconfirmed),))
    few = find([*history(6), odd], NOW, odd.commit)
    assert len(few.loads) == 6
    assert few.line.endswith("; 1 left out as unconfirmed suspects")
    many = find([*history(3), odd], NOW, odd.commit)
    assert many.line.endswith("; environment unstable: 1 of the latest 4 were suspects, unconfirmed")


def test_a_suspect_that_fails_by_an_option_is_left_out_as_well() -> None:
    failed = replace(verdict("p95 < baseline + 10%", status="broken"), change=SUSPECT)
    odd = replace(run(6), tests=(judged("test_rush_hour", "failed", failed),))
    assert len(find([*history(6), odd], NOW, odd.commit).loads) == 6


def on(record: RunRecord, branch: str) -> RunRecord:
    assert record.commit is not None
    return replace(record, commit=replace(record.commit, branch=branch))


def test_a_change_that_is_accepted_on_a_branch_is_the_level_there_and_nowhere_else() -> None:
    main_runs, slow = history(6), on(slower(6), "feature")
    made = replace(accepted(6), run=slow.id, commit=slow.commit)
    there = find([*main_runs, slow], NOW, slow.commit, None, [made])
    assert levels(there) == [[each.id for each in main_runs], [slow.id]]
    assert there.line.startswith("1 run on feature since a change was accepted (encryption), ")
    later = run(7)
    assert levels(find([*main_runs, slow, later], NOW, later.commit, None, [made])) == [
        [each.id for each in (*main_runs, later)]
    ]
