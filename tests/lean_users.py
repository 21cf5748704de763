"""LeanHttpUsers that tests load with; the generator's process imports them from here."""

from __future__ import annotations

from locust import constant, task

from pytest_loadperf import LeanHttpUser


class Lean(LeanHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")


class Hanging(LeanHttpUser):
    @task
    def ask(self) -> None:
        self.client.get("/hang", name="hang")


class Leaving(LeanHttpUser):
    @task
    def leave(self) -> None:
        self.client.get("/redirect?to=http://192.0.2.77:81/")
