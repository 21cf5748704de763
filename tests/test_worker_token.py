"""Workers and generator show each other that they know the run's token; who does not is refused, and named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import zmq
from elsewhere import TOKEN, USER, expecting, worker
from projects import BRIEF, Project
from test_generator import Run

from pytest_loadperf.errors import GeneratorError, UsageFault
from pytest_loadperf.generator.launch import Generator, launched
from pytest_loadperf.generator.protocol import End, Message, Second, Waiting
from pytest_loadperf.plan import Crew, Plan, Stage
from pytest_loadperf.worker_token import given

OTHER = "of-another-run-altogether"
SHOWN = "made-by-this-run-itself"
REFUSED = "refused {}, who has not shown this run's token (LOADPERF_TOKEN)"
NOT_TAKEN = (
    "127.0.0.1:{} does not take this worker: its LOADPERF_TOKEN is another, or that is no generator of this version\n"
)


def refusals(messages: list[Message]) -> list[str]:
    return [message.text for message in messages if isinstance(message, Waiting) and "refused" in message.text]


@contextmanager
def locusts_worker(port: int, asked: Plan, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "locust", "-f", asked.users[0].file, "--worker"]
    command += ["--master-host", "127.0.0.1", "--master-port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(asked.users[0].file).parents[1])}
    with log.open("w") as words, subprocess.Popen(command, stdout=words, stderr=words, env=environment) as process:
        yield
        process.kill()


def knock(port: int) -> None:
    """As a browser, whose words come a moment after it."""
    with socket.create_connection(("127.0.0.1", port)) as garbage:
        time.sleep(0.2)
        garbage.sendall(b"GET / HTTP/1.1\r\nHost: there\r\n\r\n" + b"x" * 200)
        time.sleep(0.2)


def until_it_runs(generator: Generator) -> list[Message]:
    told: list[Message] = []
    for message in generator.messages():
        told.append(message)
        if isinstance(message, Second):
            break
    return told


def test_a_worker_with_another_token_is_told_so_and_named(asked: Plan, port: int, tmp_path: Path) -> None:
    told: list[Message] = []
    asked = replace(asked, stages=(Stage("only", users=4, duration="3s"),))
    with worker(port, tmp_path / "other", token=OTHER) as other, launched(asked) as generator:
        messages = generator.messages()
        while not refusals(told):
            told.append(next(messages))
        other.expect(NOT_TAKEN.format(port))
        with worker(port, tmp_path / "away") as away:
            told += messages
        away.expect("the load is over")
        assert other.part.is_running()  # it goes on asking
    assert refusals(told) == [REFUSED.format("127.0.0.1")]  # once, however often it asked
    assert "joined" not in other.said
    assert other.said.count("does not take this worker") == 1
    end = told[-1]
    assert isinstance(end, End)
    assert end.requests == end.locust_requests > 50
    assert end.lost_workers == ()


def test_who_was_refused_is_let_in_by_the_run_whose_token_it_has(asked: Plan, port: int, tmp_path: Path) -> None:
    crew = Crew(joined=1, port=port, root=asked.crew.root if asked.crew else "", token=OTHER, come_s=15.0)
    with worker(port, tmp_path / "away") as away:
        with launched(replace(asked, crew=crew)):
            away.expect(NOT_TAKEN.format(port))
        assert Run(asked).end.requests > 50
        away.expect("the load is over")


def test_strangers_get_no_users_are_named_and_do_no_harm(asked: Plan, port: int, tmp_path: Path) -> None:
    asked = replace(asked, stages=(Stage("only", users=6, duration="4s"),))
    with worker(port, tmp_path / "away"), launched(asked) as generator:
        messages = generator.messages()
        while not isinstance(next(messages), Second):
            pass
        with locusts_worker(port, asked, tmp_path / "stranger"):
            knock(port)
            told = list(messages)
    users = [message.users for message in told if isinstance(message, Second)]
    assert 6 in users[-3:]
    assert max(users) == 6
    assert refusals(told) == [REFUSED.format("127.0.0.1")]
    end = told[-1]
    assert isinstance(end, End)
    assert end.requests == end.locust_requests > 50
    assert end.lost_workers == ()
    assert end.faults == ()


def test_a_plain_worker_of_locusts_is_refused_while_the_run_waits(asked: Plan, port: int, tmp_path: Path) -> None:
    with locusts_worker(port, asked, tmp_path / "stranger"), launched(asked) as generator:
        messages = generator.messages()
        told = [next(messages)]
        while not refusals(told):
            told.append(next(messages))
        with worker(port, tmp_path / "away"):
            told += messages
    # It tries once, and the connection may be gone before the address is looked up.
    assert refusals(told)[0] in (REFUSED.format("127.0.0.1"), REFUSED.format("a stranger"))
    assert isinstance(told[-1], End)


def test_who_is_gone_too_soon_is_a_stranger_and_many_are_not_all_told(asked: Plan, port: int, tmp_path: Path) -> None:
    file = Path(asked.users[0].file)
    file.write_text(f"""
