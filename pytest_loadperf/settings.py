"""The settings of a run with --loadperf, read from pytest once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal, TypeVar, cast

import pytest

from pytest_loadperf import options, worker_token
from pytest_loadperf.errors import UsageFault
from pytest_loadperf.plan import Crew
from pytest_loadperf.redact import named_secrets
from pytest_loadperf.service.against import Against

T = TypeVar("T")
Backend = Literal["auto", "docker", "process"]


@dataclass(frozen=True)
class LoadperfConfig:
    """What the command line and the ini file say; the command line wins."""

    rootpath: Path
    backend: Backend = "auto"
    url: str | None = None
    allow_hosts: tuple[str, ...] = ()
    history: str = ".loadperf"  # as given; a relative directory starts at rootpath
    save: bool = True
    baseline: str | None = None
    require_baseline: bool = False
    against: Against | None = None  # what to measure side by side
    pairs: int = 5
    control_s: float | None = None  # how long a control is loaded before and after each load
    fail_on: tuple[str, ...] = ()  # verdicts that would pass otherwise
    report: Path = Path(".loadperf/report.html")  # absolute, once read
    summary: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    locust_report: Path | None = None
    scale: float | None = None
    calibrate: int | None = None  # how often every load is run
    keep_service: bool = False
    workers: int | None = None  # processes of this machine
    master: tuple[str, int] | None = None  # where workers from elsewhere are listened for
    expect_workers: int = 0  # from elsewhere
    token: str = field(default_factory=token_urlsafe, repr=False)  # that they have to show
    token_given: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)  # of pytest's own environment

    @property
    def unjudged(self) -> str | None:
        """The option that makes this run one whose thresholds are shown, not judged; None for an ordinary run."""
        if self.scale is not None:
            return f"--loadperf-scale {self.scale:g}"
        return None if self.calibrate is None else f"--loadperf-calibrate {self.calibrate}"

    def crew(self, workers: int | None) -> Crew | None:
        """Who runs the users of a load that asks for so many workers; None for the generator itself."""
        local = workers or self.workers or (0 if self.expect_workers else 1)
        if self.expect_workers == 0 and local == 1:
            return None
        if self.expect_workers == 0:
            return Crew(local, token=self.token, token_given=self.token_given)
        host, port = self.master or (options.MASTER_HOST, options.MASTER_PORT)
        root = str(self.rootpath.resolve())
        return Crew(local, self.expect_workers, host, port, root=root, token=self.token, token_given=self.token_given)


def read(config: pytest.Config, environ: dict[str, str]) -> LoadperfConfig:
    """The settings of this run; a bad ini value is a usage error."""

    def given(name: str) -> Any:
        return config.getoption(f"loadperf_{name}") or config.getini(f"loadperf_{name}") or None

    def path(name: str, otherwise: str | None = None) -> Path | None:
        text = given(name) or otherwise
        return config.rootpath / text if text else None

    def parsed(name: str, parse: Callable[[str], T]) -> T | None:
        value = given(name)
        try:
            return parse(value) if isinstance(value, str) else value
        except argparse.ArgumentTypeError as error:
            raise pytest.UsageError(f"loadperf_{name} in {config.inipath}: {error}") from None

    backend = cast(Backend, parsed("backend", options.backend) or "auto")
    master, expect_workers = parsed("master", options.address), parsed("expect_workers", options.count) or 0
    against = parsed("against", options.against)
    url, calibrate = config.getoption("loadperf_url"), config.getoption("loadperf_calibrate")
    _refuse(against, url, calibrate, master, expect_workers)
    return LoadperfConfig(
        rootpath=config.rootpath,
        backend=backend,
        url=url,
        allow_hosts=(*config.getoption("loadperf_allow_host"), *config.getini("loadperf_allow_host")),
        history=given("history") or ".loadperf",
        save=not config.getoption("loadperf_no_save"),
        baseline=given("baseline"),
        require_baseline=config.getoption("loadperf_require_baseline"),
        against=Against.parse(against) if against is not None else None,
        pairs=parsed("pairs", options.pairs) or 5,
        control_s=parsed("control", options.control),
        fail_on=parsed("fail_on", options.fail_on) or (),
        report=config.rootpath / (given("report") or ".loadperf/report.html"),
        summary=path("summary", environ.get("GITHUB_STEP_SUMMARY")),
        json=path("json"),
        csv=path("csv"),
        locust_report=path("locust_report"),
        scale=config.getoption("loadperf_scale"),
        calibrate=calibrate,
        keep_service=config.getoption("loadperf_keep_service"),
        workers=parsed("workers", options.count),
        master=master,
        expect_workers=expect_workers,
        **_token(environ),
        secrets=named_secrets(environ),
    )


def _token(environ: dict[str, str]) -> dict[str, Any]:
    """What is known of the workers' token: the one that was given, or one of this run's own."""
    try:
        given = worker_token.given(environ)
    except UsageFault as fault:
        raise pytest.UsageError(str(fault)) from None
    return {"token": given or token_urlsafe(), "token_given": given is not None}


def _refuse(
    against: str | None,
    url: str | None,
    calibrate: int | None,
    master: tuple[str, int] | None,
    expect_workers: int,
) -> None:
    """A usage error for options that do not go together."""
    if master is not None and not expect_workers:
        raise pytest.UsageError("--loadperf-master needs --loadperf-expect-workers N: how many workers to wait for")
    if against is not None and calibrate:
        raise pytest.UsageError(
            f"--loadperf-calibrate and --loadperf-against {against} exclude each other: how much one build differs "
            "from itself is measured without another one beside it"
        )
    if against is not None and url is not None:
        raise pytest.UsageError(
            f"--loadperf-against {against} and --loadperf-url {url} exclude each other: of a service that runs already "
            "there is no other build to start"
        )
