from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from xml.etree import ElementTree

import pytest
import records

from pytest_loadperf.measure.summary import summary_of
from pytest_loadperf.records import Acceptance, Change, Commit, LoadRecord, RunRecord
from pytest_loadperf.report.comparable import until, why_apart
from pytest_loadperf.report.trend import Limit, endpoints_of_interest, trend
from pytest_loadperf.report.trend_figures import legend, over_runs

KEY = "tests/test_search_perf.py::rush_hour"


@pytest.fixture(scope="module")
def earlier() -> list[RunRecord]:
    return records.history(8)


def p95_of(load: LoadRecord) -> float:
    summary = summary_of(load)
    assert summary is not None
    return summary.p95_ms


def on(run: RunRecord, branch: str) -> RunRecord:
    return replace(run, commit=Commit(sha="f" * 40, branch=branch, default_branch="main"))


def elsewhere(run: RunRecord) -> RunRecord:
    """The same run on another machine."""
    return replace(
        run, loads=tuple(replace(load, fingerprint={**load.fingerprint, "cores": "8"}) for load in run.loads)
    )


def compared(run: RunRecord, *, low: float, high: float, suspect: bool = False) -> RunRecord:
    """The run with a verdict on its p95 that tells where it was expected."""
    change = Change("p95", 200.0, 110.0, low, high, 150.0, runs=8, suspect=suspect)
    status = "inconclusive" if suspect else "ok"
    verdict = replace(records.verdict("p95 < baseline + 10%", status), change=change)
    return replace(run, tests=(records.judged("test_rush_hour", "passed", verdict),))