import itertools
from pytest_loadperf.generator import strangers
numbers = itertools.count()
strangers._peer = lambda *_: (number := next(numbers)) and f"10.0.0.{{number}}" or strangers.NAMELESS
{USER}""")
    told: list[Message] = []
    with launched(asked) as generator:
        messages = generator.messages()
        wait_for_it(port)
        while not refusals(told):
            told.append(next(messages))
        for _ in range(24):
            time.sleep(0.05)
            wait_for_it(port)
        with worker(port, tmp_path / "away", "--code", str(tmp_path / "home")):
            told += messages
    assert refusals(told) == [REFUSED.format(who) for who in ("a stranger", *(f"10.0.0.{n}" for n in range(1, 20)))]


def wait_for_it(port: int) -> None:
    """Knock as soon as somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_a_worker_gives_nothing_to_what_is_no_generator_of_its_run(asked: Plan, port: int, tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as stranger:
        stranger.bind(f"tcp://127.0.0.1:{port}")
        with worker(port, tmp_path / "away") as away:
            away.expect(NOT_TAKEN.format(port))
            assert not stranger.poll(1500)
            stranger.close()
            assert Run(asked).end.requests > 50  # it goes on asking
            assert away.said.count("does not take this worker") == 1


def test_a_token_that_the_run_made_is_shown_where_workers_are_waited_for_alone(asked: Plan, port: int) -> None:
    told: list[Message] = []
    crew = Crew(joined=1, port=port, come_s=4.0, token=SHOWN)
    with pytest.raises(GeneratorError) as caught, launched(replace(asked, crew=crew)) as generator:
        told.extend(generator.messages())
    (waiting,) = told
    assert isinstance(waiting, Waiting)
    assert waiting.text.endswith(
        f"run `LOADPERF_TOKEN={SHOWN} pytest-loadperf worker --master HOST:{port}` there, with this machine's name as "
        "HOST"
    )
    assert SHOWN not in str(caught.value)  # which is kept in the record


def test_a_token_that_was_given_is_never_shown(asked: Plan, port: int) -> None:
    told: list[Message] = []
    asked = replace(asked, crew=expecting(joined=1, port=port, come_s=4.0))
    with pytest.raises(GeneratorError) as caught, launched(asked) as generator:
        told.extend(generator.messages())
    (waiting,) = told
    assert isinstance(waiting, Waiting)
    for text in (waiting.text, str(caught.value)):
        assert text.endswith(
            f"run `pytest-loadperf worker --master HOST:{port}` there, with this machine's name as HOST, and this "
            "run's LOADPERF_TOKEN"
        )
    assert TOKEN not in repr(asked)


@pytest.mark.parametrize(
    ("environment", "token"),
    [
        ({}, None),
        ({"LOADPERF_TOKEN": ""}, None),  # as CI has it where a secret is not set
        ({"LOADPERF_TOKEN": "x" * 16}, "x" * 16),
        ({"LOADPERF_TOKEN": "ein-langes-Wort-für-uns\n"}, "ein-langes-Wort-für-uns"),  # from a file
    ],
)
def test_the_token_is_the_environments(environment: dict[str, str], token: str | None) -> None:
    assert given(environment) == token


SHORT = "LOADPERF_TOKEN has 15 characters; expected 16 at least, as `openssl rand -hex 16` makes them"


def test_a_token_that_could_be_guessed_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    with pytest.raises(UsageFault, match=SHORT):
        given({"LOADPERF_TOKEN": "x" * 15})
    monkeypatch.setenv("LOADPERF_TOKEN", "x" * 15)
    project.module("test_it", f"rush = load(Shopper, {BRIEF})\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {SHORT}"])
    with worker(port, tmp_path / "away", token="x" * 15) as away:
        assert away.process.wait(timeout=10) == 1
    assert away.said == f"pytest-loadperf: {SHORT}\n"


