from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import records

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.model import GeneratorRecord, LoadRecord, RunRecord, TestRecord, Verdict
from pytest_loadperf.report import html

VOID = {"meta", "br", "wbr"}
CELLS = {"td", "th", "br"}  # what stands apart without a space between
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;\u202e\x00\ud800"
SHOWN = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;\\u202e\\u0000\\ud800"


class Page(HTMLParser):
    """A page read strictly: what is opened must be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in CELLS:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(run: RunRecord, history: Sequence[RunRecord] = ()) -> Page:
    return Page(html.render(run, history))


def failing() -> RunRecord:
    broken = records.verdict("p95 < 100ms", "broken", observed="113 ms", limit="< 100 ms")
    regressed = records.verdict(
        "rps > baseline - 5%",
        "regressed",
        observed="90/s",
        limit="> 127/s (134/s - 5%)",
        baseline="median of 8 runs on main, newest 2026-09-04 20:00 UTC 1f83ab2",
    )
    held = records.verdict("p99 < 1s", observed="163 ms", limit="< 1000 ms", reason="with 40 requests to spare")
    new = records.verdict("p95 < baseline", "no_baseline", reason="no earlier run of this load on main")
    return records.run(
        8,
        tests=[
            records.judged("test_green[a::b]", "passed", held),
            records.judged("test_new", "passed", new, held),
            records.judged("test_red", "failed", held, broken, regressed, message="E   2 broken"),
            records.judged("test_later", "skipped"),
        ],
    )


@pytest.fixture(scope="module")
def earlier() -> list[RunRecord]:
    return records.history(8)


class TestFirstScreen:
    def test_says_what_failed_and_why_then_what_is_open_then_what_passed(self, earlier: list[RunRecord]) -> None:
        shown = page(failing(), earlier)
        text = shown.text
        assert text.lstrip().startswith("✗ 1 of 3 load tests failed")
        order = [
            "✗ test_red",
            "Passed, but not fully judged",
            "? test_new",
            "✓ test_green[a::b]",
            "Skipped: test_later",
        ]
        assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
        assert "✗ broken p95 < 100ms 113 ms < 100 ms a fixed limit" in text
        assert (
            "✗ regressed rps > baseline - 5% 90/s > 127/s (134/s - 5%) "
            "median of 8 runs on main, newest 2026-09-04 20:00 UTC 1f83ab2" in text
        )
        assert "? no baseline p95 < baseline 124 ms < 250 ms no earlier run of this load on main" in text
        assert "Held: p99 < 1s 163 ms (with 40 requests to spare)" in text

    def test_says_how_far_p95_is_from_the_runs_before(self, earlier: list[RunRecord]) -> None:
        text = page(failing(), earlier).text
        assert re.search(
            r"p95 of rush_hour is 113 ms, \d+% (above|below) the \d+ ms of earlier runs "
            r"\(median of 8 runs on main, newest 2026-09-04 20:00 UTC \w{7}\)\.",
            text,
        )
        assert "p95 over the last 9 comparable runs, this one at the end" in text

    def test_says_why_there_is_nothing_to_compare_with(self, earlier: list[RunRecord]) -> None:
        run = failing()
        other = replace(run, loads=(replace(run.loads[0], fingerprint={"cores": "8"}),))
        assert (
            "p95 of rush_hour is 113 ms, not compared with earlier runs: no comparable run on main: "
            in page(other, earlier).text
        )

    def test_says_when_and_on_what_commit(self) -> None:
        text = page(failing()).text
        assert "3,348 requests in 1 load, 38 s, 2026-09-05 08:00 UTC, commit" in text
        assert "on main: “Change number 8”" in text

    def test_an_error_without_a_threshold_is_told_in_its_own_words(self) -> None:
        told = records.judged("test_start", "error", message="> start()\nE   ServiceError: it exited with code 3")
        run = records.run(0, [], [told])
        text = page(run).text
        assert "The load test failed" in text
        assert "ServiceError: it exited with code 3" in text
        assert "tests/test_search_perf.py::rush_hour did not come to run." in text
        assert "No load was run, so there is nothing to draw." in text

    def test_all_green_is_one_line_each(self) -> None:
        tests = [records.judged(f"test_{name}", "passed", records.verdict()) for name in "ab"]
        text = page(records.run(0, tests=tests)).text
        assert "✓ All 2 load tests passed" in text
        assert "✓ test_a p95 < 250ms 124 ms" in text


class TestLoads:
    def test_say_what_was_loaded(self) -> None:
        assert (
            "Loaded: Docker image example_service (sha256:9b2c1f0d6a7e), limited to cpus 1, memory 256m; "
            "ready after 1.3 s." in page(records.run()).text
        )

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("compose", "Compose service"), ("process", "local process"), ("url", "running service")],
    )
    def test_name_every_kind_of_service(self, kind: str, words: str) -> None:
        load = records.load()
        service = replace(load.service, kind=kind, digest=None, limits={}, started_in_s=None)  # type: ignore[arg-type]
        text = page(records.run(0, [replace(load, service=service)])).text
        assert f"Loaded: {words} example_service." in text

    def test_say_that_another_backend_was_used_than_asked_for(self) -> None:
        load = records.load()
        service = replace(load.service, fallback_from="no Docker engine answered")
        text = page(records.run(0, [replace(load, service=service)])).text
        assert "Not what was asked for: no Docker engine answered." in text

    def test_list_stages_endpoints_errors_percentiles_and_status_codes(self) -> None:
        text = page(records.run()).text
        assert "rush 60 at 20/s 15s 1,512" in text
        assert "warm-up (not measured) 10 5s 90" in text
        assert "GET /search 1,116" in text
        assert re.search(r"Count Error \d+ 503 Service Unavailable", text)
        assert re.search(r"50% [\d.]+ ms 66% [\d.]+ ms .* 100% \(longest request\) [\d.]+ ms", text)
        assert re.search(r"Code Count 200 3,\d{3} 503 \d", text)

    def test_put_each_number_beside_the_median_of_the_baseline(self, earlier: list[RunRecord]) -> None:
        text = page(records.run(8), earlier).text
        assert re.search(r"p95 113 ms median \d+ ms \([+-]\d+%\)", text)
        assert "Per second 134 median 22.3/s (+500%)" in text

    def test_trials_stand_side_by_side_and_the_slowest_is_open(self) -> None:
        load = records.load("rush_hour", *(records.trial(seed=seed, slow=seed) for seed in (1, 2)))
        shown = page(records.run(0, [load]))
        assert "Trial 2 of 2 over time, the slowest: p95 2" in shown.text
        assert [("open" in details) for details in shown.all("details")][:2] == [False, True]
        assert "Trials, measured stages only" in shown.text

    def test_a_load_that_was_stopped_says_why(self) -> None:
        text = page(records.run(0, [replace(records.load(), aborted="failure rate 80% for 5 s")])).text
        assert "✗ Stopped early: failure rate 80% for 5 s" in text

    def test_a_load_without_requests_says_so(self) -> None:
        silent = records.load("rush_hour", replace(records.trial(), stages=(), windows=()))
        assert "No request was measured." in page(records.run(0, [silent])).text

    def test_a_load_without_trials_is_shown(self) -> None:
        assert "No request was measured." in page(records.run(0, [replace(records.load(), trials=())])).text

    def test_a_load_whose_series_is_gone_says_so(self) -> None:
        load = records.load("rush_hour", records.trial(series=False))
        text = page(records.run(0, [load])).text
        assert "No charts over time: the per-second series of this load is not there." in text

    def test_a_generator_that_was_in_trouble_is_told(self) -> None:
        trouble = GeneratorRecord(requests=1, unfinished_users=3, user_errors={"KeyError: 'id'": 7}, saturated_s=30)
        text = page(records.run(0, [records.load("rush_hour", replace(records.trial(), generator=trouble))])).text
        assert "The load generator was out of CPU: these latencies may be its own, not the service's." in text
        assert "3 users were still busy when the wait for the last answers ended." in text
        assert "7 KeyError: 'id'" in text


class TestTrends:
    def test_are_three_charts_and_a_table_for_each_load(self, earlier: list[RunRecord]) -> None:
        shown = page(records.run(8), earlier)
        labels = [svg["aria-label"] for svg in shown.all("svg") if " over 9 runs" in svg.get("aria-label", "")]
        assert [label.partition(" over ")[0] for label in labels] == ["p95", "Failure rate", "Requests a second"]
        assert "The newest 9 of 9 runs, newest first" in shown.text
        assert "Compared with: median of 8 runs on main, newest 2026-09-04 20:00 UTC" in shown.text

    def test_start_with_the_second_run(self) -> None:
        assert "First run: trends start with the next one." in page(records.run()).text

    def test_endpoints_that_thresholds_name_have_their_own(self, earlier: list[RunRecord]) -> None:
        told = records.judged("test", "passed", records.verdict("p95[GET /search] < 1s"))
        assert "rush_hour: GET /search" in page(records.run(8, tests=[told]), earlier).text

    def test_a_long_history_is_drawn_whole_and_listed_in_part(self, earlier: list[RunRecord]) -> None:
        many = [replace(earlier[number % 8], id=str(number)) for number in range(120)]
        text = page(records.run(8), many).text
        assert "The newest 50 of 121 runs, newest first" in text


class TestProvenance:
    def test_names_run_commit_machine_versions_and_fingerprint(self) -> None:
        text = page(records.run(8)).text
        for words in (
            "Run 20260905T080000Z-000008",
            "Branch main",
            "Machine: runner ci-large",
            "Version: locust 2.47.0",
            "Fingerprint of rush_hour",
            "cpu AMD EPYC 7B13",
        ):
            assert words in text

    @pytest.mark.parametrize(("url", "linked"), [("https://ci.example/1", True), ("javascript:alert(1)", False)])
    def test_only_web_addresses_become_links(self, url: str, linked: bool) -> None:
        shown = page(replace(records.run(), ci_url=url))
        assert (url in [link.get("href") for link in shown.all("a")]) == linked
        assert url in shown.text

    def test_a_run_outside_a_repository_and_ci_is_shown(self) -> None:
        assert "Commit" not in page(replace(records.run(), commit=None, ci_url=None)).text

    def test_a_time_that_is_none_is_shown_as_it_is(self) -> None:
        run = records.run(0, [], [])
        assert "yesterday" in page(replace(run, started_at="yesterday")).text


class TestForm:
    def test_asks_for_nothing_and_runs_nothing(self, earlier: list[RunRecord]) -> None:
        shown = page(failing(), earlier)
        tags = {tag for tag, _ in shown.elements}
        assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
        for _, attributes in shown.elements:
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        assert not re.search(r"@import|url\(", html.render(failing(), earlier))

    def test_carries_the_policy_that_forbids_all_but_its_style(self) -> None:
        metas = {
            meta.get("http-equiv") or meta.get("name"): meta.get("content") for meta in page(failing()).all("meta")
        }
        assert metas["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
        )
        assert metas["color-scheme"] == "light dark"
        assert metas["viewport"] == "width=device-width, initial-scale=1"

    def test_every_drawing_has_a_name_or_is_decoration(self, earlier: list[RunRecord]) -> None:
        drawings = [svg for svg in page(failing(), earlier).all("svg") if "class" in svg]
        assert len(drawings) > 10
        for svg in drawings:
            assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-label"])

    def test_links_within_the_page_lead_somewhere(self, earlier: list[RunRecord]) -> None:
        shown = page(failing(), earlier)
        places = {attributes["id"] for _, attributes in shown.elements if "id" in attributes}
        assert {link["href"][1:] for link in shown.all("a") if link["href"].startswith("#")} <= places

    def test_hostile_names_are_text(self) -> None:
        load = hostile_load()
        test = TestRecord(
            nodeid=f"{HOSTILE}::{HOSTILE}",
            outcome="failed",
            loads=(load.key, HOSTILE),
            verdicts=(
                Verdict(HOSTILE, load.key, f"p95[{HOSTILE}] < 1s", "broken", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
                Verdict(HOSTILE, load.key, HOSTILE, "ok", HOSTILE, HOSTILE),
            ),
            message=HOSTILE,
        )
        run = records.run(1, [load], [test])
        assert run.commit is not None
        run = replace(
            run,
            commit=replace(run.commit, branch=HOSTILE, subject=HOSTILE, tag=HOSTILE),
            versions={HOSTILE: HOSTILE},
            machine={HOSTILE: HOSTILE},
            ci_url=f"https://ci.example/{HOSTILE}",
        )
        text = html.render(run, [records.run(0, [load], [])])
        text.encode("utf-8")
        shown = Page(text)
        assert not shown.all("script")
        assert not shown.all("img")
        assert shown.text.count(SHOWN) > 20

    def test_a_name_of_ten_thousand_letters_is_cut_and_breakable(self) -> None:
        name = "x" * 10_000
        text = html.render(records.run(0, tests=[records.judged(name, "passed")]), [])
        (whole,) = re.findall(r'<bdi title="(x+)">', text.replace(f"test_search_perf.py::{name}", name))
        assert whole == name
        longest = max(len(word) for word in re.split(r"<[^>]*>|\s", text))
        assert longest < 400

    def test_two_hundred_runs_of_three_loads_stay_below_a_megabyte(self) -> None:
        names = ("rush_hour", "checkout", "nightly")
        few = records.history(10, names)
        many = [replace(few[number % 10], id=str(number)) for number in range(200)]
        run = records.run(10, [records.load(name, records.trial(seed=len(name))) for name in names])
        assert len(html.render(run, many).encode()) < 1_000_000


def hostile_load() -> LoadRecord:
    window = records.window(0, 0, HOSTILE, HOSTILE, 5, [10.0, 20.0, 30.0])
    window = replace(window, status_codes={HOSTILE: 3}, errors={HOSTILE: 1}, failures=1)
    stage = replace(records.STAGES[1], name=HOSTILE)
    trial = records.trial([stage])
    summary = summarise([window], 15)
    generator = replace(trial.generator, user_errors={HOSTILE: 1})
    trial = replace(trial, windows=(window,), stages=(replace(trial.stages[0], summary=summary),), generator=generator)
    service = replace(
        records.load().service, name=HOSTILE, digest=HOSTILE, limits={HOSTILE: HOSTILE}, fallback_from=HOSTILE
    )
    load = records.load(HOSTILE, trial, fingerprint={HOSTILE: HOSTILE})
    return replace(load, service=service, aborted=HOSTILE)


class TestWrite:
    def test_creates_the_folder_and_returns_the_path(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "report.html"
        assert html.write(records.run(), [], path) == path
        assert path.read_text(encoding="utf-8") == html.render(records.run(), [])
        assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]

    def test_replaces_an_older_report_whole_and_leaves_it_readable_by_others(self, tmp_path: Path) -> None:
        path = tmp_path / "report.html"
        path.write_text("old")
        html.write(records.run(), [], path)
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
        plain = tmp_path / "plain"
        plain.touch()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    def test_a_place_that_can_not_be_written_is_an_error_in_words(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "report.html"
        with pytest.raises(LoadperfError) as caught:
            html.write(records.run(), [], path)
        assert str(caught.value) == (
            f"the report could not be written to {path}: File exists; name another file with --loadperf-report"
        )

    def test_a_folder_in_its_place_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with pytest.raises(LoadperfError, match="Is a directory"):
            html.write(records.run(), [], tmp_path)
        assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_templates_are_found_in_a_checkout() -> None:
    assert (html.templates() / "report.html.j2").is_file()
