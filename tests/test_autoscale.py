"""How many replicas there should be, and what is said of that, without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import records

import pytest_loadperf
from pytest_loadperf.errors import UsageFault
from pytest_loadperf.judge.causes import likely_cause
from pytest_loadperf.judge.doubts import doubts
from pytest_loadperf.model import Sample, ServiceEvent
from pytest_loadperf.records import ServiceRecord
from pytest_loadperf.report.figures import over_time
from pytest_loadperf.service.autoscale import Autoscale, Rule, fresh_cpu
from pytest_loadperf.service.spec import DockerSpec

USUAL = Autoscale()
DOCKER: dict[str, Any] = {"image": "nginx", "port": 80}


def decisions(asked: Autoscale, *looks: tuple[int, float]) -> list[int]:
    """What is decided, look by look a second, where so many replicas use this share of their CPU."""
    rule = Rule(asked)
    return [rule.decide(float(second), [share] * there) for second, (there, share) in enumerate(looks)]


class TestRule:
    def test_there_are_more_when_more_were_wanted_for_long_enough(self) -> None:
        assert decisions(USUAL, *[(1, 0.95)] * 5) == [1, 1, 1, 2, 2]

    def test_a_moment_without_need_begins_the_time_anew(self) -> None:
        looks = [(1, 0.95), (1, 0.95), (1, 0.5), *[(1, 0.95)] * 4]
        assert decisions(USUAL, *looks) == [1, 1, 1, 1, 1, 1, 2]

    def test_there_are_as_many_as_bring_each_to_the_target(self) -> None:
        asked = Autoscale(max=20, target_cpu=0.25)
        assert decisions(asked, *[(3, 1.0)] * 4)[-1] == 12
        assert decisions(asked, *[(3, 0.5)] * 4)[-1] == 6  # and no more for a sum that is not exact

    @pytest.mark.parametrize("share", [0.68, 0.75, 0.82])
    def test_near_the_target_nothing_changes(self, share: float) -> None:
        assert decisions(USUAL, *[(4, share)] * 20) == [4] * 20

    def test_after_a_change_what_was_wanted_before_does_not_bring_another(self) -> None:
        # The new one needs a moment to take its share; what was wanted of one meanwhile were two.
        assert decisions(USUAL, *[(1, 1.0)] * 3, (1, 1.0), (2, 1.0), (2, 0.9), (2, 0.6), (2, 0.6))[3:] == [2] * 5

    def test_there_are_fewer_once_fewer_were_enough_for_long_and_only_as_few_as_were_always_enough(self) -> None:
        asked = Autoscale(down="4s")
        assert decisions(asked, *[(4, 0.1)] * 5) == [4, 4, 4, 4, 1]
        assert decisions(asked, (4, 0.1), (4, 0.1), (4, 0.5), (4, 0.1), (4, 0.1), (4, 0.1)) == [4, 4, 4, 4, 3, 3]
        assert decisions(asked, (4, 0.1), (4, 0.7), *[(4, 0.1)] * 5) == [4, 4, 4, 4, 4, 4, 1]

    def test_there_are_never_more_nor_fewer_than_was_said(self) -> None:
        asked = Autoscale(min=2, max=3, up="1s", down="1s")
        assert decisions(asked, (2, 2.0), (2, 2.0), (3, 2.0), (3, 0.0), (3, 0.0), (2, 0.0)) == [2, 3, 3, 3, 2, 2]

    def test_of_which_nothing_is_known_yet_is_taken_for_idle_or_busy_whatever_changes_less(self) -> None:
        for shares, wanted in (
            ([1.0, None], 2),
            ([1.0, 1.0, None], 3),
            ([*[1.0] * 6, None], 8),
            ([0.1, None], 2),
            ([0.1, 0.1, None], 2),
            ([None, None], 2),
        ):
            rule = Rule(Autoscale(max=9, up="1s", down="1s"))
            assert [rule.decide(0.0, shares), rule.decide(1.0, shares)][-1] == wanted, shares

    def test_it_goes_by_what_each_replica_told_of_late(self) -> None:
        samples = [Sample(1.0, 0, 10.0, 1), Sample(3.0, 1, 30.0, 1), Sample(3.4, 0, 40.0, 1), Sample(4.0, 1, 50.0, 1)]
        assert fresh_cpu(samples, [0, 1, 2], 5.0) == [40.0, 50.0, None]
        assert fresh_cpu(samples, [0, 1], 6.2) == [None, 50.0]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"min": 0}, "min is 0; expected a whole number from 1"),
        ({"max": 2.5}, "max is 2.5; expected a whole number from 1"),
        ({"min": True}, "min is True; expected a whole number from 1"),
        ({"min": 4, "max": 3}, "max is 3; expected at least min, which is 4"),
        (
            {"target_cpu": 75},
            "target_cpu is 75; expected a share of the CPU limit, more than 0 and at most 0.85: a replica at its limit "
            "could not be told from one at a higher target",
        ),
        ({"up": "3"}, "up is '3'; expected a duration with its unit, such as '30s', '1m30s' or '500ms'"),
        ({"down": "0s"}, "down is '0s'; expected more than zero"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageFault) as raised:
        pytest_loadperf.Autoscale(**given)
    assert str(raised.value) == f"Autoscale: {text}"


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(UsageFault, match=r"^Autoscale: min is 0; .*; target_cpu is 0; .*; up is ''; .*; down is 5; "):
        Autoscale(min=0, target_cpu=0, up="", down=5)  # type: ignore[arg-type]


def test_a_service_takes_it_in_place_of_replicas() -> None:
    with pytest.raises(
        UsageFault, match=r"^docker_service: replicas does not go with autoscale, which has min and max$"
    ):
        DockerSpec(**DOCKER, replicas=2, autoscale=USUAL)
    expected = r"^docker_service: autoscale is 5; expected Autoscale\(min=1, max=5, target_cpu=0\.75\), for instance$"
    with pytest.raises(UsageFault, match=expected):
        DockerSpec(**DOCKER, autoscale=5)  # type: ignore[arg-type]
    assert DockerSpec(**DOCKER, autoscale=Autoscale(min=2)).first_replicas == 2


def test_it_is_a_limit_of_the_service_as_it_was_given() -> None:
    assert DockerSpec(**DOCKER, autoscale=USUAL).limits == {"autoscale": "1 to 5 replicas at 75% CPU"}
    other = Autoscale(min=2, max=8, target_cpu=0.333, up="500ms", down="1m")
    assert str(other) == "2 to 8 replicas at 33.3% CPU, up after 0.5 s, down after 60 s"


def scaled(cpus: str | None = "0.5") -> ServiceRecord:
    limits = {"cpus": cpus} if cpus else {}
    return ServiceRecord("docker", "shop", limits={**limits, "memory": "512m", "autoscale": str(Autoscale(max=3))})


def test_a_record_tells_the_most_replicas_and_their_target() -> None:
    assert scaled().most_replicas == 3
    assert scaled().cpu_target_percent == 37.5
    assert scaled(None).cpu_target_percent == 75
    assert ServiceRecord("docker", "shop", limits={"replicas": "4"}).most_replicas == 4
    assert ServiceRecord("docker", "shop").cpu_target_percent is None


def test_scaling_is_told_in_words_and_is_no_cause_of_anything() -> None:
    event = ServiceEvent(7.0, "", "scale", "1 to 2 replicas")
    assert str(event) == "the service was scaled from 1 to 2 replicas"
    load = records.load("rush", replace(records.trial(), events=(event,)))
    assert likely_cause(load, []) == likely_cause(replace(load, trials=(replace(load.trials[0], events=()),)), [])
    assert doubts(load) == []


def charts(samples: Sequence[Sample], service: ServiceRecord) -> dict[str, str]:
    return {figure.title: figure.svg for figure in over_time(replace(records.trial(), samples=tuple(samples)), service)}


def test_the_report_draws_the_replicas_and_the_target() -> None:
    one = [Sample(float(second), 0, 45.0, 100) for second in range(1, 9)]
    two = [Sample(second + 0.1, 1, 30.0, 100) for second in (4, 5, 7)]  # none in one second, in which it was there
    drawn = charts([*one, *two], scaled())
    assert "replicas 1 to 2; over 30 s" in drawn["Replicas"]
    assert drawn["Replicas"].count("replicas 2") == 4
    assert ">target 37.5%<" in drawn["Service CPU"]
    assert ">target" not in drawn["Service memory"]
    assert "Replicas" in charts(one, scaled())
    assert "Replicas" not in charts(one, replace(scaled(), limits={}))
    assert ">target" not in charts(one, replace(scaled(), limits={}))["Service CPU"]
    assert ">target" not in charts([replace(sample, cpu_percent=1.0) for sample in one], scaled())["Service CPU"]
