"""What the user asked for with load(): checked when the module is imported, before anything starts."""

from __future__ import annotations

import ast
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.limits import Quantity
from pytest_loadperf.judge.thresholds import Threshold, parse
from pytest_loadperf.measure.summary import name_stages
from pytest_loadperf.plan import Crew, Plan, Reference, Stage
from pytest_loadperf.quantity import duration_s
from pytest_loadperf.search import Search

_USER = ("locust.user.users", "User")
_SHAPE = ("locust.shape", "LoadTestShape")
ABORT = "failure_rate >= 100% for 10s"  # unless a load asks for something else
_ABORT_AFTER = "10s"


@dataclass(frozen=True)
class AbortRule:
    """When a load is stopped early: the condition held over the last `for_s` seconds."""

    condition: Threshold
    limit: Quantity
    for_s: float

    @classmethod
    def parse(cls, text: str) -> AbortRule:
        """'failure_rate > 50% for 10s'; ten seconds where the text does not say."""
        if not isinstance(text, str):
            raise UsageFault(f"abort={text!r}: expected a text, such as 'failure_rate > 50% for 10s'")
        condition, _, lasting = text.partition(" for ")
        threshold = parse(condition.strip())
        limit, metric = threshold.limit, threshold.metric
        if not isinstance(limit, Quantity) or metric.stage or threshold.load or metric.of_service:
            raise UsageFault(
                f"abort={text!r}: expected an absolute threshold on requests, such as 'failure_rate > 50%'"
            )
        return cls(threshold, limit, duration_s(lasting.strip() or _ABORT_AFTER, f"the time in abort={text!r}"))

    def __str__(self) -> str:
        return f"{self.condition.text} for {self.for_s:g}s"


@dataclass(frozen=True)
class LoadSpec:
    """One load: whose users, in which stages."""

    plan: Plan  # without addresses
    trials: int = 1
    abort: AbortRule | None = None
    workers: int | None = None  # None leaves it to the options
    search: Search | None = None  # instead of the plan's stages, which are its first step

    @property
    def asked(self) -> str:
        """What is run where that is not the plan's stages, in words."""
        if self.search is not None:
            return self.search.words
        return self.plan.shape.name if self.plan.shape else ""

    @property
    def user_names(self) -> tuple[str, ...]:
        """The user classes as written, for the fingerprint."""
        if self.plan.locustfile:
            return (f"{Path(self.plan.locustfile).name}:{self.plan.locustfile_user or '*'}",)
        return tuple(reference.name for reference in self.plan.users)

    def planned(
        self,
        urls: tuple[str, ...],
        allowed_hosts: tuple[str, ...],
        secrets: tuple[str, ...],
        scale: float | None,
        crew: Crew | None = None,
    ) -> Plan:
        """The plan for the generator."""
        stages = self.plan.stages if scale is None else tuple(stage.scaled(scale) for stage in self.plan.stages)
        workers = crew.size if crew else 1
        return replace(
            self.plan,
            stages=tuple(_for_workers(stage, workers, scaled=scale is not None) for stage in stages),
            scale=scale or 1.0,
            urls=urls,
            allowed_hosts=allowed_hosts,
            secrets=secrets,
            sys_path=tuple(sys.path),
            crew=crew,
        )


def _for_workers(stage: Stage, workers: int, *, scaled: bool) -> Stage:
    """Each worker that has a share of the requests needs a user; a smoke run may have been left with fewer."""
    if stage.requests is None or stage.users is None or stage.users >= workers:
        return stage
    if scaled:
        return replace(stage, users=workers, requests=max(stage.requests, workers))
    raise UsageFault(
        f"stage {stage.name!r} shares {stage.requests} requests among {workers} workers, and has {stage.users} users; "
        "expected one for each worker at least"
    )


def ask(
    user: Any,
    stages: Iterable[Any],
    *,
    trials: int = 1,
    workers: int | None = None,
    abort: str | None = ABORT,
    folder: Path = Path(),
    called: str = "load()",
) -> LoadSpec:
    """Check what load() was given, all faults at once; a relative locustfile starts at `folder`."""
    given = list(stages)
    faults = [*_faults(user, given, folder), *_number_faults(trials=trials, workers=1 if workers is None else workers)]
    if faults:
        raise UsageFault(f"{called}: " + "; ".join(faults))
    rule = AbortRule.parse(abort) if abort is not None else None
    plan = Plan(
        stages=name_stages([stage for stage in given if isinstance(stage, Stage)]),
        shape=next((_reference(shape) for shape in given if not isinstance(shape, Stage)), None),
    )
    if isinstance(user, str):
        file, name = _split(user)
        plan = replace(plan, locustfile=str((folder / file).resolve()), locustfile_user=name)
    else:
        plan = replace(plan, users=tuple(_reference(one) for one in _listed(user)))
    return LoadSpec(plan, trials, rule, workers)


