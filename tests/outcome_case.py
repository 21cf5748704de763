"""One thing that goes wrong in a load: how it is brought about, and how a run's output says what came of it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Outcome = Literal["error", "failed", "inconclusive", "counted", "nothing"]
MEANING: dict[Outcome, str] = {
    "error": "an error: there is no result to judge",
    "failed": "a failed test: it is not the load that was asked for",
    "inconclusive": "`inconclusive`: the numbers may not be the service's",
    "counted": "failed requests, which thresholds judge",
    "nothing": "nothing: the load is what was asked for",
}


@dataclass(frozen=True)
class Case:
    """Something that goes wrong, and what comes of it."""

    name: str
    what: str
    outcome: Outcome
    said: str  # a line of the output; * for what differs
    users: str = ""  # of a module that has a `Shopper`; the last class is the one that the load is of
    stage: str = 'Stage("rush", users=4, duration="700ms")'
    more: str = ""  # arguments of the load
    service: str = ""  # a service of its own

    @property
    def user(self) -> str:
        """The class that the load is of."""
        names = [line.split()[1].partition("(")[0] for line in self.users.splitlines() if line.startswith("class ")]
        return names[-1] if names else "Shopper"

    @property
    def shown(self) -> str:
        """What is said, as people write it who leave something out."""
        return self.said.replace("{name}  ", "").replace("the load runs as asked  ", "").strip("* ").replace("*", "…")

    def is_said_in(self, text: str) -> bool:
        """Whether a line of the output says it."""
        said = f"*{self.said.format(name=self.name)}*"
        return any(fnmatchcase(line, said) for line in text.splitlines())


def users(text: str) -> str:
    return textwrap.dedent(text).strip() + "\n"


def asking(path: str) -> str:
    """Users that mostly ask for this."""
    return users(f"""
        class Asking(Shopper):
            @task(9)
            def ask(self): self.client.get("/{path}", name="ask")
    """)


def module_of(case: Case) -> str:
    """A test module in which it happens."""
    return (
        f"{case.service}\n{case.users}\n"
        f"{case.name} = load({case.user}, {case.stage}, abort=None, {case.more})\n"
        '@pytest.mark.loadperf("p50 < 10s", "failure_rate < 1%")\n'
        f"def test_it({case.name}): pass\n"
    )


def outcome(text: str, case: Case) -> str:
    """What the run says that became of a case's test."""
    (word,) = set(re.findall(rf"^(PASSED|FAILED|ERROR) test_{case.name}\.py::test_it", text, re.MULTILINE))
    if word == "ERROR":
        return "error"
    verdicts = re.findall(rf"^  (\S+) +{case.name} +(the load runs|failure_rate|p50)", text, re.MULTILINE)
    if word == "FAILED":
        return "failed" if ("BROKEN", "the load runs") in verdicts else "counted"
    return "inconclusive" if ("inconclusive", "p50") in verdicts else "nothing"
