"""The command `pytest-loadperf`: a look at what earlier runs left behind, and workers for the loads to come."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from pytest_loadperf import options, worker_token
from pytest_loadperf.errors import GeneratorError, HistoryError, LoadperfError
from pytest_loadperf.history.accept import acceptance
from pytest_loadperf.history.environment import versions
from pytest_loadperf.history.selection import Selection, chosen
from pytest_loadperf.history.store import Store, open_store
from pytest_loadperf.judge.soundness import verdicts_on
from pytest_loadperf.measure.summary import measured
from pytest_loadperf.quantity import moment, show_ms, show_per_second, show_rate_percent, show_time
from pytest_loadperf.records import RunRecord
from pytest_loadperf.report.outcome import worst

_USAGE = 4  # as pytest exits
_UNREAD = 141  # as a shell calls the end of what SIGPIPE ended
_HEAD = ("time", "run", "commit", "branch", "load", "requests", "failed", "p50", "p95", "rps", "verdict")
_RIGHT = {"requests", "failed", "p50", "p95", "rps"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def command() -> NoReturn:
    """The script `pytest-loadperf`: as `main`, and then its process ends at once.

    To free the million objects of a long history one by one takes as long as to draw its charts.
    """
    status = main()
    sys.stderr.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand: 0 done, 1 it can't be, 4 (as SystemExit) the command line can't be meant."""
    asked = _parser().parse_args(argv)
    try:
        asked.run_command(asked)
    except LoadperfError as error:
        sys.stderr.write(f"pytest-loadperf: {error}\n")
        return 1
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="pytest-loadperf", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pytest-loadperf {versions()['pytest-loadperf']}")
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--history", metavar="PLACE", default=".loadperf", help="directory or fsspec URL (default: %(default)s)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    history = commands.add_parser("history", parents=[shared], help="list the runs that are kept, the newest last")
    form = history.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, for other programs")
    form.add_argument("--csv", metavar="DIR", type=Path, help="write the series of each load as a CSV file into DIR")
    history.set_defaults(run_command=_history)
    report = commands.add_parser("report", parents=[shared], help="write the HTML report of a run")
    report.add_argument("--run", metavar="ID", help="the run to show (default: the newest)")
    report.add_argument("--branch", metavar="NAME", help="only runs on this branch")
    report.add_argument("--test", metavar="PATTERN", action="append", help="only these tests and their loads")
    report.add_argument(
        "--since", metavar="DATE", type=_date, help="only runs from then on: 2026-11-01, or with a time"
    )
    report.add_argument("--until", metavar="DATE", type=_date, help="only runs before then")
    report.add_argument(
        "--output", metavar="PATH", type=Path, default=Path(".loadperf/report.html"), help="(default: %(default)s)"
    )
    report.set_defaults(run_command=_report)
    accept = commands.add_parser(
        "accept", parents=[shared], help="take a change for the new normal: later runs are compared with it"
    )
    accept.add_argument("--reason", metavar="TEXT", required=True, help="why; it is kept, and shown in the report")
    accept.add_argument(
        "--test", metavar="PATTERN", action="append", help="the tests whose loads it is about (default: that regressed)"
    )
    accept.add_argument("--run", metavar="ID", help="the first run of the new level (default: the newest)")
    accept.set_defaults(run_command=_accept)
    worker = commands.add_parser("worker", help="run users for the loads of another machine, until it is stopped")
    worker.add_argument(
        "--master", metavar="ADDRESS", type=options.address, required=True, help="HOST:PORT of pytest --loadperf-master"
    )
    worker.add_argument(
        "--code", metavar="DIR", type=_folder, help="the users' code, in place of what the master has: its rootdir"
    )
    worker.set_defaults(run_command=_worker)
    return parser


def _date(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; expected one such as 2026-11-01") from None


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no directory")
    return Path(text)


def _worker(asked: argparse.Namespace) -> None:
    from pytest_loadperf.generator.remote import serve

    token = worker_token.given(os.environ)
    if token is None:
        raise GeneratorError(
            f"{worker_token.VARIABLE} is not set: it has to be the token of the run whose loads this worker is for"
        )

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    host, port = asked.master
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)  # which a container's first process would ignore
    try:
        serve(host, port, token, asked.code, _tell)
    except KeyboardInterrupt:
        return
    raise GeneratorError("the generator does not want this worker")


def _history(asked: argparse.Namespace) -> None:
    store = open_store(asked.history, Path.cwd())
    _tell(_exported(store, asked.csv) if asked.csv else _listed(store, asked.json))


def _exported(store: Store, folder: Path) -> str:
    from pytest_loadperf.report.export import export

    exported = export(_records(store), folder)
    if not exported:
        return _none(store)
    return "\n".join(map(str, exported))


def _none(store: Store) -> str:
    return f"no runs in {store.place} yet; `pytest --loadperf` adds one"


def _listed(store: Store, as_json: bool) -> str:
    records = _records(store)
    if as_json:
        from pytest_loadperf.report.document import listed

        return listed(records)
    if not records:
        return _none(store)
    return _table([_HEAD, *(line for record in records for line in _lines(record))])


def _report(asked: argparse.Namespace) -> None:
    from pytest_loadperf.report.html import write  # Jinja2, for this subcommand only

    store = open_store(asked.history, Path.cwd())
    wanted = Selection(asked.branch, asked.since, asked.until, tuple(asked.test or ()))
    records = _records(store)
    selected = wanted.of(records)
    run = chosen(selected, asked.run, store.place)
    try:
        run = store.series(run)
    except HistoryError as error:  # the record is whole all the same
        _warn(str(error))
    written = write(run, records, asked.output, {each.id for each in selected})  # all are what it is compared with
    _tell(str(written))


def _accept(asked: argparse.Namespace) -> None:
    store = open_store(asked.history, Path.cwd())
    records = _records(store)
    made = acceptance(chosen(records, asked.run, store.place), asked.reason, asked.test or ())
    written = store.accept(made)
    for load in made.loads:
        _tell(f"{load}: run {made.run} begins a new level")
    _tell(str(written))


def _records(store: Store) -> list[RunRecord]:
    gc.disable()  # a command is soon over, and each look for garbage goes through all objects of a long history
    return store.records(_warn)


def _tell(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough: `pytest-loadperf history | head`
        os._exit(_UNREAD)


def _warn(text: str) -> None:
    sys.stderr.write(f"pytest-loadperf: warning: {text}\n")


def _lines(record: RunRecord) -> Iterator[Sequence[str]]:
    commit = record.commit
    sha = commit.sha[:7] + ("+" if commit.dirty else "") if commit else "-"
    run = (show_time(record.started_at), record.id, sha, (commit and commit.branch) or "-")
    for load in record.loads:
        summary = measured(load)
        yield (
            *run,
            load.name,
            str(summary.requests),
            show_rate_percent(summary.failure_rate),
            show_ms(summary.p50_ms),
            show_ms(summary.p95_ms),
            show_per_second(summary.rps),
            worst(verdicts_on(record, load)) or "-",
        )
    if not record.loads:
        yield (*run, *["-"] * (len(_HEAD) - len(run)))


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for name, cell, width in zip(_HEAD, row, widths, strict=True):
        yield cell.rjust(width) if name in _RIGHT else cell.ljust(width)
