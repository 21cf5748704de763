"""Locust's environment around a plan, made as its own command makes it."""

from __future__ import annotations

import gc
import logging
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import locust
from gevent import GreenletExit, getcurrent
from locust import LoadTestShape, User
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.stats import RequestStats
from locust.user.task import LOCUST_STATE_STOPPING
from locust.user.users import PytestUser

from pytest_loadperf.errors import GeneratorError, HostRefused
from pytest_loadperf.generator.master import Master
from pytest_loadperf.generator.patience import PatientRunner
from pytest_loadperf.generator.users import Spread, load_users
from pytest_loadperf.guard import HostGuard, forget_proxies, guard_sockets
from pytest_loadperf.plan import Plan

_TAKEN_BY_TASKS = {  # of a stage: what it has, what tasks do with it, and what to give where there are none
    "rate": ("a rate", "take the arrivals", "users"),
    "requests": ("requests", "do not begin once these are enough", "duration"),
}
_COLLECT_EVERY = 10_000  # new objects; at Python's own 700 a FastHttpUser makes one request in fifty less


class Counts(RequestStats):
    """Locust's statistics, whose count outlives a reset by the user's code."""

    def __init__(self) -> None:
        super().__init__()
        self.earlier_requests = self.earlier_failures = 0

    def clear_all(self) -> None:
        """Locust clears when a load starts."""
        self._keep()
        super().clear_all()

    def reset_all(self) -> None:
        """A locustfile may reset, after its warm-up for instance."""
        self._keep()
        super().reset_all()

    def _keep(self) -> None:
        self.earlier_requests += self.total.num_requests
        self.earlier_failures += self.total.num_failures


@dataclass(frozen=True)
class Prepared:
    """What a load is run with."""

    environment: Environment
    runner: PatientRunner | Master
    shape: LoadTestShape | None
    counts: Counts
    spread: Spread

    def listen(self, recorder: Callable[..., None]) -> None:
        """Let the recorder hear every request before the user's listeners: one that raises keeps it from the rest."""
        handlers: list[Any] = self.environment.events.request._handlers
        locusts_own = handlers.pop()  # the runner's
        handlers[:] = [locusts_own, recorder, *handlers]
        if any(issubclass(user, PytestUser) for user in self.environment.user_classes):
            handlers.append(_leave_when_asked)


@dataclass(frozen=True)
class Role:
    """What a process is for Locust: alone, a master, or a worker."""

    runner: type[PatientRunner | Master]
    settings: tuple[Any, ...]  # which that runner takes
    arguments: tuple[str, ...] = ("--headless",)  # of Locust's command line, which user code may look at
    first_url: int = 0  # the address that its first user gets


def prepare(plan: Plan, role: Role, refuse: Callable[[str], None]) -> Prepared:
    """The users, the environment and the runner of a plan, behind the guard, which calls `refuse` with a text."""
    refused: list[str] = []

    def refuse_at_once(text: str) -> None:
        refused.append(text)
        refuse(text)

    forget_proxies(os.environ)
    guard_sockets(HostGuard(plan.allowed_hosts), refuse_at_once)
    try:
        return _prepared(plan, role)
    except Exception:
        if refused:  # the user's module asked a host that it may not
            raise HostRefused(refused[0]) from None
        raise


def _prepared(plan: Plan, role: Role) -> Prepared:
    users, shape = load_users(plan)
    if shape is None and not plan.stages:
        raise GeneratorError(f"{plan.locustfile} holds no LoadTestShape; give load() at least one Stage")
    for size in _TAKEN_BY_TASKS:
        if any(getattr(stage, size) for stage in plan.stages):
            _check_for_tasks(users, *_TAKEN_BY_TASKS[size])
    if any(stage.rate for stage in plan.stages):
        _check_for_arrivals(users, plan)
    spread = Spread(users, plan.urls[role.first_url :] + plan.urls[: role.first_url])
    environment = Environment(
        user_classes=users,
        events=locust.events,
        shape_class=shape,
        host=plan.urls[0] if plan.urls else None,
        parsed_options=_options(plan, role.arguments),
    )
    logging.getLogger("locust.runners").addFilter(_is_for_users)
    environment.stats = counts = Counts()  # before the runner, which holds on to them
    gc.collect()
    gc.freeze()  # all that is imported stays: without this the collector looks through it again and again
    gc.set_threshold(_COLLECT_EVERY)
    runner = environment._create_runner(role.runner, *role.settings)
    if shape is not None:
        shape.runner = runner
    return Prepared(environment, runner, shape, counts, spread)


def _check_for_tasks(users: Sequence[type[User]], what: str, which: str, instead: str) -> None:
    for user in users:
        if issubclass(user, PytestUser):
            raise GeneratorError(
                f"stages with {what} need users with tasks, which {which}; {user.__name__} is made of a test "
                f"function. Give its stages {instead}= instead"
            )


def _check_for_arrivals(users: Sequence[type[User]], plan: Plan) -> None:
    if len(users) > 1:  # of a locustfile: classes that are given themselves were looked at before
        names = ", ".join(user.__name__ for user in users)
        raise GeneratorError(
            f"stages with a rate take one user class, and {plan.locustfile} holds {len(users)} ({names}): the one that "
            "answers faster would take the arrivals of the other; name one of them in load(), as in "
            f"'{Path(plan.locustfile or '').name}:{users[0].__name__}', or give one class tasks with weights"
        )


def _is_for_users(record: logging.LogRecord) -> bool:
    """Starting users as fast as asked is not worth Locust's warning each time; last words have room for few lines."""
    return not str(record.msg).startswith("Your selected spawn rate is very high")


def _options(plan: Plan, arguments: Sequence[str]) -> Namespace:
    """Locust's options as its command line would give them, the locustfile's own arguments among them."""
    host = ["--host", plan.urls[0]] if plan.urls else []
    try:
        options: Namespace = get_parser(default_config_files=[]).parse_args([*arguments, *host])
    except SystemExit:
        raise GeneratorError(
            "the locustfile's own arguments can't be parsed (what it printed says why); "
            "they are given by their environment variables"
        ) from None
    options.num_users = options.num_users or max((stage.users or 0 for stage in plan.stages), default=1)
    options.spawn_rate = options.spawn_rate or 1
    return options


def _leave_when_asked(**_: object) -> None:
    """Users made of pytest functions never look whether they are to stop; with an answer they may go."""
    user = next(iter(getattr(getcurrent(), "args", ())), None)
    if isinstance(user, PytestUser) and user._state == LOCUST_STATE_STOPPING:
        raise GreenletExit
