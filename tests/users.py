"""User classes that tests load with; the generator's process imports them from here."""

from __future__ import annotations

import os
import socket
import sys
import time
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, HttpUser, LoadTestShape, User, constant, events, task
from locust.env import Environment


class Fast(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")


class Plain(HttpUser):
    wait_time = constant(0.01)
    weight = 3

    @task
    def ask(self) -> None:
        self.client.get("/anything?token=geheim", headers={"x-user": "plain"})


class Failing(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        self.client.get("/status/503", name="broken")


class Hanging(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get("/hang", name="hang")


class Receiving(User):
    """A client of its own waits for an answer that never comes."""

    @task
    def receive(self) -> None:
        address = urlsplit(self.host or "")
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"GET /hang HTTP/1.1\r\n\r\n")
            connection.recv(1)


class Spawning(FastHttpUser):
    """A greenlet of its own waits for an answer that never comes."""

    @task
    def ask(self) -> None:
        gevent.joinall([gevent.spawn(self.client.get, "/hang")])


class Sleeping(FastHttpUser):
    """It is busy for long, but with nothing that a service would have to answer."""

    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")
        time.sleep(30)


class Own(User):
    """A protocol of the user's own: it only fires the event."""

    wait_time = constant(0.01)

    @task
    def work(self) -> None:
        events.request.fire(request_type="", name="own", response_time=3.0, response_length=5, exception=None)


class Crashing(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")
        raise KeyError("user code is wrong")


class CannotStart(FastHttpUser):
    def on_start(self) -> None:
        raise RuntimeError("no login")

    @task
    def ask(self) -> None:
        self.client.get("/anything")


class Printing(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        print("a user prints", self.client.get("/anything", name="ask").status_code)
        sys.stdout.flush()


class Dying(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")
        print("these are my last words")
        os._exit(9)


class Resetting(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        self.client.get("/anything", name="ask")
        self.environment.stats.reset_all()


class BadEvent(User):
    """Its event can't be counted: neither Locust nor anyone knows how long it took."""

    wait_time = constant(0.05)

    @task
    def work(self) -> None:
        events.request.fire(request_type="", name="own", response_time=1.0, response_length=0, exception=None)
        events.request.fire(request_type="", name="own", response_time="slow", response_length=0, exception=None)


class Blocking(FastHttpUser):
    @task
    def burn(self) -> None:
        self.client.get("/anything", name="ask")
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            pass


class Wave(LoadTestShape):
    def tick(self) -> tuple[int, float] | None:
        run_time: float = self.get_run_time()  # type: ignore[no-untyped-call]
        if run_time < 1:
            return 2, 2
        return (5, 5) if run_time < 2 else None


class Secretive(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        self.client.get("/status/500/gar-geheim")
        raise ValueError("gar-geheim")


class Unmade(FastHttpUser):
    """It can't be made where the users run."""

    def __init__(self, environment: Environment) -> None:
        raise RuntimeError("this user cannot be made")

    @task
    def ask(self) -> None:
        self.client.get("/anything")
