"""The fan-out as a local process, with the upstreams of compose.yml as its children; conftest.py starts it."""

import os
import subprocess
import sys

UPSTREAMS = ({"DELAY_MS": "20"}, {"DELAY_MS": "200"}, {"DELAY_MS": "10", "FAILURES": "0.5"})


def started(env: dict[str, str]) -> str:
    """The address of a new upstream, which ends with this process's group."""
    env = {**os.environ, **env, "PORT": "0"}  # any that is free: it says which
    upstream = subprocess.Popen([sys.executable, "upstream.py"], env=env, stdout=subprocess.PIPE)
    assert upstream.stdout is not None
    return f"http://127.0.0.1:{int(upstream.stdout.readline())}"


if __name__ == "__main__":
    os.environ["UPSTREAMS"] = ",".join(started(env) for env in UPSTREAMS)
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "fanout:create_app", "--no-access-log", *sys.argv[1:]]
    os.execv(sys.executable, uvicorn)
