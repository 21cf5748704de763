"""The README's picture: `python docs/picture.py` runs a load of the example for every commit of a small project.

The project is the example in a repository of its own. Of its commits one makes the service slower and is accepted, one
runs on another machine, some run beside other work, and the last one is a mistake that the tests find. It takes eight
minutes and leaves `docs/report.png`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "test_sentiment_perf.py"
SHORTER = {'duration="3s"': 'duration="1s"', 'duration="12s"': 'duration="8s"', "max(50%, 10ms)": "80%"}
SCORE = 'score = analyzer.polarity_scores(requested_text())["compound"]'
ASKS = f"time.sleep(0.01)\n        {SCORE}"  # in place of another service, which takes so long
ASKS_OFTEN = f'for _ in requested_text().split(". "):\n            time.sleep(0.01)\n        {SCORE}'
WORK = ("Name the labels in one place", "Log the status as a number", "Say which texts are too long")
LEVEL, ELSEWHERE, BESIDE_OTHER_WORK, RUNS = 18, {9}, {6, 25}, 33


def main() -> None:
    """Make the history and the picture of its last report."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "sentiment"
        shutil.copytree(
            ROOT / "example_service" / "sentiment", project, ignore=shutil.ignore_patterns("__pycache__", ".loadperf")
        )
        for before, after in SHORTER.items():
            _change(project / TESTS, before, after)
        (project / ".gitignore").write_text(".loadperf\n__pycache__\n")
        _git(project, "init", "--quiet", "--initial-branch=main")
        for number in range(RUNS):
            _run(project, number)
        take(project / ".loadperf" / "report.html", ROOT / "docs" / "report.png")


def _run(project: Path, number: int) -> None:
    subject = WORK[number % len(WORK)]
    if number == LEVEL:
        subject = "Ask the spelling service about each text"
        _change(project / "sentiment.py", SCORE, ASKS)
    if number == RUNS - 1:
        subject = "Ask the spelling service about each sentence"
        _change(project / "sentiment.py", ASKS, ASKS_OFTEN)
    _git(project, "add", ".")
    _git(project, "commit", "--quiet", "--allow-empty", f"--message={subject}")
    elsewhere = {"LOADPERF_RUNNER": "spare"} if number in ELSEWHERE else {}
    with _other_work(number in BESIDE_OTHER_WORK):
        _call(project, [sys.executable, "-m", "pytest", "-q", "--loadperf", TESTS], elsewhere)
    if number == LEVEL:
        command = Path(sys.executable).with_name("pytest-loadperf")
        _call(project, [str(command), "accept", "--reason=the spelling service takes 10 ms"], {})


def _change(code: Path, before: str, after: str) -> None:
    text = code.read_text()
    if before not in text:
        raise SystemExit(f"{code.name} of the example no longer holds {before!r}, which this script changes")
    code.write_text(text.replace(before, after))


def _git(project: Path, *words: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *who, *words], cwd=project, check=True)


def _call(project: Path, command: list[str], environ: dict[str, str]) -> None:
    subprocess.run(command, cwd=project, env={**os.environ, **environ}, check=False)  # the last run is to fail


@contextmanager
def _other_work(wanted: bool) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * wanted)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def take(page: Path, picture: Path) -> None:
    """The first screen of a page as Chromium shows it."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1.5")
    size = "--window-size=1180,1500"
    command = ["chromium", *flags, size, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # it complains of a missing desktop


if __name__ == "__main__":
    main()
