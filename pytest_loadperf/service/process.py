"""A service as a process of this machine: the embedded default where no Docker engine answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.interrupts import deferred
from pytest_loadperf.model import Sample
from pytest_loadperf.notice import Notice
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.redact import redact
from pytest_loadperf.service.log import LogFile, LogLine
from pytest_loadperf.service.running import RunningService, with_log
from pytest_loadperf.service.sampler import Reading, sampled
from pytest_loadperf.service.spec import ProcessSpec

_KEEPER = Path(__file__).with_name("keeper.py")
_END_S = 8.0  # the keeper kills after 5 s


class ProcessService(RunningService):
    """The command, its children, and the keeper that ends them with pytest."""

    def __init__(self, spec: ProcessSpec, log: IO[bytes], keepers: ExitStack) -> None:
        self.record = ServiceRecord(kind="process", name=spec.name, backend="process")
        self.secrets = spec.secrets
        self._spec = spec
        self._log = log
        self._log_file = LogFile(log)
        self._keepers = keepers
        self._start()

    def _start(self) -> None:
        if self._spec.port is not None:
            _refuse_taken(self._spec.port, self._spec.name)
        port = self._spec.port or _free_port()
        self.keeper, self.pid = self._keepers.enter_context(_kept(self._spec, port, self._log))
        self.urls = (f"http://127.0.0.1:{port}",)

    def restart(self) -> None:
        """End the command and its children, and start it again."""
        self._keepers.close()
        self._start()
        self.wait_for_answer(self._spec.ready, self._spec.timeout_s)

    def check(self) -> None:
        """Raise ServiceError when the command ended, with its exit code."""
        code = self.keeper.poll()
        if code is not None:
            text = f"the process `{self.record.name}` (pid {self.pid}) ended with {_in_words(code)}"
            raise with_log(ServiceError(text), self.log_tail())

    def log_tail(self, lines: int = 50) -> str:
        """The last lines that the command and its children wrote to their standard output and error."""
        return self._log_file.tail(lines, self.secrets)

    def look(self) -> None:
        """Note how long the log is by now."""
        self._log_file.mark()

    def log_between(self, since: float, until: float) -> dict[str, list[LogLine]]:
        """What the command and its children wrote, to the second."""
        return {"": self._log_file.between(since, until, self.secrets)}

    def pause(self) -> None:
        """Stop the command and its children, those excepted that have left its process group."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        self.check()  # else the number might be another group's by now
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def sampling(self, began: float) -> AbstractContextManager[list[Sample]]:
        """Samples of the command and its children together."""
        return sampled({0: SessionMeter(self.pid)}, began)


class SessionMeter:
    """Reads all processes of a session; one that left its parent is still in it."""

    def __init__(self, session: int) -> None:
        self._session = session

    def begin(self) -> Reading | None:
        """How things stand now; None when no process is left."""
        cpu_s, memory_bytes, found = 0.0, 0, False
        for pid in psutil.pids():
            with suppress(psutil.Error, OSError):
                if os.getsid(pid) == self._session:
                    process = psutil.Process(pid)
                    times = process.cpu_times()
                    # What children used whose end the process has seen, lest their CPU time vanish with them.
                    ended_s = times.children_user + times.children_system
                    cpu_s += times.user + times.system + ended_s
                    # Pages that workers share count for each: the true sum (USS) costs a walk through all page
                    # tables, and the service would stand still for it.
                    memory_bytes += process.memory_info().rss
                    found = True
        return Reading(time.monotonic(), cpu_s, memory_bytes) if found else None

    latest = begin


@contextmanager
def in_process(spec: ProcessSpec, *, keep: bool, say: Callable[[str], None]) -> Iterator[RunningService]:
    """The command, ready to be loaded; it is gone with all its children when the context ends."""
    if not spec.cwd.is_dir():
        raise ServiceError(f"`{spec.name}` was not started: its folder {spec.cwd} does not exist. Correct cwd=")
    started = time.monotonic()
    # The log has no name in the file system, so nothing stays of it even if pytest is killed.
    with tempfile.TemporaryFile() as log, ExitStack() as keepers:
        service = ProcessService(spec, log, keepers)
        try:
            service.wait_ready(spec.ready, spec.timeout_s, started)
            yield service
        finally:
            if keep:
                _let_live(service, say)


@contextmanager
def _kept(spec: ProcessSpec, port: int, log: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The keeper, and the command's process."""
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_KEEPER), *spec.words(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        bufsize=0,
        cwd=spec.cwd,
        env=_environment(spec, port),
        start_new_session=True,  # Ctrl-C is pytest's to handle
    )
    kept = None
    try:
        pid = _pid(spec, keeper, log)
        with suppress(psutil.NoSuchProcess):  # it has ended already, as check() is about to say
            kept = psutil.Process(pid)
        yield keeper, pid
    finally:
        with deferred():
            _end(keeper)
            if kept is not None and keeper.returncode < 0:  # it was killed, and could end nothing
                _end_session(kept)


def _end(keeper: subprocess.Popen[bytes]) -> None:
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
    try:
        keeper.wait(_END_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def _end_session(leader: psutil.Process) -> None:
    if psutil.pid_exists(leader.pid) and not leader.is_running():
        return  # its number is another's by now
    while found := [*_session(leader.pid)]:  # one may be forking this moment
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _session(number: int) -> Iterator[int]:
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) == number and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                yield pid


def _environment(spec: ProcessSpec, port: int) -> dict[str, str]:
    """Pytest's own, in which `gunicorn` and `python` are those beside the Python that runs pytest."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PORT": str(port), **spec.env}


def _pid(spec: ProcessSpec, keeper: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    """The command's process, as the keeper tells it."""
    assert keeper.stdout is not None
    what, _, rest = keeper.stdout.readline().decode(errors="replace").strip().partition(" ")
    if what == "started":
        return int(rest)
    if what == "failed":
        program = redact(spec.words(0)[0], spec.secrets)
        raise ServiceError(
            f"`{spec.name}` was not started: {rest}: {program}. It was looked for beside {sys.executable}, on PATH "
            f"and, if it has a slash, from {spec.cwd}. Install it, or correct command="
        )
    raise with_log(ServiceError(f"`{spec.name}` was not started: its keeper died"), LogFile(log).tail(50, spec.secrets))


def _let_live(service: ProcessService, say: Callable[[str], None]) -> None:
    keeper = service.keeper
    assert keeper.stdin is not None
    if keeper.poll() is not None or keeper.stdin.closed:
        return
    keeper.stdin.write(b"k")
    keeper.returncode = 0  # not ours to wait for any more
    say(Notice(f"loadperf: `{service.record.name}` stays up at {service.url}; end it with `kill {keeper.pid}`"))


def _in_words(code: int) -> str:
    """An exit code as the keeper forwards it, or, below zero, the signal that ended the keeper itself."""
    if code < 0:
        return f"its keeper, killed by {signal.Signals(-code).name}"
    if code > 128:
        with suppress(ValueError):
            return f"exit code {code} ({signal.Signals(code - 128).name})"
    return f"exit code {code}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken(port: int, name: str) -> None:
    """Raise ServiceError when someone answers on the port: readiness and load would be theirs."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return
    except OSError:
        pass  # taken too, by someone who is too busy to answer
    raise ServiceError(
        f"`{name}` was not started: port {port} is taken{_listener(port)}. "
        "End that process, give another port=, or none: a free one is found then, {port} in the command and PORT "
        "in the environment tell it"
    )


def _listener(port: int) -> str:
    """Who listens, where the system lets us see it."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
