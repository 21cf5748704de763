"""Users that go from replica to replica while a load runs, of every kind that there is."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from projects import ANSWERING

from pytest_loadperf.errors import HostRefused
from pytest_loadperf.generator.launch import launched
from pytest_loadperf.generator.protocol import End, Second
from pytest_loadperf.plan import Plan, Stage

USERS = """
    from itertools import count
    from locust import FastHttpUser, HttpUser, User, constant
    from pytest_loadperf import LeanHttpUser

    numbers = count()

    def begin(user):
        user.number = next(numbers)

    def ask(user):
        user.client.get(f"/anything?{type(user).__name__}-{user.number}", name="ask")

    class Asking(User):
        abstract = True
        wait_time = constant(0.02)
        tasks = [ask]
        on_start = begin

    class Plain(Asking, HttpUser):
        pass

    class Fast(Asking, FastHttpUser):
        pass

    class Lean(Asking, LeanHttpUser):
        pass

    class Patient(Asking, LeanHttpUser):
        network_timeout = 0.5
        max_retries = 2

    class Deep(Asking, FastHttpUser):
        def on_start(self):
            begin(self)
            self.client.base_url += "/anything"

    class Elsewhere(Asking, HttpUser):
        def on_start(self):
            begin(self)
            self.host = self.client.base_url = self.client.base_url.replace("127.0.0.1", "localhost")
"""


class Replica:
    """One of several servers that answer alike."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._read = 0
        command = [sys.executable, str(ANSWERING), "--log", str(log)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def asked(self) -> Counter[str]:
        """How often each user has asked since this was looked at last."""
        text = self.log.read_text()[self._read :]
        self._read += len(text)
        return Counter(re.findall(r"\?(\w+-\d+)", text))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def replicas(folder: Path, count: int) -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        there = [Replica(folder / f"{number}.log") for number in range(count)]
        for replica in there:
            stack.callback(replica.end)
        yield there


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "locustfile.py"
    file.write_text(textwrap.dedent(USERS))
    return Plan(locustfile=str(file), stages=(), sys_path=(str(tmp_path), *sys.path))


def of(plan: Plan, user: str | None, url: str, *stages: Stage) -> Plan:
    return replace(plan, locustfile_user=user, stages=stages, urls=(url,))


def kinds(asked: Counter[str]) -> Counter[str]:
    return Counter(user.partition("-")[0] for user in asked)


@pytest.mark.parametrize("kind", ["Plain", "Fast", "Lean"])
def test_they_are_spread_anew_at_once_and_new_ones_go_where_the_fewest_are(
    kind: str, plan: Plan, tmp_path: Path
) -> None:
    with replicas(tmp_path, 3) as (first, second, third):
        stages = (Stage("few", users=6, duration="4s"), Stage("more", users=10, duration="2s"))
        asked: list[list[Counter[str]]] = []
        with launched(of(plan, kind, first.url, *stages)) as generator:
            for message in generator.messages():
                if isinstance(message, Second):
                    asked.append([replica.asked() for replica in (first, second, third)])
                    if len(asked) == 1:
                        generator.move([first.url, second.url])
                    elif len(asked) == 3:
                        generator.move([second.url, third.url])
                    elif len(asked) == 4:
                        first.end()
        assert isinstance(message, End)
    assert [len(users) for users in asked[0]] == [6, 0, 0]
    stayed, came, _ = asked[2]
    assert [len(stayed), len(came)] == [3, 3]
    assert stayed.keys().isdisjoint(came)
    _, kept, new = asked[3]
    assert (kept.keys(), new.keys()) == (came.keys(), stayed.keys())  # who has a replica keeps it
    assert [len(users) for users in asked[5]] == [0, 5, 5]
    assert message.failures == 0


def test_one_that_waits_at_a_replica_that_is_taken_away_tries_again_at_another(plan: Plan, tmp_path: Path) -> None:
    with replicas(tmp_path, 2) as (first, second):
        asked = of(plan, "Patient", first.url, Stage("only", users=4, duration="3s"))
        with launched(asked) as generator:
            for message in generator.messages():
                if isinstance(message, Second) and second.asked().total() == 0 and message.at_s < 2:
                    first.process.send_signal(signal.SIGSTOP)
                    generator.move([second.url])
        assert isinstance(message, End)
    assert message.failures == 0
    assert message.requests > 50


def test_those_that_chose_a_host_for_themselves_stay_there(plan: Plan, tmp_path: Path) -> None:
    with replicas(tmp_path, 2) as (first, second):
        asked = of(plan, None, first.url, Stage("only", users=12, duration="2s"))
        with launched(asked) as generator:
            for message in generator.messages():
                if isinstance(message, Second) and message.at_s < 1.5:
                    first.asked()
                    generator.move([second.url])
        assert isinstance(message, End)
        assert kinds(second.asked()) == {"Plain": 2, "Fast": 2, "Lean": 2, "Patient": 2, "Deep": 2}
        assert kinds(first.asked())["Elsewhere"] == 2
        assert "/anything/anything?Deep" in second.log.read_text()
    assert message.failures == 0


def test_none_goes_where_it_may_not(plan: Plan, server: str) -> None:
    # 192.0.2.0/24 is reserved for documentation: nothing is there
    with launched(of(plan, "Lean", server, Stage("only", users=1, duration="30s"))) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        generator.move(["http://192.0.2.77:81"])
        with pytest.raises(HostRefused, match=r"192\.0\.2\.77 is not loaded"):
            list(messages)
