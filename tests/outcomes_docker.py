"""What goes wrong with a service in Docker, while it is loaded."""

from __future__ import annotations

from docker_engine import BASE_IMAGE
from outcome_case import Case, asking, users
from projects import ANSWERING


def _service(**limits: object) -> str:
    given = "".join(f", {name}={value!r}" for name, value in limits.items())
    return (
        "from pathlib import Path\n"
        "from pytest_loadperf import docker_service\n"
        f'command = ["python", "-c", Path({str(ANSWERING)!r}).read_text(), "--host", "0.0.0.0", "--port", "8000"]\n'
        f"loadperf_service = docker_service(image={BASE_IMAGE!r}, command=command, port=8000{given})\n"
    )


def _meanwhile(name: str, code: str) -> str:
    """Users during whose load somebody else does something to the container."""
    found = "(container,) = docker.from_env().containers.list(filters={'publish': sys.argv[1]})"
    return users(f"""
        import subprocess, sys
        code = "import docker, sys, time; {found}; time.sleep(1); {code}"
        class {name}(Shopper):
            begun = False
            def on_start(self):
                begun, {name}.begun = {name}.begun, True
                if not begun: subprocess.Popen([sys.executable, "-c", code, self.host.rpartition(":")[2]])
    """)


IN_DOCKER = (
    Case(
        "restarted",
        "its container is restarted by somebody else",
        "error",
        "*the container loadperf-* was restarted while it was in use*",
        _meanwhile("Restarted", "container.restart(timeout=0)"),
        stage='Stage("rush", users=4, duration="6s")',
        service=_service(),
    ),
    Case(
        "out_of_memory",
        "its container needs more memory than its limit",
        "error",
        "*ended with exit code 137: OOMKilled, it needed more memory than its limit of 64 MiB",
        asking("eat"),
        stage='Stage("rush", users=4, duration="6s")',
        service=_service(memory="64m"),
    ),
    Case(
        "child_out_of_memory",
        "a process of its container needs more memory than there is, and the others go on",
        "inconclusive",
        "*the service ran out of memory * s after the load began; *",
        asking("child"),
        stage='Stage("rush", users=4, duration="2s")',
        service=_service(memory="64m"),
    ),
    Case(
        "paused",
        "its container is paused for two seconds of four by somebody else",
        "inconclusive",
        "*in doubt: the service was paused * s after the load began; not by this run; *",
        _meanwhile("Paused", "container.pause(); time.sleep(2); container.unpause()"),
        stage='Stage("rush", users=4, duration="4s")',
        service=_service(),
    ),
    Case(
        "throttled",
        "it needs more CPU than its limit",
        "nothing",
        "ok  {name}  p50 < 10s*",
        asking("burn/20"),
        stage='Stage("rush", users=4, duration="2s")',
        service=_service(cpus=0.2),
    ),
)
