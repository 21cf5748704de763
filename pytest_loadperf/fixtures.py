"""The factories that users call in a conftest or test module; each returns a pytest fixture."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.loadspec import ABORT, LoadSpec, ask, ask_capacity
from pytest_loadperf.search import Search
from pytest_loadperf.service.autoscale import Autoscale
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, LocalSpec, ProcessSpec, Spec, UrlSpec

if TYPE_CHECKING:
    from pytest_loadperf.loading import Loading
    from pytest_loadperf.result import LoadResult
    from pytest_loadperf.service.running import RunningService

Scope = Literal["session", "package", "module", "class", "function"]
_SPEC = "loadperf_spec"
IS_LOAD = "loadperf_is_load"  # on the function of a load fixture


def load(
    user: Any,
    *stages: Any,
    name: str | None = None,
    service: str | None = "loadperf_service",
    scope: Scope = "module",
    trials: int = 1,
    workers: int | None = None,
    abort: str | None = ABORT,
) -> Any:
    """A fixture whose value is a LoadResult; the load runs once in its scope.

    `user` is a Locust user class, a list of them, or 'locustfile.py[:User]' beside the calling file; `stages` are
    Stages, or one LoadTestShape. `service` names the fixture that gives the addresses (None: the users' own hosts).
    `workers` is the number of processes that run the users, in place of --loadperf-workers. `abort` says when the
    load is stopped early, which fails its tests; None: never. Raises UsageFault for what can't be meant.
    """
    if "__qualname__" in sys._getframe(1).f_locals:
        raise UsageFault("load() stands in the body of a class; a load fixture belongs at the level of the module")
    spec = ask(user, stages, trials=trials, workers=workers, abort=abort, folder=_callers_folder())
    return _load(spec, service, scope, name)


def _load(spec: LoadSpec, service: str | None, scope: Scope, name: str | None) -> Any:
    def measure(request: pytest.FixtureRequest, loadperf_session: Loading, **services: RunningService) -> LoadResult:
        return loadperf_session.measure(spec, next(iter(services.values()), None), request)

    measure.__signature__ = _signature(measure, service)  # type: ignore[attr-defined]
    setattr(measure, IS_LOAD, True)
    return pytest.fixture(scope=scope, name=name)(measure)


def capacity(
    user: Any,
    *,
    until: str,
    by: Literal["users", "rate"] = "users",
    start: int = 1,
    most: int | None = None,
    step: str = "10s",
    name: str | None = None,
    service: str | None = "loadperf_service",
    scope: Scope = "module",
    workers: int | None = None,
) -> Any:
    """A fixture that searches for the highest load of which `until` holds; its value is a LoadResult of that load.

    `until` is one threshold or several: 'p95 < 500ms and failure_rate < 1%'. `by` says what grows: users, or arrivals a
    second. The search begins with `start`, doubles until a step of this length breaks, closes in on the highest that
    holds, and tries it once more; `most` is where it ends. `result.capacity` tells of every step. Raises UsageFault for
    what can't be meant.
    """
    if "__qualname__" in sys._getframe(1).f_locals:
        raise UsageFault("capacity() stands in the body of a class; a load fixture belongs at the level of the module")
    search = Search.ask(until, by, start, most, step)
    spec = ask_capacity(user, search, workers=workers, folder=_callers_folder())
    return _load(spec, service, scope, name)


def _signature(function: Callable[..., Any], service: str | None) -> inspect.Signature:
    """The signature with the service as a parameter, so that pytest sees the dependency and its parametrisation."""
    parameters = list(inspect.signature(function).parameters.values())[:-1]
    if service is not None:
        parameters.append(inspect.Parameter(service, inspect.Parameter.KEYWORD_ONLY))
    return inspect.Signature(parameters)


def docker_service(
    *,
    image: str | None = None,
    build: str | Path | None = None,
    dockerfile: str | None = None,
    target: str | None = None,
    build_args: dict[str, str] | None = None,
    port: int,
    ready: str = "/",
    env: dict[str, str] | None = None,
    command: str | list[str] | None = None,
    cpus: float | None = None,
    memory: str | int | None = None,
    cpuset: str | None = None,
    replicas: int = 1,
    autoscale: Autoscale | None = None,
    timeout: str = "60s",
    fallback: Any = None,
    name: str | None = None,
) -> Any:
    """A session fixture: the service in Docker.

    `build` is a folder beside the calling file; `dockerfile=`, `target=` and `build_args=` go with it. `ready` is the
    path whose 2xx or 3xx answer means ready. `autoscale=Autoscale(…)`, in place of `replicas=`, adds and removes
    replicas by their CPU while a load runs. `fallback` is a process_service() or url_service() for where no engine
    answers, which is not scaled.
    """
    spec = DockerSpec(
        image=image,
        build=_callers_folder() / build if build is not None else None,
        dockerfile=dockerfile,
        target=target,
        build_args=build_args or {},
        port=port,
        ready=ready,
        env=env or {},
        command=command,
        cpus=cpus,
        memory=memory,
        cpuset=cpuset,
        replicas=replicas,
        autoscale=autoscale,
        timeout=timeout,
    )
    return _service(spec, name, _spec_of(fallback))


def compose_service(
    *,
    file: str | Path,
    service: str,
    port: int,
    ready: str = "/",
    timeout: str = "60s",
    fallback: Any = None,
    name: str | None = None,
) -> Any:
    """A session fixture: one service of a compose file, with what it depends on."""
    spec = ComposeSpec(file=_callers_folder() / file, service=service, port=port, ready=ready, timeout=timeout)
    return _service(spec, name, _spec_of(fallback))


def process_service(
    command: str | list[str],
    *,
    port: int | None = None,
    ready: str = "/",
    cwd: str | Path = ".",
    env: dict[str, str] | None = None,
    timeout: str = "60s",
    name: str | None = None,
) -> Any:
    """A session fixture: the service as a local process.

    `{port}` in the command, and PORT in its environment, is a free port unless one is given; `cwd` starts at the
    folder of the calling file.
    """
    spec = ProcessSpec(
        command=command, port=port, ready=ready, cwd=_callers_folder() / cwd, env=env or {}, timeout=timeout
    )
    return _service(spec, name)


def url_service(url: str, *, name: str | None = None) -> Any:
    """A session fixture: a service that runs already."""
    return _service(UrlSpec(url), name)


def _service(spec: Spec, name: str | None, fallback: LocalSpec | None = None) -> Any:
    def service(loadperf_session: Loading) -> Iterator[RunningService]:
        with loadperf_session.service(spec, fallback) as running:
            yield running

    made = pytest.fixture(scope="session", name=name)(service)
    setattr(made, _SPEC, spec)
    return made


def _spec_of(fallback: Any) -> LocalSpec | None:
    if fallback is None:
        return None
    spec = getattr(fallback, _SPEC, None)
    if not isinstance(spec, ProcessSpec | UrlSpec):
        raise UsageFault(f"fallback is {fallback!r}; expected process_service(…) or url_service(…)")
    return spec


def _callers_folder() -> Path:
    """The folder of the file that called the factory: what it names relatively stands beside it."""
    return Path(sys._getframe(2).f_code.co_filename).resolve().parent