class TestTrend:
    def test_holds_the_numbers_of_every_run_and_this_one_last(self, earlier: Sequence[RunRecord]) -> None:
        run = records.run(8)
        found = trend(run, earlier, KEY)
        assert [point.p95 for point in found.points] == [p95_of(each.loads[0]) for each in [*earlier, run]]
        assert found.now.run is run

    def test_is_the_same_whether_the_history_has_the_run_or_not(self, earlier: Sequence[RunRecord]) -> None:
        run = records.run(8)
        assert trend(run, [*earlier, run], KEY) == trend(run, earlier, KEY)

    def test_medians_are_those_of_the_baseline(self, earlier: Sequence[RunRecord]) -> None:
        runs = [elsewhere(earlier[0]), *earlier[1:]]
        found = trend(records.run(8), runs, KEY)
        assert found.medians["p95"] == median(p95_of(run.loads[0]) for run in runs[1:])
        assert found.baseline.line.startswith("median of 7 runs on main, newest ")
        assert found.change("p95") == pytest.approx(found.now.p95 / found.medians["p95"] - 1)

    def test_tells_since_when_it_fails(self, earlier: Sequence[RunRecord]) -> None:
        broken = [
            replace(run, tests=(records.judged("test", "failed", records.verdict(status="broken")),))
            for run in earlier[6:]
        ]
        now = replace(records.run(8), tests=broken[0].tests)
        assert [point.run.id for point in trend(now, [*earlier[:6], *broken], KEY).failing] == [
            *(run.id for run in broken),
            now.id,
        ]
        assert trend(records.run(8), earlier, KEY).failing == ()
        advised = replace(records.verdict("p95 < baseline + 5%", "regressed"), advisory=True)
        slower = replace(earlier[7], tests=(records.judged("test", "passed", advised),))
        assert trend(now, [*earlier[:7], slower], KEY).failing == trend(now, earlier[:7], KEY).failing

    def test_latencies_are_taken_to_the_machine_of_the_run_by_their_control(self, earlier: Sequence[RunRecord]) -> None:
        def controlled(run: RunRecord, control_ms: float) -> RunRecord:
            return replace(run, loads=tuple(replace(load, control_ms=control_ms) for load in run.loads))

        before = [controlled(compared(run, low=90.0, high=140.0), 1.0) for run in earlier]
        plain, found = trend(records.run(8), earlier, KEY), trend(controlled(records.run(8), 1.5), before, KEY)
        assert not plain.is_controlled
        assert found.is_controlled
        assert found.medians["p95"] == pytest.approx(1.5 * plain.medians["p95"])
        assert found.medians["rps"] == plain.medians["rps"]
        assert found.points[0].p99 == pytest.approx(1.5 * plain.points[0].p99)
        assert found.now.p95 == plain.now.p95
        assert found.expected("p95", 0) == pytest.approx((135.0, 210.0))
        assert found.interval("p95", 0) == pytest.approx([1.5 * end for end in plain.interval("p95", 0) or ()])

    def test_only_some_runs_may_be_shown_and_all_are_compared_with(self, earlier: Sequence[RunRecord]) -> None:
        run = records.run(8)
        few = trend(run, earlier, KEY, shown={earlier[6].id})
        assert [point.run.id for point in few.points] == [earlier[6].id, run.id]
        assert few.medians == trend(run, earlier, KEY).medians
        assert len(few.before) == 8

    def test_a_first_run_has_no_medians(self) -> None:
        found = trend(records.run(0), [], KEY)
        assert len(found.points) == 1
        assert all(math.isnan(value) for value in found.medians.values())
        assert math.isnan(found.change("p95"))

    def test_a_median_of_zero_gives_no_change(self, earlier: Sequence[RunRecord]) -> None:
        found = trend(records.run(8), earlier, KEY)
        assert math.isnan(replace(found, medians={**found.medians, "failure_rate": 0.0}).change("failure_rate"))

    def test_runs_that_can_not_be_compared_say_why(self, earlier: Sequence[RunRecord]) -> None:
        stopped = replace(earlier[3], loads=(replace(earlier[3].loads[0], aborted="too many failures"),))
        runs = [earlier[0], elsewhere(earlier[1]), on(earlier[2], "idea"), stopped]
        found = trend(records.run(8), runs, KEY)
        assert [point.why_apart for point in found.points] == ["", "cores: 8", "branch: idea", "stopped early", ""]

    def test_runs_on_the_own_and_on_the_default_branch_belong_together(self, earlier: Sequence[RunRecord]) -> None:
        runs = [earlier[0], on(earlier[1], "idea")]
        found = trend(on(records.run(8), "idea"), runs, KEY)
        assert [point.why_apart for point in found.points] == ["", "", ""]

    def test_a_run_that_was_stopped_is_not_apart_from_itself(self) -> None:
        load = replace(records.load(), aborted="too many failures")
        run = records.run(0, [load])
        assert why_apart((run, load), (run, load)) == ""

    def test_one_endpoint_has_a_trend_of_its_own(self, earlier: Sequence[RunRecord]) -> None:
        whole, one = trend(records.run(8), earlier, KEY), trend(records.run(8), earlier, KEY, "GET /search")
        assert one.now.requests * 3 == whole.now.requests
        assert one.medians["p95"] > whole.medians["p95"]

    def test_an_endpoint_younger_than_the_load_is_missing_in_the_runs_before(self) -> None:
        old = records.run(0, [records.load("rush_hour", replace(records.trial(), stages=()))])
        found = trend(records.run(1), [old], KEY, "GET /search")
        assert math.isnan(found.points[0].p95)
        assert found.points[0].requests == 0

    def test_there_is_none_of_a_load_that_did_not_run(self) -> None:
        with pytest.raises(KeyError):
            trend(records.run(0, []), [records.run(0)], KEY)

    def test_absolute_limits_come_from_the_thresholds(self) -> None:
        verdicts = [
            records.verdict("p95 < 250ms"),
            records.verdict("rps > 100/s", limit="> 100/s"),
            records.verdict("p95 < baseline + 10%", limit="< 139 ms (126 ms + 10%)"),
            records.verdict("p95@peak < 1s", limit="< 1000 ms"),
            records.verdict("p95[GET /search] < 0.3s", limit="< 300 ms"),
            records.verdict("the load runs to its end", limit=""),
            records.verdict("p99 < 5ms", limit="< 5 ms", load="another"),
        ]
        run = records.run(0, tests=[records.judged("test_rush_hour", "failed", *verdicts)])
        assert trend(run, [], KEY).limits == (Limit("p95", 250, "< 250 ms"), Limit("rps", 100, "> 100/s"))
        assert trend(run, [], KEY, "GET /search").limits == (Limit("p95", 300, "< 300 ms"),)

    def test_endpoints_that_thresholds_name_are_of_interest_once_and_if_they_were_seen(self) -> None:
        texts = ["p95[GET /search] < 1s", "p99[GET /search] < 1s", "p95[/gone] < 1s", "p95 < 1s"]
        run = records.run(0, tests=[records.judged("test", "failed", *(records.verdict(text) for text in texts))])
        assert endpoints_of_interest(run, run.loads[0]) == ["GET /search"]


def series(*slow: float) -> tuple[RunRecord, list[RunRecord]]:
    """The newest run and those before it, each slower by its factor."""
    made = [
        records.run(number, [records.load("rush_hour", records.trial(seed=number, slow=each, answers=0.1))], [])
        for number, each in enumerate(slow)
    ]
    return made[-1], made[:-1]


