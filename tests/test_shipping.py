"""The users' code for workers elsewhere."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_loadperf.errors import GeneratorError
from pytest_loadperf.generator.shipping import found, unpacked, users_code
from pytest_loadperf.plan import Plan, Reference


def test_the_users_code_is_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "basket_to_ship.py").write_text("SIZE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("basket_to_ship")
    files = users_code(Plan(locustfile=__file__))
    monkeypatch.delitem(sys.modules, "basket_to_ship")
    assert files[str(tmp_path / "basket_to_ship.py")] == b"SIZE = 3\n"
    assert str(Path(__file__).resolve()) in files
    installed = [
        name for name in files if "site-packages" in name or "/pytest_loadperf/" in name or "lib/python" in name
    ]
    assert installed == []


def test_a_project_below_the_prefix_of_its_python_is_the_users_code(tmp_path: Path) -> None:
    """As with `python -m venv .`, or in an image below /usr/local."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    (tmp_path / "basket.py").write_text("import json\nimport installed\n")
    installed = next(tmp_path.glob("lib/python*/site-packages")) / "installed.py"
    installed.write_text("")
    code = f"""
        import sys
        sys.path.append({str(Path(users_code.__code__.co_filename).parents[2])!r})
        import basket
        from pytest_loadperf.generator.shipping import users_code
        from pytest_loadperf.plan import Plan
        print(*users_code(Plan()))
    """
    python = [str(tmp_path / "bin" / "python"), "-c", textwrap.dedent(code)]
    told = subprocess.run(python, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    assert told.stdout.split() == [str(tmp_path / "basket.py")]


def test_code_is_found_where_it_was_put(tmp_path: Path) -> None:
    reference = Reference("/home/me/tests/test_it.py", "test_it", "Shopper")
    plan = Plan(users=(reference,), sys_path=("/home/me/tests", "/usr/lib/python3", "/home/me/lib", ""))
    there = unpacked(plan, {"/home/me/tests/test_it.py": b"x = 1\n"}, tmp_path)
    assert there.users[0].file == f"{tmp_path}/home/me/tests/test_it.py"
    assert Path(there.users[0].file).read_text() == "x = 1\n"
    assert there.sys_path == (f"{tmp_path}/home/me/tests", *sys.path)
    image = found(plan, "/home/me", Path("/image"))
    assert image.users[0].file == "/image/tests/test_it.py"
    assert image.sys_path == ("/image/tests", "/image/lib", *sys.path)
    with pytest.raises(
        GeneratorError, match=r"/home/me/tests/test_it\.py is not below /srv, which --code /image stands"
    ):
        found(plan, "/srv", Path("/image"))
