from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import records

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import StageRecord
from pytest_loadperf.records import RunRecord, TestRecord
from pytest_loadperf.report.markdown import append, render, sparkline

HOSTILE = "</code></details><script>|`*[x](javascript:1)*`|\n# _top_ @team #1 $x$ www\u202e"


def rows(summary: str) -> list[list[str]]:
    """The cells of the first table."""
    table = summary.partition("| --- |")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def of(*tests: TestRecord) -> RunRecord:
    return records.run(3, tests=tests)


class TestVerdicts:
    def test_are_told_with_test_load_threshold_observed_limit_and_baseline(self) -> None:
        verdict = records.verdict(
            "p95 < baseline + 10%",
            "regressed",
            observed="190 ms",
            limit="< 124 ms (113 ms + 10%)",
            baseline="median of 30 runs on main",
        )
        assert rows(render(of(records.judged("test_rush_hour", "failed", verdict)), [])) == [
            [
                "**✗ regressed**",
                "<code>test_rush_hour</code>",
                "rush_hour",
                "<code>p95 &#60; baseline + 10%</code>",
                "190 ms",
                "&#60; 124 ms (113 ms + 10%)",
                "median of 30 runs on main",
            ]
        ]

    def test_what_failed_stands_first(self) -> None:
        tests = (
            records.judged("test_green", "passed", records.verdict()),
            records.judged("test_new", "passed", records.verdict(status="no_baseline")),
            records.judged("test_red", "failed", records.verdict(), records.verdict(status="broken")),
        )
        assert [(cells[0], cells[1]) for cells in rows(render(of(*tests), []))] == [
            ("**✗ broken**", "<code>test_red</code>"),
            ("✓ ok", "<code>test_red</code>"),
            ("? no baseline", "<code>test_new</code>"),
            ("✓ ok", "<code>test_green</code>"),
        ]

    def test_a_test_that_failed_without_a_breach_tells_its_error(self) -> None:
        message = (
            "    def test_plain(rush_hour):\n>       assert rush_hour.p99_ms < 1\nE       assert 261 < 1\nE       more"
        )
        told = records.judged("test_plain", "failed", records.verdict(), message=message)
        first, second = rows(render(of(told), []))
        assert (first[0], second[0]) == ("✓ ok", "**✗ failed**")
        assert second[-1] == "assert 261 &#60; 1"

    def test_an_error_without_marks_tells_its_last_line(self) -> None:
        told = records.judged("test_start", "error", message="Traceback\nServiceError: it never got ready\n\n")
        assert rows(render(of(told), []))[0][-1] == "ServiceError: it never got ready"

    def test_tests_without_thresholds_are_listed(self) -> None:
        tests = records.judged("test_plain", "passed"), records.judged("test_later", "skipped")
        expected = records.judged("test_slow", "xfailed", records.verdict(status="broken"))
        assert [cells[:3] for cells in rows(render(of(*tests, expected), []))] == [
            ["✓ passed", "<code>test_plain</code>", "rush_hour"],
            ["**✗ broken**", "<code>test_slow</code>", "rush_hour"],
            ["– skipped", "<code>test_later</code>", "rush_hour"],
        ]

    def test_a_run_without_tests_has_no_table(self) -> None:
        assert "| --- |" not in render(records.run(0, [], []), [])


class TestHeadline:
    @pytest.mark.parametrize(
        ("outcomes", "headline"),
        [
            ([], "## ✓ No load test ran"),
            ([("passed", "ok")], "## ✓ The load test passed"),
            ([("failed", "broken")], "## ✗ The load test failed"),
            ([("passed", "ok")] * 3, "## ✓ All 3 load tests passed"),
            ([("passed", "ok"), ("error", "ok")], "## ✗ 1 of 2 load tests failed"),
            ([("passed", "inconclusive"), ("passed", "ok")], "## ? All 2 load tests passed, 1 to look at"),
            ([("passed", "no_baseline")], "## ? The load test passed, 1 to look at"),
            ([("skipped", "ok")], "## ✓ No load test ran"),
        ],
    )
    def test_says_how_the_run_ended(self, outcomes: Sequence[tuple[str, str]], headline: str) -> None:
        tests = [records.judged("test", outcome, records.verdict(status=status)) for outcome, status in outcomes]
        assert render(of(*tests), []).splitlines()[0] == headline

    def test_names_time_and_commit(self) -> None:
        run = records.run(3)
        assert run.commit is not None
        line = render(replace(run, commit=replace(run.commit, dirty=True)), []).splitlines()[2]
        assert line == "2026-09-02 20:00 UTC, commit <code>78dde6e</code> on main, uncommitted changes"

    def test_a_run_outside_a_repository_names_the_time(self) -> None:
        assert render(replace(records.run(3), commit=None), []).splitlines()[2] == "2026-09-02 20:00 UTC"