class TestChangePoints:
    def test_are_where_the_level_of_the_comparable_runs_changed(self) -> None:
        run, history = series(*[1.0] * 12, *[1.5] * 8)
        found = trend(run, [elsewhere(history[0]), *history[1:]], KEY)
        (change,) = found.change_points("p95")
        assert change.place == 12  # among all points
        assert change.after / change.before == pytest.approx(1.5, abs=0.1)
        assert found.change_points("rps") == []

    def test_runs_that_can_not_be_compared_change_nothing(self) -> None:
        run, history = series(*[1.5] * 10, *[1.0] * 10)
        found = trend(run, [*map(elsewhere, history[:10]), *history[10:]], KEY)
        assert found.change_points("p95") == []

    def test_are_marked_in_the_chart_and_told_in_words(self) -> None:
        run, history = series(*[1.0] * 12, *[1.5] * 8)
        p95, failures, _ = over_runs(trend(run, history, KEY))
        sha = history[12].commit.sha[:7]  # type: ignore[union-attr]
        assert re.fullmatch(rf"since 2026-09-07 08:00 UTC {sha}: \+\d\d\.\d%", p95.note)
        assert 'stroke-dasharray="1 3"' in p95.svg
        assert (failures.note, 'stroke-dasharray="1 3"' in failures.svg) == ("", False)

    def test_a_change_of_the_failure_rate_is_told_in_points(self) -> None:
        loads = [
            records.load("rush_hour", records.trial(seed=number, failing=rate, answers=0.1))
            for number, rate in enumerate([0.0] * 12 + [0.2] * 8)
        ]
        *history, run = [records.run(number, [load], []) for number, load in enumerate(loads)]
        _, failures, _ = over_runs(trend(run, history, KEY))
        assert re.fullmatch(r"since 2026-09-07 08:00 UTC \w{7}: \+\d\d points", failures.note)

    def test_of_many_the_newest_three_are_told(self) -> None:
        run, history = series(*[factor for factor in (1.0, 2.0, 1.0, 2.0, 1.0) for _ in range(12)])
        p95, *_ = over_runs(trend(run, history, KEY))
        assert p95.note.count("since ") == 3
        assert p95.svg.count('stroke-dasharray="1 3"') == 4


class TestUntil:
    def test_orders_by_time_and_ends_with_the_run(self) -> None:
        first, second, third = (records.run(number, []) for number in range(3))
        assert until(third, [second, third, first]) == [first, second, third]

    def test_leaves_out_what_came_later(self) -> None:
        first, second, third = (records.run(number, []) for number in range(3))
        assert until(second, [first, third]) == [first, second]


