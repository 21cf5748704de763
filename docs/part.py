"""A part of a report as a picture: `python docs/part.py REPORT.html 'CSS, of its first element' 'of its last' OUT.png`.

The pictures in example_service/README.md are made so, of the reports of full-size runs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_WIDTH, _MARGIN = 1180, 8


def main(report: str, first: str, last: str, picture: str) -> None:
    """Draw the page from the top of one element to the bottom of another."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 800}, java_script_enabled=True)
        page.goto(Path(report).resolve().as_uri())
        ends = page.locator(first).first, page.locator(last).last
        for each in ends:
            each.evaluate("element => { const fold = element.closest('details'); if (fold) fold.open = true }")
        begin, end = (each.bounding_box() for each in ends)
        if begin is None or end is None:
            raise SystemExit(f"{report} shows no {first if begin is None else last}")
        top = begin["y"] - _MARGIN
        clip = {"x": 0, "y": top, "width": _WIDTH, "height": end["y"] + end["height"] + _MARGIN - top}
        page.screenshot(path=picture, full_page=True, clip=clip)  # type: ignore[arg-type] # a TypedDict
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
