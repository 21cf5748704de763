"""The users' code for workers elsewhere: which files it is, and where they find it."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.plan import Plan, Reference

_INSTALLED = {"site-packages", "dist-packages"}


def users_code(plan: Plan) -> dict[str, bytes]:
    """The source files that this process has loaded for the users, by their path.

    Installed packages are not among them: a worker has its own, and this plugin's, too.
    """
    # Its other folders are those of a prefix, such as /usr/local or a venv, in which projects may lie as well.
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file).resolve() for file in (*loaded, plan.locustfile) if file}
    installed = [Path(__file__).parents[1], *(Path(path).resolve() for path in library)]
    return {
        str(file): file.read_bytes()
        for file in sorted(files)
        if file.suffix == ".py"
        and file.is_file()
        and not _INSTALLED.intersection(file.parts)
        and not any(file.is_relative_to(folder) for folder in installed)
    }


def unpacked(plan: Plan, files: Mapping[str, bytes], folder: Path) -> Plan:
    """Write the files below the folder, in the same layout; the plan then finds them there."""

    def place(name: str) -> Path:
        return folder / Path(name).relative_to("/")

    for name, content in files.items():
        place(name).parent.mkdir(parents=True, exist_ok=True)
        place(name).write_bytes(content)
    searched = [path for path in _searched(plan) if any(Path(name).is_relative_to(path) for name in files)]
    return _moved(plan, place, searched)


def found(plan: Plan, root: str, folder: Path) -> Plan:
    """The plan for a worker that has all that is below `root` in a folder of its own."""

    def place(name: str) -> Path:
        if not Path(name).is_relative_to(root):
            raise GeneratorError(f"{name} is not below {root}, which --code {folder} stands for")
        return folder / Path(name).relative_to(root)

    return _moved(plan, place, [path for path in _searched(plan) if Path(path).is_relative_to(root)])


def _searched(plan: Plan) -> list[str]:
    return [str(Path(path).resolve()) for path in plan.sys_path if path]


def _moved(plan: Plan, place: Callable[[str], Path], searched: list[str]) -> Plan:
    def moved(reference: Reference) -> Reference:
        return replace(reference, file=str(place(reference.file)))

    return replace(
        plan,
        users=tuple(map(moved, plan.users)),
        shape=moved(plan.shape) if plan.shape else None,
        locustfile=str(place(plan.locustfile)) if plan.locustfile else None,
        sys_path=(*(str(place(path)) for path in searched), *sys.path),
    )