def test_a_worker_without_a_token_ends_at_once(port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away", token="") as away:
        assert away.process.wait(timeout=10) == 1
    assert away.said == (
        "pytest-loadperf: LOADPERF_TOKEN is not set: it has to be the token of the run whose loads this worker is for\n"
    )


def test_no_process_shows_the_token_on_its_command_line(asked: Plan, port: int, tmp_path: Path) -> None:
    with worker(port, tmp_path / "away"), launched(replace(asked, crew=expecting(2, 1, port=port))) as generator:
        until_it_runs(generator)
        lines = []
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.ZombieProcess):  # another test's
                lines.append(" ".join(child.cmdline()))
    assert sum("pytest_loadperf.generator.child" in line for line in lines) == 4
    assert sum("pytest_loadperf.cli" in line for line in lines) == 1
    assert TOKEN not in "".join(lines)


def test_nothing_of_a_run_shows_the_token(
    project: Project, monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOADPERF_TOKEN", TOKEN)
    project.module(
        "test_it",
        f"""
import os

class Telling(Shopper):
    @task
    def tell(self):
        print(os.environ["LOADPERF_TOKEN"])
        with self.client.get("/anything", name=os.environ["LOADPERF_TOKEN"], catch_response=True) as answer:
            answer.failure(os.environ["LOADPERF_TOKEN"])

rush = load(Telling, {BRIEF})

@pytest.mark.loadperf("failures <= 0")
def test_it(rush): pass
""",
    )
    with worker(port, tmp_path / "away") as away:
        away.expect("waiting for a load")
        master = ("--loadperf-master", f":{port}", "--loadperf-expect-workers", "1", "--loadperf-workers", "1")
        kept = ("--loadperf-json", "run.json", "--loadperf-summary", "run.md", "--junitxml", "junit.xml")
        result = project.run(*master, *kept, "--loadperf-csv", "csv", "--loadperf-locust-report", "pages")
    result.assert_outcomes(failed=1)
    files = [file for file in project.path.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"run.json", "run.md", "junit.xml", "report.html"} <= names
    (record,) = (project.path / ".loadperf" / "runs").glob("*.json")
    assert "***" in record.read_text()
    for file in files:
        assert TOKEN.encode() not in file.read_bytes(), file
    assert TOKEN not in result.stdout.str() + result.stderr.str()


WITHOUT_CURVE = "import zmq\nzmq.has = lambda _capability: False\n"
CAN_NOT_ENCRYPT = (
    "what workers are told can't be encrypted: ZMQ was built without CURVE here. Install pyzmq from PyPI, whose wheels "
    "have it"
)


def test_a_zmq_that_can_not_encrypt_is_told(asked: Plan, port: int, tmp_path: Path) -> None:
    with Path(asked.users[0].file).open("a") as code:
        code.write(WITHOUT_CURVE)
    with pytest.raises(GeneratorError, match=CAN_NOT_ENCRYPT):
        Run(asked)
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_CURVE)  # Python imports it wherever it starts
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with worker(port, tmp_path / "away", PYTHONPATH=path) as away:
        assert away.process.wait(timeout=10) == 1
    assert f"{CAN_NOT_ENCRYPT}\n" in away.said
