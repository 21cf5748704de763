"""What a load comes to when something goes wrong: the table that the tests run and the documentation shows.

`python tests/outcomes.py` writes it to docs/outcomes.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from outcome_case import MEANING, Case, asking, users
from outcomes_docker import IN_DOCKER
from outcomes_machine import MACHINE, PORTS

DOCUMENT = Path(__file__).parents[1] / "docs" / "outcomes.md"
USER_CODE = (
    Case(
        "raises",
        "a task raises",
        "failed",
        "user code raised KeyError: 'id' (* times)",
        users("""
            class Raising(Shopper):
                @task(9)
                def wrong(self): raise KeyError("id")
        """),
    ),
    Case(
        "on_start",
        "`on_start` raises, for every user",
        "error",
        "no request was answered in the whole load of *; user code raised RuntimeError: no login (4 times).*",
        users("""
            class Refused(Shopper):
                def on_start(self): raise RuntimeError("no login")
        """),
    ),
    Case(
        "unmade",
        "a user can't be made",
        "error",
        "ValueError: no account",
        users("""
            class Unmade(Shopper):
                def __init__(self, environment): raise ValueError("no account")
        """),
    ),
    Case(
        "imports",
        "the module raises when the generator imports it",
        "error",
        "ImportError: there is no such data here",
        users("""
            import gevent.monkey
            if gevent.monkey.is_module_patched("socket"): raise ImportError("there is no such data here")
            class Unimported(Shopper): pass
        """),
    ),
    Case(
        "exits",
        "a task calls `sys.exit`",
        "error",
        "SystemExit: 3",
        users("""
            import sys
            class Exiting(Shopper):
                @task(9)
                def leave(self): sys.exit(3)
        """),
    ),
    Case(
        "dies",
        "a task ends the process",
        "error",
        "the load generator (pid *) exited with status 9 before the load ended; there is no result to judge",
        users("""
            import os
            class Dying(Shopper):
                @task(9)
                def die(self): os._exit(9)
        """),
    ),
    Case(
        "killed",
        "the process is killed, by the machine for want of memory or by a person",
        "error",
        "the load generator (pid *) was killed by SIGKILL before the load ended; there is no result to judge",
        users("""
            import os, signal
            class Killed(Shopper):
                @task(9)
                def die(self): os.kill(os.getpid(), signal.SIGKILL)
        """),
    ),
    Case(
        "quits",
        "a task stops the load",
        "failed",
        "the users' code stopped the load before its stages were over",
        users("""
            class Quitting(Shopper):
                @task
                def quit(self):
                    if self.environment.stats.total.num_requests > 20: self.environment.runner.quit()
        """),
    ),
    Case(
        "exit_code",
        "a listener sets Locust's exit code",
        "failed",
        "user code set process_exit_code to 3",
        users("""
            from locust import events
            @events.quitting.add_listener
            def end(environment, **_): environment.process_exit_code = 3
            class Judging(Shopper): pass
        """),
    ),
    Case(
        "listens",
        "a listener of `test_start` raises",
        "failed",
        "{name}  the load runs as asked  a listener or greenlet of the user's code raised; what it printed has *",
        users("""
            from locust import events
            @events.test_start.add_listener
            def prepare(**_): raise RuntimeError("test data could not be prepared")
            class Listening(Shopper): pass
        """),
    ),
    Case(
        "request_listens",
        "a listener of requests raises",
        "failed",
        "{name}  the load runs as asked  a listener or greenlet of the user's code raised; what it printed has *",
        users("""
            from locust import events
            @events.request.add_listener
            def look(**_): raise RuntimeError("this can't be looked at")
            class Watched(Shopper): pass
        """),
    ),
    Case(
        "blocks",
        "a task computes, and holds up all users",
        "inconclusive",
        "stage 'rush': the generator was the bottleneck: *",
        users("""
            import time
            class Blocking(Shopper):
                @task(9)
                def burn(self):
                    until = time.perf_counter() + 0.3
                    while time.perf_counter() < until: pass
        """),
        stage='Stage("rush", users=4, duration="3s")',
    ),
    Case(
        "ends",
        "users end by themselves",
        "inconclusive",
        "stage 'rush': none of 20 users ran for more than a moment*",
        users("""
            class Ending(Shopper):
                @task(9)
                def leave(self): self.stop()
        """),
        stage='Stage("rush", users=20, spawn_rate=20, duration="1s")',
    ),
    Case(
        "prints",
        "users print, and write to what was the standard output",
        "nothing",
        "ok  {name}  p50 < 10s*",
        users("""
            import os, sys
            class Printing(Shopper):
                @task(9)
                def say(self):
                    print("a user prints", flush=True)
                    os.write(1, bytes(range(256)))
        """),
    ),
    Case(
        "threads",
        "users start threads, which never end",
        "nothing",
        "ok  {name}  p50 < 10s*",
        users("""
            import gevent.monkey
            start_new_thread = gevent.monkey.get_original("_thread", "start_new_thread")
            sleep = gevent.monkey.get_original("time", "sleep")
            def forever():
                while True: sleep(0.01)
            class Threading(Shopper):
                def on_start(self): start_new_thread(forever, ())
        """),
    ),
    Case(
        "hub",
        "users change gevent's hub",
        "nothing",
        "ok  {name}  p50 < 10s*",
        users("""
            import gevent
            class Changing(Shopper):
                def on_start(self):
                    hub = gevent.get_hub()
                    hub.NOT_ERROR = (Exception,)
                    hub.handle_error = lambda *_: None
        """),
    ),
    Case(
        "files",
        "users close files that are not theirs",
        "error",
        "the load generator (pid *) * before the load ended; there is no result to judge",
        users("""
            import os
            class Closing(Shopper):
                @task(9)
                def close(self): os.closerange(0, 50)
        """),
    ),
    Case(
        "dns",
        "the users' host has no address",
        "counted",
        "* failed: GET search: gaierror(*",
        users("""
            class Lost(Shopper):
                host = "http://nowhere.invalid"
        """),
        more="service=None",
    ),
)

SERVICE = (
    Case(
        "errors",
        "the service answers with errors",
        "counted",
        "* failed: GET ask: LocustBadStatusCode(code=503)",
        asking("status/503"),
    ),
    Case(
        "closes",
        "the service closes connections instead of answering",
        "counted",
        "* failed: GET ask: HTTPConnectionClosed('connection closed.')",
        asking("close"),
    ),
    Case(
        "garbage",
        "the service sends what is no HTTP",
        "counted",
        "* failed: GET ask: HTTPParseError('Expected HTTP/*",
        asking("garbage"),
    ),
    Case(
        "halves",
        "the service sends half an answer",
        "counted",
        "* failed: GET ask: HTTPParseError('Incomplete response.')",
        asking("cut"),
    ),
    Case(
        "it_ends",
        "the service ends",
        "error",
        "*ended with exit code 7*",
        asking("die"),
    ),
)

TABLES = {
    "The users' code": USER_CODE,
    "The service": SERVICE,
    "The service, in Docker": IN_DOCKER,
    "The machine": (*MACHINE, *PORTS),
}
_HEAD = """# What a load comes to when something goes wrong

Each line is a test, which runs it."""


def document() -> str:
    """The table, as Markdown."""
    parts = [_HEAD]
    for title, cases in TABLES.items():
        head = ("| what happens | it comes to | and it is said |", "| --- | --- | --- |")
        rows = (f"| {case.what} | {MEANING[case.outcome]} | `{case.shown}` |" for case in cases)
        parts += [f"## {title}", "\n".join([*head, *rows])]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(f"{DOCUMENT}: {DOCUMENT.write_text(document())} characters\n")
