"""The HTML report: one file that asks for nothing and reads well without scripts and styles."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Container, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_loadperf import quantity
from pytest_loadperf.errors import LoadperfError
from pytest_loadperf.records import RunRecord
from pytest_loadperf.report.files import write_whole
from pytest_loadperf.report.outcome import in_words
from pytest_loadperf.report.page import page_of
from pytest_loadperf.report.text import shorten, visible, web_address
from pytest_loadperf.report.trend_figures import legend

_PACKAGE = Path(__file__).resolve().parent.parent
# Where a long name may be broken, also where a policy has removed the style sheet: behind its separators, and
# anywhere in what has none.
_BREAK = re.compile(r"(?<=[/_.:?&=,-])(?=\w)|(?<=\S{24})(?=\S{8})")
_SPACE = re.compile(r"(\s+)")


def render(run: RunRecord, history: Sequence[RunRecord], shown: Container[str] | None = None) -> str:
    """The report of a run, with its trends over the runs before it, all of them or those with the ids `shown`."""
    template = _environment().get_template("report.html.j2")
    script = (templates() / "script.js").read_text(encoding="utf-8")
    allowed = b64encode(sha256(script.encode()).digest()).decode()  # this script, and no other that a name might bring
    return template.render(
        page=page_of(run, history, shown), trend_legend=legend(), script=Markup(script), script_hash=allowed
    )


def write(run: RunRecord, history: Sequence[RunRecord], path: Path, shown: Container[str] | None = None) -> Path:
    """Render the report into a file, whole or not at all; LoadperfError if that can't be."""
    text = render(run, history, shown)
    try:
        write_whole(path, text)
    except OSError as error:
        raise LoadperfError(
            f"the report could not be written to {path}: {error.strerror}; make it writable, or give another path"
        ) from error
    return path


def templates() -> Path:
    """The folder of templates: inside the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "templates"
    return installed if installed.is_dir() else _PACKAGE.parent / "templates"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        ms=quantity.show_ms,
        percent=quantity.show_percent,
        rate=quantity.show_rate_percent,
        per_second=quantity.show_per_second,
        bytes=quantity.show_bytes,
        number=quantity.show_number,
        time=_time,
        lasted=_lasted,
        name=_name,
        status=in_words,
    )
    environment.tests["web_address"] = lambda text: bool(web_address(text))
    return environment


def _shown(value: Any) -> Any:
    """Every text that a template prints, its control characters and bidirectional marks made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _name(text: str, limit: int = 160) -> Markup:
    """A name that others chose: held apart from what surrounds it, breakable, its full text in the title if cut."""
    shown = shorten(text, limit)
    broken = Markup("").join(map(_breakable, _SPACE.split(shown)))
    title = "" if len(shown) == len(text) else Markup(' title="{}"').format(visible(text))
    return Markup("<bdi{}>{}</bdi>").format(title, broken)


def _breakable(word: str) -> Markup:
    return Markup("<wbr>").join(_BREAK.split(word)) if len(word) > 24 else escape(word)


def _time(iso: str) -> str:
    try:
        return quantity.show_time(iso)
    except ValueError:  # a record that someone wrote by hand
        return iso


def _lasted(seconds: float) -> str:
    """A duration in words: '38 s', '3 min 12 s'."""
    if not math.isfinite(seconds):  # in a record that someone wrote by hand
        return "an unknown time"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{quantity.show_number(seconds, 2)} s"
