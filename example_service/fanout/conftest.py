"""What the load test loads: the fan-out with its upstreams, in Docker or as local processes where no engine answers."""

import pytest

from pytest_loadperf import compose_service, process_service

# The upstreams of compose.yml once more, for a local fan-out.
fast = process_service("python upstream.py", port=19001, env={"DELAY_MS": "20"})
slow = process_service("python upstream.py", port=19002, env={"DELAY_MS": "200"})
failing = process_service("python upstream.py", port=19003, env={"DELAY_MS": "10", "FAILURES": "0.5"})
local = process_service(
    "uvicorn --factory fanout:create_app --port={port}",
    ready="/health",
    env={"UPSTREAMS": "http://127.0.0.1:19001,http://127.0.0.1:19002,http://127.0.0.1:19003"},
)
loadperf_service = compose_service(file="compose.yml", service="fanout", port=8000, ready="/health", fallback=local)


@pytest.fixture(scope="session", autouse=True)
def upstreams(fast: object, slow: object, failing: object) -> None:
    """Those that a local fan-out asks; one in Docker has its own, and these are idle."""
