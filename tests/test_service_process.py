"""A service as a process of this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from owning import TELLING
from service_asking import failure, owner_of, soon, told

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.process import ProcessService
from pytest_loadperf.service.running import RunningService, asleep
from pytest_loadperf.service.spec import ProcessSpec

COMMAND = [sys.executable, str(TELLING), "{port}"]


def spec(*words: str, **fields: object) -> ProcessSpec:
    return ProcessSpec(**{"command": [*COMMAND, *words], "cwd": TELLING.parent, **fields})  # type: ignore[arg-type]


def python(code: str, **fields: object) -> ProcessSpec:
    return spec(command=[sys.executable, "-c", code], **fields)


def checked(service: RunningService) -> None:
    """Check until it raises."""
    for _ in range(100):
        service.check()
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; a machine whose first process buries nobody keeps the dead listed."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_serves_on_a_free_port_that_command_and_environment_name(tmp_path: Path) -> None:
    with start(spec("{port}/x", cwd=tmp_path, env={"COLOUR": "green"}), say=print) as service:
        port = service.url.rpartition(":")[2]
        said = told(service.url)

    assert service.urls == (f"http://127.0.0.1:{port}",)
    assert said["argv"] == [port, f"{port}/x"]
    assert said["env"]["PORT"] == port
    assert said["env"]["COLOUR"] == "green"
    assert said["env"]["HOME"] == os.environ["HOME"]
    assert said["cwd"] == str(tmp_path)


def test_a_command_may_be_one_string_and_finds_the_python_that_runs_pytest(tmp_path: Path) -> None:
    with start(spec(command=f"python '{TELLING}' {{port}}", env={"PYTHONSAFEPATH": "1"}), say=print) as service:
        running = psutil.Process(service.pid) if isinstance(service, ProcessService) else None

        assert running is not None
        assert Path(running.cmdline()[0]).name == "python"
        assert told(service.url)["env"]["PATH"].startswith(str(Path(sys.executable).parent))
    assert service.record.name == f"python '{TELLING}' {{port}}"


def test_the_record_says_what_ran_and_how_soon_it_was_ready() -> None:
    with start(spec(), say=print) as service:
        record = service.record

    assert (record.kind, record.backend, record.digest, record.limits) == ("process", "process", None, {})
    assert record.name.endswith("telling.py '{port}'")
    assert record.started_in_s is not None
    assert 0.01 < record.started_in_s < 5


def test_the_whole_tree_is_gone_at_the_end() -> None:
    with start(spec("family"), say=print) as service:
        assert isinstance(service, ProcessService)
        pids = [service.pid, *told(service.url)["pids"]]
        assert not any(gone(pid) for pid in pids)

    survivors = [pid for pid in pids if not gone(pid)]
    assert survivors == []


def test_a_service_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    with start(spec("deaf"), say=print) as service:
        assert isinstance(service, ProcessService)
        began = time.monotonic()

    assert gone(service.pid)
    assert 4.5 < time.monotonic() - began < 7


def test_a_killed_pytest_leaves_nothing_running() -> None:
    with owner_of("process") as (owner, url):
        pids = told(url)["pids"]
        pids += [child.pid for child in psutil.Process(owner.pid).children(recursive=True)]
        owner.send_signal(signal.SIGKILL)
        owner.wait()

        assert soon(lambda: all(gone(pid) for pid in pids))
    assert len(pids) >= 4  # the two strays, the keeper, the command


def test_a_killed_keeper_leaves_nothing_running() -> None:
    with start(spec("burn"), say=print) as service:
        assert isinstance(service, ProcessService)
        service.keeper.kill()
        service.keeper.wait()
        assert not gone(service.pid)
        with pytest.raises(ServiceError, match="ended with its keeper, killed by SIGKILL"):
            service.check()

    assert gone(service.pid)


def test_one_that_is_paused_uses_no_cpu_until_it_is_resumed() -> None:
    with start(spec("burn"), say=print) as service:
        assert isinstance(service, ProcessService)
        burner = psutil.Process(service.pid)
        service.pause()
        assert soon(lambda: burner.status() == psutil.STATUS_STOPPED)
        before = sum(burner.cpu_times()[:2])
        service.check()
        time.sleep(0.3)
        assert sum(burner.cpu_times()[:2]) == before
        service.resume()
        service.resume()  # is harmless
        assert told(service.url)
        assert soon(lambda: sum(burner.cpu_times()[:2]) > before)


def test_one_that_is_restarted_is_another_process_and_nothing_of_the_first_stays() -> None:
    with start(spec("family"), say=print) as service:
        assert isinstance(service, ProcessService)
        first, record = [service.pid, *told(service.url)["pids"]], service.record
        service.restart()
        second = [service.pid, *told(service.url)["pids"]]

        assert all(gone(pid) for pid in first)
        assert not any(gone(pid) for pid in second)
        service.check()
        assert service.record == record
        assert service.log_tail().count("telling") > 1
    assert all(gone(pid) for pid in second)


def test_one_that_does_not_start_again_is_reported_with_its_log(tmp_path: Path) -> None:
    once = "[ -e began ] && echo no second time && exit 3; touch began; exec python -m http.server $PORT"
    with start(spec(command=["sh", "-c", once], cwd=tmp_path), say=print) as service:
        with pytest.raises(ServiceError, match="ended with exit code 3") as caught:
            service.restart()
        assert "no second time" in "".join(caught.value.__notes__)


def test_one_that_sleeps_breathes_often_enough_for_its_own_watchdog() -> None:
    watchdog = (
        "import sys, threading, time, http.server as h\n"
        "def watch():\n"
        "    last = time.monotonic()\n"
        "    while time.monotonic() - last < 1: last = time.monotonic(); time.sleep(0.01)\n"
        "    import os; print('unheard of'); os._exit(7)\n"
        "threading.Thread(target=watch).start()\n"
        "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    with start(spec(command=[sys.executable, "-c", watchdog, "{port}"]), say=print) as service:
        with asleep(service, every_s=0.3):
            assert isinstance(service, ProcessService)
            pid = service.pid
            assert soon(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            time.sleep(2.5)
        time.sleep(0.3)
        service.check()
        with asleep(service):
            time.sleep(1.5)
        with pytest.raises(ServiceError, match="ended with exit code 7"):
            checked(service)


def test_one_that_dies_asleep_is_told_when_it_is_to_wake() -> None:
    with start(spec(), say=print) as service:
        assert isinstance(service, ProcessService)
        sleep = asleep(service, every_s=0.1)
        sleep.__enter__()
        os.kill(service.pid, signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(ServiceError, match="ended with exit code 137"):
            sleep.__exit__(None, None, None)


def test_one_that_is_paused_still_ends_gracefully(tmp_path: Path) -> None:
    trap = "trap 'echo bye > said; exit' TERM; python -m http.server --bind 127.0.0.1 $PORT & wait"
    with start(spec(command=["sh", "-c", trap], cwd=tmp_path), say=print) as service:
        service.pause()
        began = time.monotonic()

    assert (tmp_path / "said").read_text() == "bye\n"
    assert time.monotonic() - began < 4  # the keeper kills after 5 s


def test_a_dead_one_can_not_be_paused() -> None:
    with start(spec(), say=print) as service:
        assert isinstance(service, ProcessService)
        os.kill(service.pid, signal.SIGKILL)
        with pytest.raises(ServiceError, match=r"ended with exit code 137 \(SIGKILL\)"):
            checked(service)
        with pytest.raises(ServiceError, match=r"ended with exit code 137 \(SIGKILL\)"):
            service.pause()


def test_a_killed_pytest_leaves_nothing_running_of_one_that_is_paused() -> None:
    with owner_of("process", "paused") as (owner, _):
        pids = [child.pid for child in psutil.Process(owner.pid).children(recursive=True)]
        assert soon(lambda: any(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids))
        owner.send_signal(signal.SIGKILL)
        owner.wait()

        assert soon(lambda: all(gone(pid) for pid in pids))
    assert len(pids) >= 3


def test_a_fork_that_holds_the_leash_does_not_keep_the_service_alive() -> None:
    code = (
        "import os, sys, time; sys.path.insert(0, sys.argv[1]); import owning;"
        "from pytest_loadperf.service.choose import start\n"
        "with start(owning.asked('process'), say=print) as service:\n"
        "    fork = os.fork()\n"
        "    if not fork: time.sleep(60)\n"
        "    print(service.pid, fork, flush=True)\n"
        "    os._exit(0)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(TELLING.parent)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert run.stdout is not None
    with run.stdout:
        pid, fork = map(int, run.stdout.readline().split())
    run.wait()
    try:
        assert soon(lambda: gone(pid))
    finally:
        os.kill(fork, signal.SIGKILL)


def test_one_that_is_kept_outlives_pytest_and_ends_with_the_command_that_was_told() -> None:
    lines: list[str] = []
    with start(spec(), keep=True, say=lines.append) as service:
        assert isinstance(service, ProcessService)

    (line,) = lines
    assert line.startswith(f"loadperf: `{service.record.name}` stays up at {service.url}; end it with `kill ")
    assert told(service.url)
    time.sleep(0.3)  # a keeper that does not know of it would look at its leash meanwhile
    assert not gone(service.pid)
    subprocess.run(re.findall(r"`(kill \d+)`", line)[0].split(), check=True)
    assert soon(lambda: gone(service.pid))


def test_a_command_that_ends_at_once_is_reported_at_once_with_code_and_log() -> None:
    began = time.monotonic()
    text, notes = failure(python("import sys; print('no database'); sys.exit(3)", timeout="30s"))

    assert time.monotonic() - began < 5
    assert re.fullmatch(r"the process `.*` \(pid \d+\) ended with exit code 3", text)
    assert notes == "the end of its log:\nno database"


def test_a_command_that_a_signal_ends_is_reported_with_its_name() -> None:
    text, notes = failure(python("import os; os.kill(os.getpid(), 9)"))

    assert text.endswith("ended with exit code 137 (SIGKILL)")
    assert notes == "it wrote no log"


def test_a_service_that_dies_later_is_reported_by_check() -> None:
    with start(spec(), say=print) as service:
        assert isinstance(service, ProcessService)
        service.check()
        os.kill(service.pid, signal.SIGSEGV)
        with pytest.raises(ServiceError, match=r"ended with exit code 139 \(SIGSEGV\)"):
            checked(service)


def test_an_unknown_command_is_reported_in_words() -> None:
    text, _ = failure(spec(command="gunicron app:app"))

    assert text == (
        "`gunicron app:app` was not started: No such file or directory: gunicron. It was looked for beside "
        f"{sys.executable}, on PATH and, if it has a slash, from {TELLING.parent}. Install it, or correct command="
    )


def test_a_missing_folder_is_reported_in_words(tmp_path: Path) -> None:
    text, _ = failure(spec(command="serve", cwd=tmp_path / "nowhere"))

    assert text == f"`serve` was not started: its folder {tmp_path / 'nowhere'} does not exist. Correct cwd="


def test_a_taken_port_is_reported_with_its_taker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        text, _ = failure(spec(command="serve", port=port))

    assert text == (
        f"`serve` was not started: port {port} is taken by {psutil.Process().name()} (pid {os.getpid()}). End that "
        "process, give another port=, or none: a free one is found then, {port} in the command and PORT in the "
        "environment tell it"
    )


def test_a_given_port_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with start(spec(port=port), say=print) as service:
        assert service.url == f"http://127.0.0.1:{port}"
        assert told(service.url)["argv"] == [str(port)]


def test_one_that_never_gets_ready_is_reported_with_what_it_answered_and_its_log() -> None:
    text, notes = failure(spec(ready="/broken", timeout="500ms"))

    assert re.search(r"was not ready within 0\.5 s: GET http://127.0.0.1:\d+/broken got status 503", text)
    assert notes.startswith("the end of its log:\ntelling nothing\n")


def test_secrets_of_the_environment_are_in_no_text() -> None:
    env = {"SECRET": "hunter22"}
    with start(spec("hunter22", env=env), say=print) as service:
        seen = [service.record.name, service.log_tail()]
    seen += failure(python("import os; print(os.environ['SECRET']); print(undefined)", env=env))
    seen.append(repr(spec(env=env)))

    assert seen[1].startswith("telling ***")
    assert not [text for text in seen if "hunter22" in text]


def test_the_log_is_its_last_lines() -> None:
    with start(spec(), say=print) as service:
        for number in range(9):
            told(f"{service.url}/{number}")
        last = service.log_tail(2).splitlines()

    assert [line.split('"')[1] for line in last] == ["GET /7 HTTP/1.1", "GET /8 HTTP/1.1"]


def test_samples_hold_cpu_and_memory_of_the_tree_from_the_first_second_on() -> None:
    with start(spec("burn"), say=print) as service:
        assert isinstance(service, ProcessService)
        burner = psutil.Process(service.pid)
        with service.sampling(time.monotonic()) as samples:
            before = sum(burner.cpu_times()[:2])
            time.sleep(2.6)
            used_s = sum(burner.cpu_times()[:2]) - before
            ended = time.monotonic()
        assert time.monotonic() - ended < 0.2

    assert [round(sample.at_s, 1) for sample in samples] == [1.0, 2.0, 2.6]
    assert [sample.replica for sample in samples] == [0, 0, 0]
    # All of a core, or what other work on the machine leaves of one.
    assert sum(sample.cpu_percent for sample in samples[:2]) / 100 + samples[2].cpu_percent / 100 * 0.6 == (
        pytest.approx(used_s, abs=0.1)
    )
    assert all(25 < sample.cpu_percent < 115 for sample in samples)
    assert all(5e6 < sample.memory_bytes < 100e6 for sample in samples)


def test_sampling_a_service_that_died_raises_nothing() -> None:
    with start(spec(), say=print) as service:
        assert isinstance(service, ProcessService)
        os.kill(service.pid, signal.SIGKILL)
        assert soon(lambda: gone(service.pid))
        with service.sampling(time.monotonic()) as samples:
            time.sleep(0.3)

    assert samples == []
