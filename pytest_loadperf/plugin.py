"""What pytest sees: options, the marker, two fixtures; everything else is loaded with --loadperf only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_loadperf import options, unpatched

if TYPE_CHECKING:
    from pytest_loadperf.loading import CallLoad, Loading

NEEDS = "needs --loadperf"
MARKER = (
    "loadperf(*thresholds): a load test; each threshold is a text such as 'p95 < 250ms', judged when the test has run"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any conftest can import Locust."""
    early_config.add_cleanup(unpatched.install())


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and, with --loadperf, the machinery."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("loadperf"):
        from pytest_loadperf import session, settings

        session.register(config, settings.read(config, dict(os.environ)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --loadperf, skip what is marked or uses a load."""
    if config.getoption("loadperf"):
        return
    for item in items:
        if item.get_closest_marker("loadperf") or "loadperf_session" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=NEEDS))


@pytest.fixture(scope="session")
def loadperf_session(request: pytest.FixtureRequest) -> Loading:
    """The load tests' session of this process; every load and service fixture asks for it."""
    loading: Any = request.config.pluginmanager.get_plugin("loadperf-loading")
    if loading is None:
        pytest.skip(NEEDS)
    return loading  # type: ignore[no-any-return]


@pytest.fixture
def loadperf(request: pytest.FixtureRequest, loadperf_session: Loading) -> CallLoad:
    """Runs a load inside a test: `result = loadperf(Shopper, Stage(users=50, duration="10s"))`."""
    from pytest_loadperf.loading import CallLoad

    return CallLoad(loadperf_session, request)
