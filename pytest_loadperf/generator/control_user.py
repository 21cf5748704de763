"""Who loads the control service."""

from __future__ import annotations

from locust import constant, task

from pytest_loadperf.generator.lean import LeanHttpUser


class ControlUser(LeanHttpUser):
    """Asks, and rests for ten milliseconds."""

    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        """One request."""
        self.client.get("/")
