"""Sentences of five topics, from topics.toml: four of five to learn from, the others to ask about."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path

SOURCE = Path(__file__).with_name("topics.toml")


def sentences(*, learnt: bool) -> list[tuple[str, str]]:
    """Each sentence with its topic; only those that the model learns from, or only the others."""
    topics = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    return [
        (f"{subject} {predicate}".capitalize() + ".", topic)
        for topic, said in topics.items()
        for index, (subject, predicate) in enumerate(product(said["subjects"], said["predicates"]))
        if (index % 5 > 0) is learnt
    ]