def ask_capacity(user: Any, search: Search, *, workers: int | None = None, folder: Path = Path()) -> LoadSpec:
    """Check what else capacity() was given."""
    first = search.stages(search.start, 1.0, 1.0)
    return replace(ask(user, first, workers=workers, folder=folder, called="capacity()"), search=search)


def _listed(user: Any) -> list[Any]:
    return list(user) if isinstance(user, list | tuple) else [user]


def _split(locustfile: str) -> tuple[str, str | None]:
    file, colon, name = locustfile.rpartition(":")
    return (file, name) if colon and file.endswith(".py") else (locustfile, None)


def _faults(user: Any, stages: list[Any], folder: Path) -> Iterator[str]:
    if isinstance(user, str):
        yield from _file_faults(folder / _split(user)[0])
    else:
        names = [getattr(one, "__name__", "") for one in _listed(user)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"two user classes are called {name!r}; Locust could not tell them apart"
        for one in _listed(user):
            yield from _class_faults(one, _USER, "a Locust User class, a list of them, or the path of a locustfile")
    shapes = [stage for stage in stages if not isinstance(stage, Stage)]
    for shape in shapes:
        yield from _class_faults(shape, _SHAPE, "a Stage or a LoadTestShape class")
    if not stages and not isinstance(user, str):
        yield "there is no stage; give at least one, such as Stage(users=10, duration='30s')"
    if shapes and len(stages) > 1:
        yield "a LoadTestShape stands alone: it says itself how many users there are when"
    names = [stage.name for stage in name_stages([stage for stage in stages if isinstance(stage, Stage)])]
    for name in sorted({name for name in names if names.count(name) > 1 and name}):
        yield f"two stages are called {name!r}; thresholds could not tell them apart"
    yield from _ramp_faults([stage for stage in stages if isinstance(stage, Stage)])
    if any(isinstance(stage, Stage) and stage.rate is not None for stage in stages):
        yield from _sharing_faults(_listed(user))
    if stages and not shapes and not any(stage.measured for stage in stages):
        yield "every stage is unmeasured, so there would be nothing to judge"


def _number_faults(**numbers: Any) -> Iterator[str]:
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            yield f"{name} is {number!r}; expected a whole number from 1"


def _ramp_faults(stages: list[Stage]) -> Iterator[str]:
    """A stage whose ramp takes longer than itself never gets to its users; Locust's own loop would skip the next."""
    before: int | None = 0
    for stage in name_stages(stages):
        if before is not None and (takes := stage.ramp_s(before)) > stage.duration_s * 1.001:
            yield (
                f"stage {stage.name!r} goes from {before} to {stage.users} users at {stage.spawn_rate:g} a second, "
                f"which takes {takes:g} s, but lasts {stage.duration_s:g} s; make it longer, or spawn_rate larger"
            )
        before = stage.users  # after arrivals there are as many as these have needed


def _sharing_faults(users: list[Any]) -> Iterator[str]:
    """Any free user takes the next arrival: a class that answers slowly would be asked less, and nobody would see."""
    if len(users) > 1:
        names = ", ".join(getattr(user, "__name__", repr(user)) for user in users)
        yield (
            f"stages with a rate take one user class, and {len(users)} are given ({names}): the one that answers "
            "faster would take the arrivals of the other; give one class tasks with weights instead"
        )


def _file_faults(file: Path) -> Iterator[str]:
    try:
        ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        yield f"the locustfile {file} can't be read: {error.strerror}"
    except (SyntaxError, ValueError) as error:
        yield "the locustfile does not parse:\n" + "".join(traceback.format_exception_only(error)).rstrip()


def _class_faults(candidate: Any, base: tuple[str, str], expected: str) -> Iterator[str]:
    """By name, not by isinstance: this process need not have imported Locust."""
    if not isinstance(candidate, type) or not any((kind.__module__, kind.__name__) == base for kind in candidate.mro()):
        yield f"{candidate!r} is given; expected {expected}"
    elif candidate.__qualname__ != candidate.__name__:
        yield (
            f"the class {candidate.__qualname__} is not at module level, where the generator's process could import "
            "it; move it there"
        )
    elif _file_of(candidate) is None:
        yield (
            f"the class {candidate.__name__} is not found under its name in the file of its module "
            f"{candidate.__module__}, where the generator's process would look for it; define it there with `class`"
        )


def _file_of(kind: type) -> str | None:
    """The file that defines a class: several conftest.py go by one module name, of which the last one holds it."""
    module = sys.modules.get(kind.__module__)
    if module is not None and getattr(module, kind.__name__, None) is kind:
        return getattr(module, "__file__", None)
    functions = [member for member in vars(kind).values() if isinstance(member, FunctionType)]
    files = {function.__code__.co_filename for function in functions if function.__module__ == kind.__module__}
    return files.pop() if len(files) == 1 and module is not None else None


def _reference(kind: type) -> Reference:
    file = _file_of(kind)
    assert file is not None  # checked among the faults
    return Reference(str(Path(file).resolve()), kind.__module__, kind.__name__)
