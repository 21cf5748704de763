"""Locust's own page about a load, made where its statistics are: of what a record may hold, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
from locust.html import get_html_report
from locust.runners import STATE_STOPPED
from locust.stats import RequestStats, StatsError, stats_history

from pytest_loadperf.generator.names import Names
from pytest_loadperf.generator.prepare import Prepared
from pytest_loadperf.generator.protocol import LocustPage
from pytest_loadperf.plan import Plan
from pytest_loadperf.redact import redact


class Page:
    """The page of one load, whose charts over time begin when it is made."""

    def __init__(self, plan: Plan, prepared: Prepared) -> None:
        self._plan = plan
        self._environment, self._runner, self._stats = prepared.environment, prepared.runner, prepared.counts
        self._noting = gevent.spawn(stats_history, prepared.runner)

    def made(self) -> LocustPage:
        """The page, now that the load is over; what Locust raises does not cost the load its result."""
        try:
            self._noting.kill()
            self._noting.get()  # raises what ended it before
            html: str = get_html_report(self._shown(), show_download_link=False)
        except Exception as error:
            return LocustPage(fault=redact(f"{type(error).__name__}: {error}", self._plan.secrets))
        return LocustPage(html)

    def _shown(self) -> Any:
        """In place of Locust's environment, which also holds what is nobody's business."""
        users = self._runner.final_user_classes_count
        return SimpleNamespace(
            host=redact(", ".join(self._hosts()), self._plan.secrets),
            locustfile=", ".join(self._files()),
            profile=None,
            user_classes=self._environment.user_classes,
            runner=SimpleNamespace(
                state=STATE_STOPPED,
                stats=shown(self._stats, Names(self._plan.secrets)),
                exceptions={key: self._redacted(raised) for key, raised in self._runner.exceptions.items()},
                user_count=self._runner.user_count,
                user_classes_count=users,
                final_user_classes_count=users,
            ),
        )

    def _hosts(self) -> list[str]:
        """All that are loaded; Locust itself knows of one."""
        hosts = self._plan.urls or [self._environment.host or user.host for user in self._environment.user_classes]
        return list(dict.fromkeys(host for host in hosts if host))

    def _files(self) -> Iterator[str]:
        files = [self._plan.locustfile or "", *(user.file for user in self._plan.users)]
        yield from dict.fromkeys(Path(file).name for file in files if file)

    def _redacted(self, raised: Any) -> dict[str, Any]:
        texts = {name: redact(raised[name], self._plan.secrets) for name in ("msg", "traceback")}
        return {**raised, **texts}


def shown(stats: RequestStats, names: Names) -> RequestStats:
    """The statistics by the names that a record has: what differs in nothing else is counted together."""
    named = RequestStats()
    named.total, named.history = stats.total, [*stats.history]
    for entry in stats.entries.values():
        method, name = names.endpoint(str(entry.method or ""), str(entry.name))
        named.entries[name, method].extend(entry)
    for error in stats.errors.values():
        method, name = names.endpoint(str(error.method or ""), str(error.name))
        text = names.error(error.error)
        same = named.errors.setdefault(StatsError.create_key(method, name, text), StatsError(method, name, text))
        same.occurrences += error.occurrences
        same.first_seen = min(filter(None, (same.first_seen, error.first_seen)), default=None)
        same.last_seen = max(filter(None, (same.last_seen, error.last_seen)), default=None)
    return named