class TestLoads:
    def test_are_folded_away_behind_their_p95_over_runs(self) -> None:
        summary = render(records.run(3), records.history(3))
        line = next(line for line in summary.splitlines() if line.startswith("<details>"))
        assert line == ("<details><summary><b>rush_hour</b>: 3,348 requests, p95 113 ms, over 4 runs ▇▇█▇</summary>")

    def test_show_stages_and_endpoints(self) -> None:
        lines = render(records.run(3), []).splitlines()
        assert "|  | Requests | Failed | Per second | p50 | p95 | p99 |" in lines
        assert any(line.startswith("| stage peak | 1,836 | ") for line in lines)
        assert any(line.startswith("| <code>GET /search</code> | 1,116 | ") for line in lines)

    def test_runs_elsewhere_are_not_in_the_line(self) -> None:
        other = records.run(2, [records.load(fingerprint={"cpu": "another"})])
        assert "over" not in render(records.run(3), [other])

    def test_a_load_that_was_stopped_says_so(self) -> None:
        summary = render(records.run(3, [replace(records.load(), aborted="failure rate 80%")]), [])
        assert "p95 113 ms<br>stopped early: failure rate 80%</summary>" in summary

    def test_a_load_without_requests_has_dashes(self) -> None:
        silent = records.load("rush_hour", replace(records.trial(), stages=()))
        assert "<b>rush_hour</b>: 0 requests, p95 –</summary>" in render(records.run(3, [silent]), [])


class TestForm:
    def test_names_are_text_and_nothing_else(self) -> None:
        load = replace(records.load(), name=HOSTILE, key=HOSTILE, aborted=HOSTILE)
        verdict = records.verdict(HOSTILE, "broken", load=HOSTILE, observed=HOSTILE, limit=HOSTILE, reason=HOSTILE)
        told = records.judged(HOSTILE, "failed", verdict)
        summary = render(records.run(3, [load], [told]), [])
        assert [len(cells) for cells in rows(summary)] == [7]
        for markup in ("<script", "[x](", "`", "@", "*[", "|`", "#1", "$", "\u202e"):
            assert markup not in re.sub(r"&#\d+;|^## ", "", summary)
        assert summary.count("</details>") == 1

    def test_underscores_in_words_and_times_are_left_for_those_who_read_the_source(self) -> None:
        told = records.judged("test_rush_hour", "failed", records.verdict(reason="since 20:00 __all__"))
        assert "| since 20:00 &#95;&#95;all&#95;&#95; |" in render(of(told), [])

    def test_stays_below_the_size_that_ci_accepts(self) -> None:
        tests = [records.judged(f"test_{number}", "passed", records.verdict()) for number in range(10_000)]
        many = [records.window(0, 0, "GET", "/" + "x" * 120 + str(number), 1, [9.0]) for number in range(100)]
        stage = StageRecord(records.STAGES[1], 0, summarise(many, 15))
        load = records.load("rush_hour", replace(records.trial(), stages=(stage,)))
        summary = render(records.run(3, [load] * 200, tests), [])
        assert 800_000 < len(summary.encode()) < 900_200
        assert "more verdicts are not listed here; the HTML report has them." in summary
        assert summary.rstrip().endswith("more loads are not listed here; the HTML report has them.")
        assert summary.count("<details>") == summary.count("</details>") > 10

    def test_a_long_name_is_cut_in_its_middle(self) -> None:
        told = records.judged("test_" + "x" * 10_000 + "[end]", "passed", records.verdict())
        (cells,) = rows(render(of(told), []))
        assert len(cells[1]) < 160
        assert cells[1].startswith("<code>test_xxx")
        assert cells[1].endswith("xxx&#91;end&#93;</code>")

    def test_needs_the_standard_library_only(self) -> None:
        code = "import sys, pytest_loadperf.report.markdown; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = {name.partition(".")[0] for name in done.stdout.split()}
        assert loaded.isdisjoint({"pandas", "numpy", "jinja2", "scipy", "locust"})


class TestAppend:
    def test_leaves_what_other_steps_wrote(self, tmp_path: Path) -> None:
        path = tmp_path / "summary.md"
        path.write_text("# Build\n")
        append(records.run(3), [], path)
        assert path.read_text() == "# Build\n" + render(records.run(3), [])

    def test_creates_the_folder(self, tmp_path: Path) -> None:
        append(records.run(3), [], tmp_path / "new" / "summary.md")
        assert (tmp_path / "new" / "summary.md").is_file()

    def test_a_file_that_can_not_be_written_is_an_error_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(LoadperfError) as caught:
            append(records.run(3), [], tmp_path)
        assert str(caught.value) == (
            f"the summary could not be written to {tmp_path}: Is a directory; name another file with --loadperf-summary"
        )


class TestSparkline:
    @pytest.mark.parametrize(
        ("values", "line"),
        [
            ([], ""),
            ([5], "█"),
            ([0, 0], "▁▁"),
            ([1, 2, 3, 4, 5, 6, 7, 8], "▂▃▄▅▅▆▇█"),
            ([100, math.nan, 50], "█ ▅"),
        ],
    )
    def test_rises_from_zero_to_the_largest_value(self, values: list[float], line: str) -> None:
        assert sparkline(values) == line
