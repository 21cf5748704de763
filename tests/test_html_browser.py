"""The report in a real browser: with scripts and without, under the policy of Jenkins, by keyboard, in the dark."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import records
from html_page import failing

from pytest_loadperf.report import html

CHROMIUM = os.environ.get("LOADPERF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("there is no chromium; LOADPERF_CHROMIUM names one", allow_module_level=True)


class Served:
    """The report behind an address, and what was asked for there."""

    def __init__(self) -> None:
        loads = [records.load(name, records.trial(seed=len(name))) for name in ("upload[flask]", "upload[aiohttp]")]
        run = failing()
        self.text = html.render(replace(run, loads=(*run.loads, *loads)), records.history(12))
        self.policy = ""
        self.asked: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                if served.policy:
                    self.send_header("Content-Security-Policy", served.policy)
                self.end_headers()
                self.wfile.write(served.text.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield launched
        launched.close()


@contextmanager
def opened(browser: Any, served: Served, policy: str = "", **options: Any) -> Iterator[Any]:
    served.policy, served.asked[:] = policy, []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    page = context.new_page()
    page.told = []
    page.on("console", lambda message: page.told.append(message.text))
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.goto(served.url)
    yield page
    context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_it_asks_for_nothing_and_says_nothing_to_the_console(browser: Any, served: Served, scripts: bool) -> None:
    with opened(browser, served, java_script_enabled=scripts) as page:
        assert page.locator("h1").inner_text() == "✗ 1 of 3 load tests failed"
        page.wait_for_timeout(200)
    assert page.told == []
    assert served.asked == ["/"]


@pytest.mark.parametrize("policy", ["", JENKINS])
def test_without_scripts_and_styles_all_is_there_to_be_read(browser: Any, served: Served, policy: str) -> None:
    with opened(browser, served, policy, java_script_enabled=False) as page:
        assert page.locator("h1").is_visible()
        assert not page.locator("#filter").is_visible()
        charts = page.locator("svg.chart")
        boxes = [charts.nth(number).bounding_box() for number in range(charts.count())]
        assert len(boxes) > 10
        assert all(box is None or (box["width"] > 200 and box["height"] > 80) for box in boxes)
        column = page.locator("svg.chart g[pointer-events] > rect").first
        assert "p95" in column.locator("title").text_content()
    assert served.asked == ["/"]


def test_a_cross_hair_tells_the_numbers_by_pointer_and_by_keyboard(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        chart = page.locator("svg.chart:has(g[pointer-events] > rect)").first
        tip = chart.locator("xpath=following-sibling::div[@class='tip']")
        assert not tip.is_visible()
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        by_pointer = tip.inner_text()
        assert " s" in by_pointer.splitlines()[0]
        assert chart.locator("path.crosshair").count() == 1
        page.mouse.move(0, 0)
        assert not tip.is_visible()
        chart.focus()
        page.keyboard.press("ArrowRight")
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        assert tip.inner_text() != first
        page.keyboard.press("Home")
        assert tip.inner_text() == first
        page.keyboard.press("Escape")
        assert not tip.is_visible()


def test_tables_sort_by_the_column_whose_head_is_pressed(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        table = page.locator("table:has(caption:text-matches('^Endpoints'))").first
        head = table.locator("th", has_text="p95")
        place = head.evaluate("head => head.cellIndex")

        def column() -> list[float]:
            cells = table.locator(f"tbody tr > :nth-child({place + 1})").all_inner_texts()
            return [float(cell.split()[0]) for cell in cells]

        head.locator("button").click()
        assert column() == sorted(column())
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert column() == sorted(column(), reverse=True)
        assert head.get_attribute("aria-sort") == "descending"


def test_runs_sort_by_their_time_and_lasting_by_its_length(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        runs = page.locator("table:has(caption:text-matches('newest first'))").first
        runs.locator("th", has_text="Run").first.locator("button").click()
        told = runs.locator("tbody th").all_inner_texts()
        assert told == sorted(told)
        keys = ["1m30s", "30s", "2m", "–", "312 ms"]
        ordered = page.evaluate("keys => keys.sort((one, other) => compare(number(one), number(other)))", keys)
        assert ordered == ["312 ms", "30s", "1m30s", "2m", "–"]


def test_the_filter_leaves_what_has_all_words(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        page.locator("#filter").fill("test_red broken")
        assert page.locator("article.bad").is_visible()
        assert not page.locator("article.ask").is_visible()
        assert page.locator("#filtered").inner_text().startswith("1 of ")
        page.locator("#filter").fill("flask")
        assert page.locator("section:has(h2:has-text('upload[flask]'))").is_visible()
        assert not page.locator("section:has(h2:has-text('upload[aiohttp]'))").is_visible()
        page.locator("#filter").fill("")
        assert page.locator("article.ask").is_visible()
        assert page.locator("#filtered").inner_text() == ""


def test_a_link_leads_to_what_the_filter_hides(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        page.locator("#filter").fill("test_red broken")
        link = page.locator("article.bad a[href^='#']").first
        load = page.locator(link.get_attribute("href"))
        assert not load.is_visible()
        link.click()
        assert load.is_visible()
        assert page.locator("#filter").input_value() == ""


@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(23, 25, 27)")])
def test_it_is_light_or_dark_as_the_reader_likes_and_accessible(
    browser: Any, served: Served, scheme: str, ground: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with opened(browser, served, color_scheme=scheme) as page:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        found = axe.Axe().run(page).response["violations"]
    serious = {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}
    assert serious == {}


def test_nothing_overflows_on_a_narrow_screen(browser: Any, served: Served) -> None:
    with opened(browser, served) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
