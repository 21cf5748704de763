"""The code as it was at a git ref, checked out in a folder of its own for as long as a run needs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.folders import own_folder
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.redact import redact

_KIND = "against"
_GITS_OWN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # set where git itself runs pytest, in a hook


@dataclass(frozen=True)
class Worktree:
    """A repository, and beside it the same at another commit."""

    top: Path  # of the repository
    path: Path  # of the other state of it
    sha: str

    def counterpart(self, path: Path) -> Path:
        """The same place in the other state; `path` is inside the repository."""
        return self.path / path.relative_to(self.top)

    def ignores(self, path: Path) -> bool:
        """Whether git leaves the path alone, so that no commit has it: a virtual environment, a build's output."""
        return _ran(self.top, "check-ignore", "--quiet", str(path)).returncode == 0


@contextmanager
def checked_out(folder: Path, ref: str) -> Iterator[Worktree]:
    """The repository of `folder` at `ref`; gone when the context ends. Raises ServiceError."""
    top = _top(folder, ref)
    sha = _commit(top, ref)
    with own_folder(_KIND) as place:
        path = place.resolve() / top.name  # a build is called after its folder
        # Hooks are for people: one that runs after a checkout may install, or fail.
        add = ("-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(path), sha)
        try:
            _git(top, f"checking out git:{ref}", "Look whether `git worktree add` works there", *add)
            yield Worktree(top, path, sha)
        finally:
            with deferred():
                unlist(place)


def _top(folder: Path, ref: str) -> Path:
    advice = f"git:{ref} is a state of the repository that the service stands in: run in one, or give an image"
    return Path(_git(folder, f"looking for the git repository of {folder}", advice, "rev-parse", "--show-toplevel"))


def _commit(top: Path, ref: str) -> str:
    done = _ran(top, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        raise ServiceError(
            f"there is no git:{ref} in {top}. Correct --loadperf-against, or fetch it: a clone in CI often has one "
            "commit only (with actions/checkout, give fetch-depth: 0)"
        )
    return done.stdout.strip()


def unlist(place: Path) -> None:
    """Have their repository forget the worktrees in this folder, if it is one for them.

    Never by `prune`, which takes others whose disk is away for gone.
    """
    for path in place.iterdir() if place.name.startswith(_KIND) else ():
        shared = _ran(path, "rev-parse", "--path-format=absolute", "--git-common-dir").stdout.strip()
        if shared:  # else git was killed before it had made one
            _ran(Path(shared), "worktree", "remove", "--force", "--force", str(path))


def _git(folder: Path, doing: str, advice: str, *words: str) -> str:
    """What git prints; ServiceError if it fails or is not there."""
    try:
        done = _ran(folder, *words)
    except OSError as error:
        raise ServiceError(
            f"{doing} failed: git can't be run: {error.strerror}. Install it, or give an image"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        cause = next((line for line in lines if line.startswith("fatal: ")), lines[-1])
        said = redact(cause.removeprefix("fatal: ").rstrip("."))
        raise ServiceError(f"{doing} failed: {said}. {advice}")
    return done.stdout.strip()


def _ran(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in _GITS_OWN}
    return subprocess.run(
        ["git", "-C", str(folder), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**env, "LC_ALL": "C"},
        start_new_session=True,  # Ctrl-C is pytest's to handle
    )
