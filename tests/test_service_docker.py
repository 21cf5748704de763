"""A service in Docker, with a real engine."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import pytest
from docker_engine import BASE_IMAGE, the_engine
from owning import TELLING
from service_asking import failure, soon, told

from pytest_loadperf.errors import ServiceError
from pytest_loadperf.service.choose import start
from pytest_loadperf.service.container import ContainerService
from pytest_loadperf.service.engine import Engine
from pytest_loadperf.service.spec import DockerSpec

pytestmark = pytest.mark.docker

IN_MEMORY = "import time; kept = []\nwhile True: kept.append(bytearray(2**20)); time.sleep(0.001)"


@pytest.fixture(autouse=True)
def engine() -> Iterator[Engine]:
    yield from the_engine()


@pytest.fixture
def said() -> list[str]:
    return []


def spec(*words: str, **fields: Any) -> DockerSpec:
    command = ["python", "-c", TELLING.read_text(), "8000", *words]
    return DockerSpec(**{"image": BASE_IMAGE, "command": command, "port": 8000, **fields})


def python(code: str, **fields: Any) -> DockerSpec:
    return spec(command=["python", "-c", code], **fields)


def of_this_process(engine: Engine) -> list[Any]:
    """The containers that this test has up."""
    found = engine.client.containers.list(all=True, filters={"label": "pytest-loadperf=1"}, ignore_removed=True)
    return [one for one in found if one.labels["pytest-loadperf.owner"].startswith(f"{os.getpid()}_")]


def test_it_serves_on_the_loopback_alone_and_is_gone_at_the_end(engine: Engine) -> None:
    with start(spec(), say=print) as service:
        (container,) = of_this_process(engine)
        (port,) = container.ports["8000/tcp"]

        assert told(service.url)["argv"] == ["8000"]
        assert port["HostIp"] == "127.0.0.1"
        assert service.urls == (f"http://127.0.0.1:{port['HostPort']}",)
        assert re.fullmatch(rf"loadperf-python-3-11-slim-bookworm-{os.getpid()}-[0-9a-f]{{6}}-1", container.name)
        assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
        assert container.attrs["HostConfig"]["Init"] is True
    assert of_this_process(engine) == []


def test_one_that_is_paused_lives_but_uses_no_cpu_and_is_gone_at_the_end(engine: Engine) -> None:
    with start(spec("burn"), say=print) as service:
        began = time.time()
        (container,) = of_this_process(engine)
        service.pause()
        container.reload()
        assert container.status == "paused"
        service.check()
        service.resume()
        service.resume()  # is harmless
        assert told(service.url)
        happened = service.events_between(began, time.time())
        assert [str(event) for event in happened] == ["the service was paused", "the service went on"]
        assert 0 < happened[0].at_s < happened[1].at_s < 5
        service.pause()
    assert of_this_process(engine) == []


def test_one_that_is_started_anew_answers_from_new_containers_and_is_sampled(engine: Engine) -> None:
    with start(spec("burn", replicas=2), say=print) as service:
        record, containers = service.record, of_this_process(engine)
        service.restart()
        service.check()
        after = of_this_process(engine)
        assert [container.name for container in after] == [container.name for container in containers]
        assert {container.id for container in after}.isdisjoint(container.id for container in containers)
        assert {told(url)["env"]["HOSTNAME"] for url in service.urls} == {container.id[:12] for container in after}
        assert service.record == record
        assert isinstance(service, ContainerService)
        assert all(
            meter.latest() for meter in service._meters.values()
        )  # lest a load that begins now lacks its first second
        with service.sampling(time.monotonic()) as samples:
            time.sleep(0.6)
    assert {sample.replica for sample in samples} == {0, 1}
    assert all(sample.at_s < 0.7 and sample.cpu_percent > 20 for sample in samples)
    assert of_this_process(engine) == []


def test_the_record_says_what_ran_and_how_soon_it_was_ready(engine: Engine) -> None:
    with start(spec(cpus=0.5, memory="128m"), say=print) as service:
        record = service.record
    image = engine.client.images.get(BASE_IMAGE)

    assert (record.kind, record.name) == ("docker", BASE_IMAGE)
    assert record.digest == (image.attrs["RepoDigests"] or [image.id])[0]
    assert record.limits == {"cpus": "0.5", "memory": "128m"}
    assert record.backend == f"docker {engine.client.version()['Version'].split('.')[0]}"
    assert record.fallback_from is None
    assert record.started_in_s is not None
    assert 0.05 < record.started_in_s < 10


def test_environment_and_a_command_in_one_string() -> None:
    with start(spec(command="python -m http.server 8000"), say=print) as service:
        assert service.url
    with start(spec("x y", env={"COLOUR": "green"}), say=print) as service:
        said = told(service.url)

    assert said["argv"] == ["8000", "x y"]
    assert said["env"]["COLOUR"] == "green"


def test_limits_are_the_containers(engine: Engine) -> None:
    with start(spec(cpus=0.5, memory="64m", cpuset="0"), say=print):
        (container,) = of_this_process(engine)
    host = container.attrs["HostConfig"]

    assert host["NanoCpus"] == 500_000_000
    assert host["Memory"] == 64 * 2**20
    assert host["CpusetCpus"] == "0"


def test_replicas_are_containers_with_an_address_each(engine: Engine) -> None:
    began = time.time()
    with start(spec(replicas=2), say=print) as service:
        hosts = {told(url)["env"]["HOSTNAME"] for url in service.urls}

        assert len(set(service.urls)) == 2
        assert hosts == {container.id[:12] for container in of_this_process(engine)}
        assert service.record.limits == {"replicas": "2"}
        assert re.findall(r"^(loadperf-.*-[12]):$", service.log_tail(), re.MULTILINE)

        logs = service.log_between(began, time.time())
        assert {name: lines[0].text for name, lines in logs.items()} == {
            "replica 1": "telling nothing",
            "replica 2": "telling nothing",
        }
        assert all(began < line.at < time.time() for lines in logs.values() for line in lines)
    assert of_this_process(engine) == []


def test_of_a_long_log_no_more_is_read_than_is_bounded() -> None:
    with start(spec(), say=print) as service:
        began = time.time()
        for _ in range(20):
            told(f"{service.url}/{'x' * 60_000}")
        time.sleep(1)  # the engine reads what was written, and stamps it, in its own time
        after = time.time()
        told(f"{service.url}/last")
        time.sleep(1)
        (whole,) = service.log_between(began, time.time()).values()
        (last,) = service.log_between(after, time.time()).values()
    assert len(whole) == 17  # of 60 kB, in a mebibyte
    assert {len(line.text) for line in whole} == {1000}
    assert [line.text.split('"')[1] for line in last] == ["GET /last HTTP/1.1"]


def test_samples_hold_cpu_and_memory_of_every_replica_from_the_first_second_on() -> None:
    with start(spec("burn", replicas=2, cpus=0.25), say=print) as service:
        with service.sampling(time.monotonic()) as samples:
            time.sleep(3)
            ended = time.monotonic()
        assert time.monotonic() - ended < 1.2

    for replica in (0, 1):
        own = [sample for sample in samples if sample.replica == replica]
        assert own[0].at_s <= 1.3
        # The engine answers once a second at its own beat, and the end waits for an answer unless one came just before.
        assert len(own) in (3, 4)
        assert 2.4 < own[-1].at_s < 3.1
        # On a busy machine it gets its quarter of a core late, or the engine answers late: for one second too much.
        assert fmean(sample.cpu_percent for sample in own) < 35
        assert max(sample.cpu_percent for sample in own) > 15
        assert all(2e6 < sample.memory_bytes < 100e6 for sample in own)


def test_a_load_of_one_second_has_its_samples_whenever_the_engine_answers() -> None:
    with start(spec("burn", cpus=0.5), say=print) as service:
        assert isinstance(service, ContainerService)
        (meter,) = service._meters.values()
        before = meter.latest()
        assert soon(lambda: meter.latest() != before)
        time.sleep(0.9)  # the next answer is so early in the load that it tells nothing, the one after comes too late
        with service.sampling(time.monotonic()) as samples:
            time.sleep(0.98)
            ended = time.monotonic()
        assert time.monotonic() - ended < 1

    (sample,) = samples
    assert sample.at_s == pytest.approx(1, abs=0.05)
    assert 20 < sample.cpu_percent < 75
    assert sample.memory_bytes > 2e6


def test_sampling_a_container_that_died_raises_nothing_and_waits_for_no_answer(engine: Engine) -> None:
    def loaded() -> None:
        with service.sampling(time.monotonic()) as samples:
            container.kill()
            time.sleep(0.6)
            assert len(samples) <= 1
            service.check()

    with start(spec(), say=print) as service:
        (container,) = of_this_process(engine)
        began = time.monotonic()
        with pytest.raises(ServiceError, match="ended with exit code 137"):
            loaded()
        assert time.monotonic() - began < 4.5  # two seconds of it are to see whether it is being restarted


def test_a_container_that_is_removed_by_others_is_reported(engine: Engine) -> None:
    with start(spec(), say=print) as service:
        (container,) = of_this_process(engine)
        container.remove(force=True)
        with pytest.raises(ServiceError, match=rf"the container {container.name} was removed while it was in use"):
            service.check()


def test_a_container_that_is_restarted_by_others_is_reported(engine: Engine) -> None:
    said = r"\) was restarted while it was in use, not by this run; look for what else uses this engine\n"
    with start(spec(), say=print) as service:
        (container,) = of_this_process(engine)
        service.check()
        container.restart(timeout=0)
        with pytest.raises(ServiceError, match=said):
            service.check()


def test_a_container_that_is_down_because_it_is_being_restarted_is_reported_so(engine: Engine) -> None:
    with start(spec(), say=print) as service:
        (container,) = of_this_process(engine)
        container.stop(timeout=0)
        starting = threading.Timer(0.5, container.start)
        starting.start()
        with pytest.raises(ServiceError, match="was restarted while it was in use"):
            service.check()
        starting.join()


def test_a_container_that_ends_at_once_is_reported_at_once_with_code_and_log(engine: Engine) -> None:
    began = time.monotonic()
    text, notes = failure(python("import sys; print('no database'); sys.exit(3)", timeout="30s"))

    assert time.monotonic() - began < 10
    assert re.fullmatch(rf"the container loadperf-\S+-1 \({BASE_IMAGE}\) ended with exit code 3", text)
    assert notes == "the end of its log:\nno database"
    assert of_this_process(engine) == []


def test_a_container_that_needs_more_memory_than_it_may_is_reported_so() -> None:
    text, _ = failure(python(IN_MEMORY, memory="32m"))

    assert text.endswith("ended with exit code 137: OOMKilled, it needed more memory than its limit of 32 MiB")


def test_one_that_never_gets_ready_is_reported_with_what_it_answered_and_its_log(engine: Engine) -> None:
    text, notes = failure(spec(ready="/broken", timeout="500ms"))

    assert re.search(r"was not ready within 0\.5 s: GET http://127.0.0.1:\d+/broken got status 503", text)
    assert notes.startswith("the end of its log:\ntelling nothing\n")
    assert of_this_process(engine) == []


def test_one_that_listens_on_its_own_loopback_is_told_why_nobody_reaches_it() -> None:
    text, _ = failure(spec(command="python -m http.server 8000 --bind 127.0.0.1", timeout="1s"))

    assert "got a connection that closed without an answer" in text
    assert text.endswith(
        "In a container the service has to listen on 0.0.0.0:8000; on 127.0.0.1 nobody outside reaches it."
    )


def test_an_interrupt_leaves_no_container(engine: Engine) -> None:
    def run() -> None:
        with start(spec(), say=print):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert of_this_process(engine) == []


def test_a_command_that_the_image_does_not_have_is_reported() -> None:
    text, notes = failure(spec(command="sorve --port 8000"))

    assert text.endswith("ended with exit code 127")
    assert "exec sorve failed: No such file or directory" in notes


def test_what_the_engine_refuses_is_said_in_its_words(engine: Engine) -> None:
    text, _ = failure(spec(cpuset="999"))

    assert re.match(rf"starting {BASE_IMAGE} failed: Requested CPUs are not available", text)
    assert of_this_process(engine) == []


def test_a_kept_service_stays_up_and_the_command_that_removes_it_is_said(engine: Engine, said: list[str]) -> None:
    with start(spec(), keep=True, say=said.append) as service:
        (container,) = of_this_process(engine)
    try:
        assert told(service.url)
        assert said == [f"loadperf: {container.name[:-2]} stays up; remove it with `docker rm -f -v {container.name}`"]
        assert container.labels["pytest-loadperf.keep"] == "1"
    finally:
        container.remove(force=True)


def test_secrets_of_the_environment_are_in_no_text() -> None:
    env = {"SECRET": "hunter22"}
    with start(spec("hunter22", env=env), say=print) as service:
        seen = [repr(service.record), service.log_tail()]
    seen += failure(python("import os; print(os.environ['SECRET']); print(undefined)", env=env))
    seen += failure(spec(command="hunter22", env=env))

    assert seen[1].startswith("telling ***")
    assert not [text for text in seen if "hunter22" in text]
