from __future__ import annotations

import subprocess
import sys
import textwrap


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_locust_is_imported_without_patching_and_the_environment_is_as_before() -> None:
    said = run("""
        import os, socket, threading
        before = socket.socket
        from pytest_loadperf import unpatched
        unpatched.install()
        from locust.contrib.fasthttp import FastHttpUser
        import gevent.monkey
        patched = gevent.monkey.is_module_patched("threading")
        print(socket.socket is before, patched, "LOCUST_SKIP_MONKEY_PATCH" in os.environ)
    """)
    assert said == "True False False"


def test_a_switch_that_the_user_set_stays() -> None:
    said = run("""
        import os
        os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "mine"
        from pytest_loadperf import unpatched
        unpatched.install()
        import locust
        print(os.environ["LOCUST_SKIP_MONKEY_PATCH"])
    """)
    assert said == "mine"


def test_removing_it_gives_back_the_ordinary_import() -> None:
    said = run("""
        from pytest_loadperf import unpatched
        import sys
        before = list(sys.meta_path)
        outer, inner = unpatched.install(), unpatched.install()
        inner()
        outer()
        outer()
        import locust, gevent.monkey
        print(sys.meta_path[:len(before)] == before, gevent.monkey.is_module_patched("socket"))
    """)
    assert said == "True True"
