"""Loads whose users run in two processes."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
from test_generator import plan

from pytest_loadperf.generator.launch import Generator
from pytest_loadperf.plan import Crew, Plan, Stage

TWO = Crew(local=2)
LONG = (Stage("only", users=4, duration="30s"),)


def crew(server: str, *users: str, **others: object) -> Plan:
    return replace(plan(server, *users, **others), crew=TWO)  # type: ignore[arg-type]


def in_file(server: str, file: Path, users: str, *stages: Stage) -> Plan:
    """A plan whose users stand in a file of their own."""
    head = "import os, time\nfrom locust import FastHttpUser, constant, events, task\n"
    file.write_text(head + textwrap.dedent(users))
    return replace(crew(server), locustfile=str(file), users=(), stages=stages)


def workers_of(generator: Generator) -> list[psutil.Process]:
    return [child for child in psutil.Process(generator.pid).children() if child.is_running()]
