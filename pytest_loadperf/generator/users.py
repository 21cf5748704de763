"""The user's classes, found again in the generator's process; loaded only there, after Locust has patched it."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from locust import LoadTestShape, User
from locust.main import merge_locustfiles_content
from locust.user.users import PytestUser

from pytest_loadperf.errors import GeneratorError
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


def spread(users: Sequence[type[User]], urls: Sequence[str]) -> None:
    """Give each new user the next of the addresses, so that replicas get the same share of users.

    Locust writes one host onto the user class; a host of the instance stands before it.
    """
    if not urls:
        return
    turns = itertools.cycle(urls)
    for user in users:
        if issubclass(user, PytestUser):
            user.host = urls[0]  # these take their host from the class
        else:
            _with_host(user, turns)


def _with_host(user: type[User], turns: Iterator[str]) -> None:
    construct = user.__init__

    def __init__(self: User, *args: Any, **kwargs: Any) -> None:
        if "host" not in self.__dict__:  # a base class that is loaded as well has chosen already
            self.host = next(turns)
        construct(self, *args, **kwargs)

    user.__init__ = __init__  # type: ignore[method-assign]
