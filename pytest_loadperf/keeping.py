"""What a run leaves behind on purpose: its record in the history, its reports; and what is said where it can't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import gettempdir

from pytest_loadperf.errors import HistoryError, LoadperfError
from pytest_loadperf.history.memory import Memory
from pytest_loadperf.quantity import moment
from pytest_loadperf.records import RunRecord
from pytest_loadperf.report.terminal import Line
from pytest_loadperf.settings import LoadperfConfig


class Keeping:
    """Writes what was measured; each line tells of one thing that was written, or why it was not."""

    def __init__(self, settings: LoadperfConfig, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory
        self.is_whole = True  # until something that was to be written is not

    def save(self, run: RunRecord) -> Iterator[Line]:
        """Into the history."""
        if not run.loads:
            yield Line("not saved: no load ran to its end")
        elif self._settings.unjudged:
            yield Line(f"not saved: {self._settings.unjudged} judges nothing")
        elif not self._settings.save:
            yield Line("not saved: --loadperf-no-save")
        else:
            store = self._memory.store
            try:
                yield Line(f"saved   {store.append(run)}")
            except HistoryError as error:
                rescued = store.rescue(run, (self._settings.report.parent, Path(gettempdir())))
                yield self._missing(f"NOT SAVED: {error}; {rescued}")

    def report(self, run: RunRecord, history: list[RunRecord], page_faults: Iterable[str]) -> Iterator[Line]:
        """The files that were asked for, and the page."""
        from pytest_loadperf.report import document, html, locust_csv, markdown

        settings = self._settings
        if settings.csv is not None:
            yield self._written("csv", settings.csv, lambda folder: locust_csv.write(run.loads, folder))
        if settings.json is not None:
            yield self._written("json", settings.json, lambda path: document.write(run, path))
        yield from map(self._missing, dict.fromkeys(page_faults))  # of Locust's own, written when a trial was over
        if settings.locust_report is not None and _has_files_since(settings.locust_report, run.started_at):
            yield Line(f"locust  {settings.locust_report}")
        if settings.summary is not None:
            yield self._written("summary", settings.summary, lambda path: markdown.append(run, history, path))
        yield self._written("report", settings.report, lambda path: html.write(run, history, path))

    def _written(self, what: str, place: Path, write: Callable[[Path], object]) -> Line:
        """Write it, and say where it is, or why it is not."""
        try:
            write(place)
        except LoadperfError as error:
            return self._missing(str(error))
        return Line(f"{what:<7} {place}")

    def _missing(self, text: str) -> Line:
        self.is_whole = False
        return Line(text, "red")


def _has_files_since(folder: Path, iso: str) -> bool:
    began = moment(iso).timestamp()
    return folder.is_dir() and any(path.stat().st_mtime >= began for path in folder.iterdir())
