"""What to start beside the candidate: the same service, of another image or another state of the code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.service.against import Against
from pytest_loadperf.service.spec import DockerSpec, ProcessSpec, Spec
from pytest_loadperf.service.worktree import Worktree, checked_out

_FIRST = r"(?<![\w.-])"  # no path's beginning stands inside another's, nor right after a word
_REST = r"(?:/[^\s:;,'\"]*|(?![\w.-]))"  # of a path that begins with the repository's


@contextmanager
def variant(spec: Spec, against: Against) -> Iterator[tuple[Spec, str]]:
    """The spec of the baseline and how it is called, for as long as what it stands on is there.

    Raises UsageFault for what can't be measured side by side, ServiceError for a ref that can't be had.
    """
    if isinstance(spec, DockerSpec) and against.image is not None:
        image = replace(spec, image=against.image, build=None, dockerfile=None, target=None, build_args={})
        yield image, str(against)
        return
    folder = spec.build if isinstance(spec, DockerSpec) else spec.cwd if isinstance(spec, ProcessSpec) else None
    if folder is None or against.ref is None:
        raise UsageFault(_refusal(spec, against))
    with checked_out(folder, against.ref) as tree:
        yield _at(spec, tree), f"{against} ({tree.sha[:7]})"


def _refusal(spec: Spec, against: Against) -> str:
    if isinstance(spec, DockerSpec):
        why = f"docker_service(image={spec.name!r}) is not built from the repository's code"
        advice = "Give docker_service(build=…), or another image: --loadperf-against IMAGE"
    elif isinstance(spec, ProcessSpec):
        why = f"process_service({spec.name!r}) runs no image"
        advice = "Give --loadperf-against git:REF, or docker_service(build=…)"
    else:
        why = f"{spec.name} is not started from an image or a folder that the plugin could put another one in place of"
        advice = "Only docker_service(…) and process_service(…) can be; run its tests without --loadperf-against"
    return f"--loadperf-against {against}: {why}. {advice}"


def _at(spec: Spec, tree: Worktree) -> Spec:
    """The same service, of the worktree's code."""
    if isinstance(spec, DockerSpec) and spec.build is not None:
        folder = spec.build.resolve()
        dockerfile = None if spec.dockerfile is None else _mapped(spec.dockerfile, tree)
        return replace(spec, build=tree.counterpart(folder), dockerfile=dockerfile, beside=folder)
    assert isinstance(spec, ProcessSpec)
    words = spec.command
    mapped = _mapped(words, tree) if isinstance(words, str) else [_mapped(word, tree) for word in words]
    env = {name: _mapped(value, tree) for name, value in spec.env.items()}
    if (inherited := os.environ.get("PYTHONPATH", "")) != (own := _mapped(inherited, tree)):
        env.setdefault("PYTHONPATH", own)
    # Both are up at a time, so a port that was asked for is taken.
    return replace(spec, command=mapped, cwd=tree.counterpart(spec.cwd.resolve()), env=env, port=None)


def _mapped(text: str, tree: Worktree) -> str:
    """The text with every path of the repository's code led into the worktree, wherever in a word it stands.

    What no commit has stays: the environment of this Python, and what git ignores.
    """

    prefix = Path(sys.prefix)
    own = prefix if prefix != tree.top and prefix.is_relative_to(tree.top) else None  # else it may hold the repository

    def place(match: re.Match[str]) -> str:
        path = Path(match.group())
        if (own is not None and path.is_relative_to(own)) or tree.ignores(path):
            return match.group()
        return f"{tree.path}{match.group()[len(str(tree.top)) :]}"

    return re.sub(_FIRST + re.escape(str(tree.top)) + _REST, place, text)
