"""Where a service runs: in Docker, as a process here, or where a URL says it runs already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from pytest_loadperf.errors import ServiceError, UsageFault
from pytest_loadperf.notice import Notice
from pytest_loadperf.service.against import Against
from pytest_loadperf.service.running import Counterpart, RunningService, named
from pytest_loadperf.service.spec import ComposeSpec, DockerSpec, LocalSpec, ProcessSpec, Spec, UrlSpec
from pytest_loadperf.settings import Backend

# What needs the Docker SDK or psutil is imported by those who get that far.


@contextmanager
def start(
    spec: Spec,
    *,
    backend: Backend = "auto",
    fallback: LocalSpec | None = None,
    url: str | None = None,
    keep: bool = False,
    say: Callable[[str], None],
) -> Iterator[RunningService]:
    """The service, ready to be loaded, wherever `backend` lets it run; what was started is gone at the end.

    `url` wins over everything. `say` shows one line to the user. Raises ServiceError.
    """
    asked = spec if url is None else UrlSpec(url)
    with ExitStack() as stack:
        if isinstance(asked, ProcessSpec | UrlSpec):
            yield _enter_local(stack, asked, keep, say)
        elif backend == "process":
            yield _enter_fallback(stack, asked, fallback, "--loadperf-backend process", keep, say)
        else:
            yield _enter_docker(stack, asked, fallback if backend == "auto" else None, keep, say)


@contextmanager
def start_both(
    spec: Spec,
    against: Against,
    *,
    backend: Backend,
    fallback: LocalSpec | None,
    keep: bool,
    say: Callable[[str], None],
) -> Iterator[RunningService]:
    """The service as `start` gives it, with the build to compare it with as its counterpart.

    That one is gone at the end even if the other is kept. Raises UsageFault for what can't be measured side by side.
    """
    from pytest_loadperf.service.variant import variant

    with variant(spec, against) as (other, name), ExitStack() as stack:
        running = stack.enter_context(start(spec, backend=backend, fallback=fallback, keep=keep, say=say))
        if (why := running.record.fallback_from) is not None:
            raise UsageFault(
                f"--loadperf-against {against}: {why}, and what runs instead of {spec.name} has no other build to be "
                "measured beside. Start Docker, or run without --loadperf-against"
            )
        say(f"loadperf: starting the baseline, {name}")
        with named(name):
            baseline = stack.enter_context(start(other, backend=backend, say=say))
        if against.image is not None and baseline.record.digest:  # a tag may be of whatever was pulled long ago
            name = f"{name} ({baseline.record.digest.rpartition(':')[2][:12]})"
        if baseline.record.digest and baseline.record.digest == running.record.digest:
            say(Notice(f"loadperf: {name} is the same image as the candidate's: there is no change to be seen"))
        running.counterpart = Counterpart(name, baseline)
        yield running


def _enter_local(stack: ExitStack, spec: LocalSpec, keep: bool, say: Callable[[str], None]) -> RunningService:
    if isinstance(spec, UrlSpec):
        from pytest_loadperf.service.url import UrlService

        return UrlService(spec)
    from pytest_loadperf.service.process import in_process

    return stack.enter_context(in_process(spec, keep=keep, say=say))


def _enter_docker(
    stack: ExitStack, spec: DockerSpec | ComposeSpec, fallback: LocalSpec | None, keep: bool, say: Callable[[str], None]
) -> RunningService:
    from pytest_loadperf.service.engine import EngineMissing, connect

    try:
        engine = connect()
    except EngineMissing as missing:
        if fallback is None:
            raise
        return _enter_fallback(stack, spec, fallback, f"no Docker engine answers ({missing.reason})", keep, say)
    stack.enter_context(closing(engine.client))
    if isinstance(spec, DockerSpec):
        from pytest_loadperf.service.docker import in_docker

        return stack.enter_context(in_docker(spec, engine, keep=keep, say=say))
    from pytest_loadperf.service.compose import in_compose

    return stack.enter_context(in_compose(spec, engine, keep=keep, say=say))


def _enter_fallback(
    stack: ExitStack,
    spec: DockerSpec | ComposeSpec,
    fallback: LocalSpec | None,
    why: str,
    keep: bool,
    say: Callable[[str], None],
) -> RunningService:
    if fallback is None:
        raise ServiceError(
            f"{why}, but {spec.name} has nothing to run without Docker. "
            "Name it: docker_service(…, fallback=process_service(…))"
        )
    what = (
        f"running `{fallback.name}` as a local process"
        if isinstance(fallback, ProcessSpec)
        else f"loading {fallback.name}"
    )
    say(f"loadperf: {why}: {what} instead; its runs are never compared with Docker's")
    service = _enter_local(stack, fallback, keep, say)
    service.record = replace(service.record, fallback_from=why)
    return service
