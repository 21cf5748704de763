"""The user's classes, found again in the generator's process; loaded only there, after Locust has patched it."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from locust import FastHttpUser, HttpUser, LoadTestShape, User
from locust.main import merge_locustfiles_content
from locust.user.users import PytestUser

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.lean import LeanHttpUser
from pytest_loadperf.plan import Plan, Reference


def load_users(plan: Plan) -> tuple[list[type[User]], LoadTestShape | None]:
    """The user classes of a plan, and its shape where it has one instead of stages."""
    shape = _load(plan.shape)() if plan.shape else None
    if plan.locustfile is None:
        return [_load(reference) for reference in plan.users], shape
    found, _, _, file_shape = merge_locustfiles_content([plan.locustfile])
    users = [user for name, user in found.items() if plan.locustfile_user in (None, name)]
    if not users:
        named = f" called {plan.locustfile_user}" if plan.locustfile_user else ""
        there = ", ".join(found) or "none at all"
        raise GeneratorError(f"{plan.locustfile} holds no user class{named}; it holds {there}")
    if not plan.stages and shape is None:
        shape = file_shape
    return users, shape


def _load(reference: Reference) -> Any:
    for module in list(sys.modules.values()):
        if _is_file(getattr(module, "__file__", None), reference.file):
            return getattr(module, reference.name)
    return getattr(_import(reference), reference.name)


def _import(reference: Reference) -> ModuleType:
    """The module of that file, by the name that its neighbours import it by where this leads to the same file."""
    file, depth = Path(reference.file), reference.module.count(".")
    sys.path.append(str(file.parents[depth]))  # pytest's importlib mode leaves it out
    try:
        spec = importlib.util.find_spec(reference.module)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and _is_file(spec.origin, reference.file):
        return importlib.import_module(reference.module)
    spec = importlib.util.spec_from_file_location(reference.module, file)
    if spec is None or spec.loader is None:
        raise GeneratorError(f"{file} can't be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[reference.module] = module
    spec.loader.exec_module(module)
    return module


def _is_file(found: str | None, wanted: str) -> bool:
    return found is not None and Path(found).exists() and Path(found).samefile(wanted)


class Spread:
    """Gives each new user the next of the addresses, so that replicas get the same share of users.

    Locust writes one host onto the user class; a host of the instance stands before it.
    """

    def __init__(self, users: Sequence[type[User]], urls: Sequence[str]) -> None:
        self._turns = itertools.cycle(urls)
        self._known = set(urls)  # every address that a user may have from here
        self._given: list[weakref.ref[User]] = []  # users may define what equals them, so no set can hold these
        for user in users if urls else ():
            if issubclass(user, PytestUser):
                user.host = urls[0]  # these take their host from the class
            else:
                self._have_host(user)

    def _have_host(self, user: type[User]) -> None:
        construct, spread = user.__init__, self

        def __init__(self: User, *args: Any, **kwargs: Any) -> None:
            if "host" not in self.__dict__:  # a base class that is loaded as well has chosen already
                self.host = next(spread._turns)
                spread._given.append(weakref.ref(self))
            construct(self, *args, **kwargs)

        user.__init__ = __init__  # type: ignore[method-assign]

    def move(self, urls: Sequence[str]) -> None:
        """Let the users go to these addresses, evenly; as many as can be stay where they are."""
        self._known.update(urls)
        there: dict[str, list[User]] = {url: [] for url in urls}
        moving: list[User] = []
        for user in self._living():
            there.get(user.host or "", moving).append(user)
        least, more = divmod(len(moving) + sum(map(len, there.values())), len(urls))
        fullest = sorted(urls, key=lambda url: -len(there[url]))
        shares = {url: least + (place < more) for place, url in enumerate(fullest)}
        for url, share in shares.items():
            moving += there[url][share:]
        for url, share in shares.items():
            for _ in range(share - len(there[url])):
                _send(moving.pop(), url)
        self._turns = itertools.cycle([*fullest[more:], *fullest[:more]])

    def _living(self) -> list[User]:
        """The users that run, or are about to, but for those that have chosen a host for themselves since."""
        self._given = [given for given in self._given if (user := given()) is not None and not _has_ended(user)]
        users = (given() for given in self._given)
        return [user for user in users if user is not None and user.host in self._known]


def _has_ended(user: User) -> bool:
    greenlet = getattr(user, "_greenlet", None)  # none while it is constructed
    return greenlet is not None and greenlet.ready()


def _send(user: User, url: str) -> None:
    """Its next request goes there; connections are kept by address, so no old one is used for it.

    One that is on its way stays where it is.
    """
    before, user.host = user.host or "", url
    client = getattr(user, "client", None)
    base_url = getattr(client, "base_url", None)
    if client is not None and isinstance(base_url, str) and f"{base_url}/".startswith(f"{before}/"):
        client.base_url = url + base_url[len(before) :]  # which code of the user's may have given a path


def holds_connection(user: type[User]) -> bool:
    """Whether each user of this class holds a connection to the service."""
    return issubclass(user, HttpUser | FastHttpUser | LeanHttpUser)
