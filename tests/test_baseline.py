from __future__ import annotations

from dataclasses import replace

import pytest
from records import FINGERPRINT, history, judged, run, verdict
from records import load as made_load

from pytest_loadperf.errors import HistoryError
from pytest_loadperf.judge.baseline import Baseline, find, named
from pytest_loadperf.model import SelfCheck
from pytest_loadperf.records import Commit, RunRecord

NOW = made_load()
ON_MAIN = Commit("f" * 40, branch="main", default_branch="main")
ON_BRANCH = Commit("e" * 40, branch="feature/x", default_branch="main")


def on(record: RunRecord, branch: str | None, tag: str | None = None) -> RunRecord:
    assert record.commit is not None
    return replace(record, commit=replace(record.commit, branch=branch, tag=tag))


def ids(baseline: Baseline) -> list[str]:
    return [record.id for record, _ in baseline.loads]


def with_fingerprint(record: RunRecord, **changes: str) -> RunRecord:
    return replace(record, loads=tuple(replace(load, fingerprint={**FINGERPRINT, **changes}) for load in record.loads))


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return history(4)


def test_the_comparable_runs_of_the_default_branch_are_the_baseline(records: list[RunRecord]) -> None:
    mixed = [records[0], on(records[1], "feature/x"), on(records[2], None), records[3]]
    for commit in (ON_MAIN, ON_BRANCH):
        baseline = find(mixed, NOW, commit)
        assert ids(baseline) == [records[0].id, records[3].id]
        assert baseline.line == f"median of 2 runs on main, newest 2026-09-02 20:00 UTC {records[3].commit.sha[:7]}"  # type: ignore[union-attr]


@pytest.mark.parametrize("commit", [None, Commit("f"), Commit("f", branch="main"), Commit("f", default_branch="main")])
def test_without_a_branch_to_go_by_every_comparable_run_counts(records: list[RunRecord], commit: Commit | None) -> None:
    baseline = find([on(records[0], "a"), replace(records[1], commit=None)], NOW, commit)
    assert len(baseline.loads) == 2
    assert baseline.line == f"median of 2 runs, newest 2026-09-01 20:00 UTC {records[1].id}"


def test_only_the_newest_thirty_runs_count(records: list[RunRecord]) -> None:
    many = [replace(records[number % 4], id=f"run{number}") for number in range(40)]
    assert ids(find(many, NOW, ON_MAIN)) == [f"run{number}" for number in range(10, 40)]


def test_one_run_is_called_one_run(records: list[RunRecord]) -> None:
    assert find(records[:1], NOW, ON_MAIN).line == f"1 run on main, 2026-09-01 08:00 UTC {records[0].commit.sha[:7]}"  # type: ignore[union-attr]


def test_another_load_has_no_say(records: list[RunRecord]) -> None:
    other = [replace(records[0], loads=(made_load("other"),))]
    assert find(other, NOW, ON_MAIN).why_empty == "no earlier run of this load on main"


def test_a_run_that_was_stopped_early_in_doubt_broken_or_regressed_is_no_measure(
    records: list[RunRecord],
) -> None:
    stopped = replace(records[0], loads=(replace(records[0].loads[0], aborted="too slow"),))
    regressed = replace(records[1], tests=(judged("test_a", "failed", verdict(status="regressed")),))
    wanted = verdict("p95 < baseline + 10%", status="broken", reason="no run (--loadperf-require-baseline)")
    early = replace(records[2], tests=(judged("test_a", "failed", wanted),))
    broken = replace(records[2], tests=(judged("test_a", "failed", verdict(status="broken")),))
    elsewhere = replace(records[3], tests=(judged("test_a", "failed", verdict(status="regressed", load="other")),))
    assert ids(find([stopped, broken, elsewhere, regressed], NOW, ON_MAIN)) == [elsewhere.id]
    assert ids(find([stopped, early, elsewhere, regressed], NOW, ON_MAIN)) == [early.id, elsewhere.id]
    trial = records[0].loads[0].trials[0]
    held_up = tuple(replace(stage, generator=SelfCheck(10, saturated_s=9)) for stage in trial.stages)
    in_doubt = replace(records[0], loads=(replace(records[0].loads[0], trials=(replace(trial, stages=held_up),)),))
    alone = find([stopped, in_doubt, regressed], NOW, ON_MAIN)
    assert (
        alone.why_empty
        == "no comparable run on main: each one was stopped early, in doubt, suspect, broken or regressed"
    )
    assert alone.line == alone.why_empty


def test_a_run_on_another_machine_is_not_comparable_and_the_difference_is_named(records: list[RunRecord]) -> None:
    moved = with_fingerprint(records[0], cpu="Intel Xeon", runner="big")
    assert ids(find([moved, records[1]], NOW, ON_MAIN)) == [records[1].id]
    assert find([moved], NOW, ON_MAIN).why_empty == (
        f"no comparable run on main: since the newest (2026-09-01 08:00 UTC {records[0].commit.sha[:7]}), "  # type: ignore[union-attr]
        "cpu was 'Intel Xeon', is 'AMD EPYC 7B13'; runner was 'big', is 'none'"
    )


def test_an_empty_history_is_why_there_is_no_baseline() -> None:
    assert find([], NOW, None).why_empty == "no earlier run of this load"
    assert find([], NOW, ON_MAIN, "v1.0").why_empty == "no earlier run of this load on v1.0"


def test_runs_on_other_branches_only_are_named(records: list[RunRecord]) -> None:
    elsewhere = [on(records[0], "feature/y"), on(records[1], "feature/x"), on(records[2], "feature/x")]
    assert find(elsewhere, NOW, ON_MAIN).why_empty == (
        "no earlier run of this load on main, only on feature/x, feature/y"
    )


def test_a_name_is_a_branch_else_a_tag_else_a_run(records: list[RunRecord]) -> None:
    mixed = [on(records[0], "v1.0"), on(records[1], "main", "v1.0"), on(records[2], "main", "v2.0")]
    assert ids(find(mixed, NOW, ON_MAIN, "v1.0")) == [records[0].id]
    assert find(mixed, NOW, ON_MAIN, "v2.0").line.startswith("1 run tagged v2.0, 2026-09-02 08:00")
    assert ids(find(mixed, NOW, ON_MAIN, records[1].id)) == [records[1].id]


def test_an_unknown_name_is_an_error_that_names_what_there_is(records: list[RunRecord]) -> None:
    mixed = [on(records[0], "main", "v1.0"), on(records[1], "feature/x")]
    with pytest.raises(HistoryError) as error:
        named(mixed, "mian")
    assert str(error.value) == (
        "the history has no branch, tag or run 'mian'; branches: main, feature/x; tags: v1.0; "
        f"newest runs: {records[1].id}, {records[0].id}"
    )


def test_an_error_about_a_name_says_none_where_there_is_none() -> None:
    with pytest.raises(HistoryError, match=r"branches: none; tags: none; newest runs: lone$"):
        named([replace(run(), id="lone", commit=None)], "main")