class TestFiguresOverRuns:
    def test_are_p95_failure_rate_and_throughput(self, earlier: Sequence[RunRecord]) -> None:
        figures = over_runs(trend(records.run(8), earlier, KEY))
        assert [figure.title for figure in figures] == ["p95", "Failure rate", "Requests a second"]
        assert [figure.svg.count("<circle") for figure in figures] == [10, 10, 10]  # nine runs, and a ring

    def test_draw_the_median_and_the_limits_and_name_them(self) -> None:
        run = records.run(1, tests=[records.judged("test", "passed", records.verdict("p95 < 150ms", limit="< 150 ms"))])
        p95, failures, _ = over_runs(trend(run, [records.run(0)], KEY))
        assert [name for _, name in p95.legend] == ["limit < 150 ms", "median 113 ms"]
        assert [name for _, name in failures.legend] == ["median 0.119%"]

    def test_a_limit_far_above_all_values_is_named_instead(self) -> None:
        run = records.run(0, tests=[records.judged("test", "passed", records.verdict("p95 < 60s", limit="< 60 s"))])
        p95, *_ = over_runs(trend(run, [], KEY))
        assert (p95.legend, p95.note) == ((), "limit < 60 s, beyond the chart")

    def test_tell_runs_apart_by_shape_and_in_words(self, earlier: Sequence[RunRecord]) -> None:
        broken = replace(earlier[1], tests=(records.judged("test", "failed", records.verdict(status="broken")),))
        p95, *_ = over_runs(trend(records.run(8), [elsewhere(earlier[0]), broken, *earlier[2:]], KEY))
        hollow = next(title for title in titles(p95.svg) if "not comparable" in title)
        assert re.fullmatch(
            r"p95 \d+ ms \(\d+ ms to \d+ ms\)\n2026-09-01 08:00 UTC \w{7}\nChange number 0\n✓ ok\n"
            r"not comparable: cores: 8",
            hollow,
        )
        diamonds = re.findall(r'<path d="M0 -[^"]*" class="ink-vermillion" fill="#d55e00"><title>([^<]*)<', p95.svg)
        assert len(diamonds) == 1
        assert "✗ broken" in diamonds[0]

    def test_show_how_sure_each_number_is(self, earlier: Sequence[RunRecord]) -> None:
        p95, failures, _ = over_runs(trend(records.run(8), earlier, KEY))
        assert [figure.svg.count('stroke-opacity=".55"') for figure in (p95, failures)] == [9, 0]
        assert re.match(r"p95 \d+ ms \(\d+ ms to \d+ ms\)\n", titles(p95.svg)[0])

    def test_show_where_each_run_was_expected(self, earlier: Sequence[RunRecord]) -> None:
        run = compared(records.run(8), low=90.0, high=140.0)
        p95, failures, _ = over_runs(trend(run, earlier, KEY))
        (band,) = re.findall(r'<path d="([^"]*)z" class="ink-blue" fill="#0072b2" fill-opacity=".18"/>', p95.svg)
        assert band.count("L") == 3  # a box around one run
        assert 'fill-opacity=".18"' not in failures.svg

    def test_a_suspect_that_was_not_confirmed_is_hollow(self, earlier: Sequence[RunRecord]) -> None:
        suspect = compared(earlier[3], low=90.0, high=140.0, suspect=True)
        p95, *_ = over_runs(trend(records.run(8), [*earlier[:3], suspect, *earlier[4:]], KEY))
        hollow = re.findall(r'class="hollow line-blue"[^>]*><title>([^<]*)<', p95.svg)
        assert len(hollow) == 1
        assert "? inconclusive" in hollow[0]

    def test_an_accepted_change_begins_a_level_by_name(self, earlier: Sequence[RunRecord]) -> None:
        since = earlier[5].started_at
        accepted = Acceptance("a", since, "encryption at rest", (KEY,), earlier[5].id, since)
        p95, *_ = over_runs(trend(replace(records.run(8), accepted=(accepted,)), earlier, KEY))
        assert ">accepted<" in p95.svg
        assert re.fullmatch(r"accepted from 2026-09-03 20:00 UTC \w{7} on: encryption at rest", p95.note)

    def test_each_run_leads_to_its_page_in_ci_if_that_is_one(self, earlier: Sequence[RunRecord]) -> None:
        hostile = replace(earlier[0], ci_url="javascript:alert(1)")
        p95, *_ = over_runs(trend(records.run(8), [hostile, *earlier[1:]], KEY))
        assert re.findall(r'<a href="([^"]*)"', p95.svg) == [
            f"https://ci.example/runs/{number}" for number in range(1, 9)
        ]

    def test_the_line_connects_comparable_runs_only(self, earlier: Sequence[RunRecord]) -> None:
        p95, *_ = over_runs(trend(records.run(8), [*earlier[:4], elsewhere(earlier[4]), *earlier[5:]], KEY))
        (line,) = re.findall(r'<path d="([^"]*)" class="line-grey"', p95.svg)
        assert line.count("L") == 7  # eight of nine runs

    def test_of_many_runs_keep_the_extremes_the_failed_ones_and_this_one(self, earlier: Sequence[RunRecord]) -> None:
        many = [renamed(earlier[number % 8], number) for number in range(2000)]
        many[777] = replace(many[777], tests=(records.judged("test", "failed", records.verdict(status="broken")),))
        p95, *_ = over_runs(trend(records.run(4000), many, KEY))
        assert p95.svg.count("<circle") < 200
        assert "✗ broken" in p95.svg
        assert titles(p95.svg)[-1].startswith("p95 113 ms")
        assert len(p95.svg) < 60_000

    def test_without_a_request_say_so(self) -> None:
        silent = replace(records.trial(), stages=())
        p95, *_ = over_runs(trend(records.run(0, [records.load("rush_hour", silent)]), [], KEY))
        assert ElementTree.fromstring(p95.svg).get("aria-label") == "p95 over 1 run. No requests in any run."

    def test_say_what_they_show(self, earlier: Sequence[RunRecord]) -> None:
        p95, *_ = over_runs(trend(records.run(8), earlier, KEY))
        label = ElementTree.fromstring(p95.svg).get("aria-label") or ""
        assert re.fullmatch(
            r"p95 over 9 runs\. Between \d+ ms and \d+ ms, 113 ms in this run, \d+ ms in the median of the baseline\.",
            label,
        )

    def test_have_a_legend_of_every_mark(self) -> None:
        assert [name for _, name in legend()] == [
            "comparable run",
            "a threshold of this load broke",
            "a suspect, not confirmed",
            "not comparable: other machine, set-up or branch",
            "where the run was expected",
            "this run",
        ]


def renamed(run: RunRecord, number: int) -> RunRecord:
    at = records.run(number, [], [])
    return replace(run, id=at.id, started_at=at.started_at, tests=())


def titles(svg: str) -> list[str]:
    return [title.text or "" for title in ElementTree.fromstring(svg).iter("title")]
