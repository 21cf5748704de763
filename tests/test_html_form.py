from __future__ import annotations

import re
import stat
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import records
from html_page import Page, failing, page

from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.measure.summary import summarise
from pytest_loadperf.records import LoadRecord, RunRecord, TestRecord, Verdict
from pytest_loadperf.report import html

HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;\u202e\x00\ud800"
SHOWN = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;\\u202e\\u0000\\ud800"


@pytest.fixture(scope="module")
def earlier() -> list[RunRecord]:
    return records.history(8)


class TestForm:
    def test_asks_for_nothing_and_runs_nothing_but_its_own_script(self, earlier: list[RunRecord]) -> None:
        shown = page(failing(), earlier)
        tags = {tag for tag, _ in shown.elements}
        assert shown.all("script") == [{}]
        assert not tags & {"link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
        for _, attributes in shown.elements:
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
        assert not re.search(r"@import|url\(", html.render(failing(), earlier))

    def test_carries_the_policy_that_forbids_all_but_its_style_and_its_script(self) -> None:
        (script,) = re.findall(r"<script>(.*?)</script>", html.render(failing(), ()), re.DOTALL)
        digest = b64encode(sha256(script.encode()).digest()).decode()
        metas = {
            meta.get("http-equiv") or meta.get("name"): meta.get("content") for meta in page(failing()).all("meta")
        }
        assert metas["Content-Security-Policy"] == (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
            "form-action 'none'"
        )
        assert metas["color-scheme"] == "light dark"
        assert metas["viewport"] == "width=device-width, initial-scale=1"

    def test_every_drawing_has_a_name_or_is_decoration(self, earlier: list[RunRecord]) -> None:
        drawings = [svg for svg in page(failing(), earlier).all("svg") if "class" in svg]
        assert len(drawings) > 10
        for svg in drawings:
            assert svg.get("aria-hidden") == "true" or (svg["role"] in ("img", "group") and svg["aria-label"])

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
        assert shown.all("script") == [{}]
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
            f"the report could not be written to {path}: File exists; make it writable, or give another path"
        )

    def test_a_folder_in_its_place_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with pytest.raises(LoadperfError, match="Is a directory"):
            html.write(records.run(), [], tmp_path)
        assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_templates_are_found_in_a_checkout() -> None:
    assert (html.templates() / "report.html.j2").is_file()
