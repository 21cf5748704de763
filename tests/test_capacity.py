"""The search for the highest load that holds: its steps, what it asks, and what a user sees of it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import records
from projects import Project

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.history.store import open_store
from pytest_loadperf.judge.baseline import Baseline, find
from pytest_loadperf.judge.capacity import EXACT, ROUGH, Precision, Try, came_to, highest, next_size
from pytest_loadperf.judge.thresholds import parse
from pytest_loadperf.judge.verdicts import advised, judge
from pytest_loadperf.measure.summary import summarise, with_effects
from pytest_loadperf.model import GeneratorRecord, StageRecord, Trial
from pytest_loadperf.plan import Stage
from pytest_loadperf.records import By, Capacity, LoadRecord, Step, StepStatus, Verdict
from pytest_loadperf.report.capacity import Found
from pytest_loadperf.report.figures import Figure
from pytest_loadperf.result import LoadResult
from pytest_loadperf.search import Search


def search(
    comes_to: Callable[[int], StepStatus | bool], start: int = 1, most: int | None = None, precision: Precision = EXACT
) -> list[Try]:
    """Every load that is tried, and what became of it."""
    tried: list[Try] = []
    while (size := next_size(tried, start, most, precision)) is not None:
        status = comes_to(size)
        tried.append((size, status if isinstance(status, str) else "held" if status else "broke"))
        assert len(tried) < 60
    return tried


class TestSteps:
    def test_double_then_halve_the_distance_then_look_again_at_both_ends(self) -> None:
        tried = search(lambda size: size <= 100, start=10)
        assert [size for size, _ in tried] == [10, 20, 40, 80, 160, 120, 100, 110, 105, 100, 105]
        assert highest(tried) == (100, None)

    @pytest.mark.parametrize("start", [1, 7, 64, 5000])
    @pytest.mark.parametrize("most_that_holds", [1, 2, 3, 17, 99, 1_000, 123_456])
    def test_end_within_six_percent_below_the_highest(self, start: int, most_that_holds: int) -> None:
        found, _ = highest(search(lambda size: size <= most_that_holds, start))
        assert found <= most_that_holds <= max(found + 1, found * 1.06)

    def test_of_a_rough_search_are_few(self) -> None:
        tried = search(lambda size: size <= 100, start=10, precision=ROUGH)
        assert [size for size, _ in tried] == [10, 20, 40, 80, 160, 120]
        assert highest(tried) == (80, None)

    def test_of_a_service_that_holds_nothing_end_at_one(self) -> None:
        assert search(lambda _: False, start=8) == [(size, "broke") for size in (8, 4, 2, 1, 1)]
        assert highest([(1, "broke")]) == (0, None)

    def test_end_at_the_most_that_was_asked_for(self) -> None:
        assert [size for size, _ in search(lambda _: True, start=10, most=50)] == [10, 20, 40, 50, 50]

    def test_that_disagree_are_decided_by_a_third(self) -> None:
        answers = {100: [True, False, True], 105: [False, True, False]}
        tried = search(lambda size: answers[size].pop(0) if size in answers else size <= 100, start=10)
        assert [size for size, _ in tried][-4:] == [100, 100, 105, 105]
        assert highest(tried) == (100, None)

    def test_of_which_nothing_can_be_told_end_the_search_above(self) -> None:
        tried = search(lambda size: "unclear" if size >= 40 else True, start=10)
        assert tried == [(10, "held"), (20, "held"), (40, "unclear"), (20, "held")]
        assert highest(tried) == (20, 40)
        assert search(lambda size: "unclear" if size >= 40 else True, start=100)[:3] == [
            *((100, "unclear"), (50, "unclear"), (25, "held"))
        ]
        assert search(lambda _: "unclear", start=2) == [(2, "unclear"), (1, "unclear")]

    def test_of_which_nothing_can_be_told_at_the_third_try_are_no_endless_loop(self) -> None:
        answers: list[StepStatus] = ["held", "broke", "unclear"]
        tried = search(lambda size: answers.pop(0) if size == 40 and answers else size < 40, start=20)
        assert (40, "unclear") in tried
        held, unclear = highest(tried)
        assert held < 40
        assert unclear == 40

    def test_of_which_nothing_can_be_told_do_not_matter_where_one_broke_below(self) -> None:
        answers = {20: [True, False, False]}
        tried = search(
            lambda size: answers[size].pop(0) if answers.get(size) else "unclear" if size >= 40 else size < 18, start=20
        )
        held, unclear = highest(tried)
        assert (held, unclear) == (17, None)

    def test_that_are_wrong_once_in_ten_hardly_move_what_is_found(self) -> None:
        chance = random.Random(7)
        found = []
        for _ in range(200):
            found.append(highest(search(lambda size: (size <= 100) != (chance.random() < 0.1), start=10))[0])
        assert sum(85 <= size <= 115 for size in found) >= 150


class TestAsked:
    def test_are_one_demand_or_several(self) -> None:
        made = Search.ask("p95[search] < 500ms and failure_rate < 1%", "users", 5, None, "10s")
        assert [str(demand) for demand in made.demands] == ["p95[search] < 500ms", "failure_rate < 1%"]
        assert made.words == (
            "capacity by users until p95[search] < 500ms and failure_rate < 1%, from 5 in steps of 10 s"
        )

    @pytest.mark.parametrize(
        ("given", "fault"),
        [
            ({"until": 3}, "capacity(): until is 3; expected a text such as 'p95 < 500ms and failure_rate < 1%'"),
            (
                {"until": "p95 < baseline"},
                "capacity(): until='p95 < baseline': 'p95 < baseline' can't be asked of a step; expected a fixed "
                "limit, such as 'p95 < 500ms and failure_rate < 1%'",
            ),
            ({"by": "threads"}, "capacity(): by is 'threads'; expected 'users' or 'rate'"),
            ({"start": 0}, "capacity(): start is 0; expected a whole number from 1"),
            ({"most": True}, "capacity(): most is True; expected a whole number from 1"),
            ({"most": 4, "start": 5}, "capacity(): most is 4, less than start, which is 5"),
        ],
    )
    def test_wrongly_is_said_in_words(self, given: dict[str, Any], fault: str) -> None:
        usual = {"until": "p95 < 1s", "by": "users", "start": 1, "most": None, "step": "10s"}
        with pytest.raises(UsageFault, match=f"^{re.escape(fault)}$"):
            Search.ask(**{**usual, **given})

    @pytest.mark.parametrize(
        "until", ["p95 < 500", "capacity.rps > 3/s", "p95@rush < 1s", "rush.p95 < 1s", "p95 < 1s and"]
    )
    def test_what_no_step_can_show_is_refused(self, until: str) -> None:
        with pytest.raises(UsageFault):
            Search.ask(until, "users", 1, None, "10s")

    def test_steps_have_a_ramp_that_is_not_measured(self) -> None:
        ramp, measured = Search.ask("p95 < 1s", "users", 1, None, "10s").stages(30, 2, 1.0)
        assert (ramp.users, ramp.spawn_rate, ramp.duration, ramp.measured) == (30, 20.0, "3s", False)
        assert (measured.name, measured.users, measured.duration) == ("30 users", 30, "20s")
        ramp, measured = Search.ask("p95 < 1s", "rate", 1, None, "10s").stages(30, 1, 0.01)
        assert ramp.duration == "1s"
        assert (ramp.rate, measured.name, measured.rate, measured.duration) == ("30/s", "30/s", "30/s", "1s")


def found(size: int, limited: str = "", steps: tuple[Step, ...] = ()) -> LoadRecord:
    """What a search by users came to."""
    held = records.trial([Stage("20 users", users=20, duration="10s")])
    return replace(records.load("most", held), capacity=Capacity("users", "p95 < 500ms", size, steps, limited))


def step(failing: float = 0.0, **changed: Any) -> LoadRecord:
    """A step of ten users whose requests may fail."""
    return replace(
        records.load("most", records.trial([Stage("10 users", users=10, duration="10s")], failing=failing)), **changed
    )


class TestOutcomes:
    @pytest.mark.parametrize(
        ("until", "load", "outcome"),
        [
            ("p95 < 10s", step(), ("held", "")),
            ("p95 < 1ms", step(), ("broke", "p95 < 1ms: ")),
            ("p95 < 10s", step(failing=0.5), ("broke", "% failed")),
            ("p95 < 10s and failure_rate < 90%", step(failing=0.5), ("held", "")),
            ("p95 < 10s", step(faults=("user code raised KeyError",)), ("broke", "user code raised KeyError")),
            ("p95 < 10s", step(aborted="stopped after 3 s"), ("broke", "stopped after 3 s")),
            ("p95[checkout] < 10s", step(), ("unclear", "no request to 'checkout'; endpoints: ")),
        ],
    )
    def test_tell_what_broke(self, until: str, load: LoadRecord, outcome: tuple[str, str]) -> None:
        status, why = came_to(load, Search.ask(until, "users", 1, None, "10s").demands, at_last=False)
        assert status == outcome[0]
        assert outcome[1] in why
        assert bool(why) == (status != "held")

    def test_whose_slow_requests_came_together_hold_by_what_was_seen_when_no_longer_step_is_to_come(self) -> None:
        demands = Search.ask("p95 < 100ms", "users", 1, None, "10s").demands
        for requests, at_last in ((100, "held"), (5, "unclear")):
            load = uneven(requests)
            status, why = came_to(load, demands, at_last=False)
            assert (status, why[:17]) == ("unclear", "not identifiable ")
            assert came_to(load, demands, at_last=True)[0] == at_last


def uneven(requests: int) -> LoadRecord:
    """A step of 10 s, with so many requests in each, of which some are slow in the first one."""
    stage = Stage("10 users", users=10, duration="10s")
    mixed = [500.0] * (requests * 2 // 5) + [20.0] * (requests * 3 // 5)
    windows = [
        records.window(second, 0, "GET", "/", 10, [20.0] * requests if second else mixed) for second in range(10)
    ]
    summary = with_effects(summarise(windows, 10.0), windows, 0.0)
    return records.load("most", Trial("", (StageRecord(stage, 0.0, summary),), GeneratorRecord(10 * requests)))


def judged(text: str, load: LoadRecord) -> Verdict:
    return judge(parse(text), load, Baseline(), "test_most")


class TestThresholds:
    def test_are_on_what_was_found(self) -> None:
        load = found(20)
        rps = LoadResult.of(load).rps
        assert judged("capacity.users > 19", load).status == "ok"
        assert judged("capacity.users > 20", load).status == "broken"
        assert judged(f"capacity.rps > {rps * 0.9:.0f}/s", load).status == "ok"
        assert [str(each) for each in advised(load)] == ["capacity.rps > baseline - 10%"]

    def test_of_nothing_that_held_are_broken(self) -> None:
        for text in ("capacity.rps > 10/s", "capacity.rps > baseline - 10%"):
            verdict = judged(text, found(0))
            assert (verdict.status, verdict.observed, verdict.reason) == ("broken", "0/s", "no load held")

    def test_that_a_limited_search_does_not_reach_are_left_open(self) -> None:
        load = found(20, "most=20 was reached")
        assert judged("capacity.users > 10", load).reason == "at least: most=20 was reached"
        verdict = judged("capacity.users > 30", load)
        assert (verdict.status, verdict.reason) == ("inconclusive", "at least: most=20 was reached")

    @pytest.mark.parametrize(
        ("load", "text", "reason"),
        [
            (records.load(), "capacity.rps > 1/s", "no capacity was looked for; capacity(…) makes a fixture that does"),
            (
                found(20),
                "capacity.rate > 1/s",
                "the search was by users; it knows capacity.users and capacity.rps, not capacity.rate",
            ),
        ],
    )
    def test_that_nothing_was_found_for_say_so(self, load: LoadRecord, text: str, reason: str) -> None:
        verdict = judged(text, load)
        assert (verdict.status, verdict.observed, verdict.reason) == ("broken", "no data", reason)

    def test_are_left_open_where_nothing_could_be_told(self) -> None:
        load = replace(found(0, "the generator was the bottleneck"), trials=())
        verdict = judged("capacity.rps > 1/s", load)
        assert (verdict.status, verdict.reason) == ("inconclusive", "the generator was the bottleneck")

    def test_are_not_on_what_may_be_more_than_was_found(self) -> None:
        runs = [records.run(number, [found(20, "most=20 was reached")]) for number in range(6)]
        assert not find(runs, found(20), runs[0].commit).loads
        runs = [records.run(number, [found(20)]) for number in range(6)]
        assert len(find(runs, found(20), runs[0].commit).loads) == 6

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("capacity.rps[GET /] > 1/s", "capacity.rps is of all endpoints together"),
            ("capacity.users@rush > 1", "capacity.users is of no stage: the search tries many"),
        ],
    )
    def test_know_no_endpoint_and_no_stage(self, text: str, fault: str) -> None:
        with pytest.raises(UsageFault, match=re.escape(fault)):
            parse(text)

    def test_may_name_the_load(self) -> None:
        threshold = parse("most.capacity.users > 3")
        assert (threshold.load, str(threshold.metric)) == ("most", "capacity.users")
        assert parse("capacity.p95 < 1s").load == "capacity"


def test_the_knee_is_where_most_answers_come_for_their_time() -> None:
    steps = tuple(
        Step(size, "held", rps=rps, p50_ms=p50) for size, rps, p50 in ((1, 50, 20), (4, 200, 20), (8, 200, 40))
    )
    knee = found(8, steps=steps).capacity
    assert knee is not None
    assert knee.knee == steps[1]
    assert Capacity("users", "p95 < 1s", 0, ()).knee is None


def test_the_curve_ends_where_more_load_brings_no_more_answers() -> None:
    seen = ((1, 50, 20), (4, 200, 20), (8, 390, 40), (16, 380, 90), (12, 400, 70), (32, 250, 400))
    steps = tuple(Step(size, "held", requests=9, rps=rps, p50_ms=p50, p95_ms=p50) for size, rps, p50 in seen)
    capacity = found(32, steps=steps).capacity
    assert capacity is not None
    _, latency = Found(capacity).curves
    assert latency.title == "Latency by throughput"
    assert len(p95_line(latency)) == 4  # with 1, 4, 8 and 12 users
    assert latency.svg.count("held: ") == 6  # each step has its dot


@pytest.mark.parametrize(("by", "title"), [("users", "Latency by users"), ("rate", "Latency by rate asked for")])
def test_over_the_load_the_curve_goes_through_the_middle_try_of_each(by: By, title: str) -> None:
    seen = ((1, 20), (8, 400), (4, 40), (8, 60), (8, 30))
    steps = tuple(Step(size, "held", requests=9, rps=50, p50_ms=p50, p95_ms=p50) for size, p50 in seen)
    capacity = found(8, steps=steps).capacity
    assert capacity is not None
    latency, _ = Found(replace(capacity, by=by)).curves
    assert latency.title == title
    one, four, eight = [y for _, y in p95_line(latency)]
    assert one - four == pytest.approx(four - eight, abs=0.2)  # 20, 40 and 60 ms
    assert latency.svg.count("held: ") == 5


def p95_line(figure: Figure) -> list[tuple[float, float]]:
    """Where the line goes, from left to right."""
    path = re.search(r'<path d="M([^"]+)" class="line-blue"', figure.svg)
    assert path is not None
    points = [(float(x), float(y)) for x, y in map(str.split, path[1].split("L"))]
    assert points == sorted(points)
    return points


class TestPlan:
    def test_says_what_a_target_takes_and_what_that_assumes(self) -> None:
        load = found(20)
        rps = LoadResult.of(load).rps
        plan = LoadResult.of(load).plan(f"{rps * 0.7 * 2.5 * 3600:.1f}/h")
        assert (plan.replicas, plan.cpus) == (3, 3)  # the load's service is limited to one CPU
        first, *assumptions = str(plan).split("\n- ")
        assert first == f"{plan.target} takes 3 replicas with 3 CPUs, if"
        assert assumptions == [
            "calls are like those of most, and p95 < 500ms is what is to hold",
            f"a replica answers {rps:.3g}/s, as measured with one replica at 20 users, each limited to 1 CPU",
            "70% of that is planned with: what is left is for moments with more calls than usual",
            "calls come evenly",
            "replicas share nothing that limits them (a database, a lock); measure with several to know",
        ]
        assert LoadResult.of(load).plan("1/h").replicas == 1
        busy = LoadResult.of(load).plan(f"{rps:.2f}/s", utilisation=1, peak=4)
        assert busy.replicas == 4
        assert "the busiest moment asks for 4 times the mean" in busy.assumptions

    @pytest.mark.parametrize(
        ("words", "fault"),
        [
            (("many", 0.7, 1), "plan('many'): expected calls in a time, such as '200/s', '3000/min' or '1000/h'"),
            (("1/s", 0, 1), "utilisation is 0; expected more than 0 and at most 1"),
            (("1/s", 1, 0.5), "peak is 0.5; expected 1 or more, times the mean"),
        ],
    )
    def test_wrongly_asked_for_is_refused(self, words: tuple[str, float, float], fault: str) -> None:
        target, utilisation, peak = words
        with pytest.raises(UsageFault, match=f"^{re.escape(fault)}$"):
            LoadResult.of(found(20)).plan(target, utilisation=utilisation, peak=peak)

    def test_of_nothing_that_held_is_refused(self) -> None:
        with pytest.raises(UsageFault, match=r"^no load held \(p95 < 500ms\), so nothing tells what '1/s' takes$"):
            LoadResult.of(found(0)).plan("1/s")

    def test_of_replicas_that_came_and_went_is_refused(self) -> None:
        load = found(20)
        scaled = replace(load, service=replace(load.service, limits={"autoscale": "1 to 5 replicas at 75% CPU"}))
        text = (
            r"^the capacity was measured with 1 to 5 replicas at 75% CPU, which does not tell what one replica "
            r"answers: search for it with replicas= in place of autoscale=$"
        )
        with pytest.raises(UsageFault, match=text):
            LoadResult.of(scaled).plan("1/s")

    def test_is_not_of_a_load_that_is_no_search(self) -> None:
        with pytest.raises(AttributeError, match=r"^x is no search for capacity; capacity\(…\) makes a fixture that"):
            LoadResult.of(records.load("x")).plan("1/s")


SERVICE = """
import asyncio, sys

async def main():
    free = asyncio.Semaphore(4)  # so many requests at a time, each of 20 ms: 200 a second

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\\r\\n\\r\\n"):
                async with free:
                    await asyncio.sleep(0.02)
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""
CONFTEST = """
import sys
from pytest_loadperf import process_service
loadperf_service = process_service([sys.executable, "service.py", "{port}"])
"""
TEST = """
import pytest
from locust import task
from pytest_loadperf import LeanHttpUser, capacity

class Asker(LeanHttpUser):
    @task
    def ask(self):
        self.client.get("/", name="ask")

"""


@pytest.fixture
def four_at_a_time(project: Project) -> Project:
    """A project with a service that answers four requests at a time."""
    (project.path / "service.py").write_text(SERVICE)
    (project.path / "conftest.py").write_text(CONFTEST)
    return project


def test_users_are_found_that_a_service_has_room_for(four_at_a_time: Project) -> None:
    (four_at_a_time.path / "test_it.py").write_text(
        TEST
        + """
most = capacity(Asker, until="p95 < 28ms and failure_rate < 1%", start=2, step="1s")

@pytest.mark.loadperf("capacity.users >= 4", "capacity.rps > 150/s", "capacity.rps > baseline - 30%")
def test_most(most):
    assert most.capacity.size == 4
    assert most.capacity.load == "4 users"
    assert most.capacity.knee.size in (4, 5, 6)
    assert 150 < most.rps < 210
    assert most.plan("500/s").replicas == 4
    assert {step.status for step in most.capacity.steps} == {"held", "broke"}
"""
    )
    result = four_at_a_time.run("--loadperf-json", "run.json")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"loadperf: most: 2 users held: \d+(\.\d)?/s, p95 2\d(\.\d)? ms, 0% failed",
            r"loadperf: most: 4 users held: \d+/s, p95 .* ms, 0% failed",
            r"loadperf: most: 8 users broke: \d+/s, p95 4\d.* ms, 0% failed \(p95 < 28ms: 4\d.* ms\)",
        ]
    )
    result.stdout.re_match_lines(
        [r".*most: 4 users held p95 < 28ms and failure_rate < 1%: \d+/s, p95 .* ms, 0% failed; .* broke.*"]
    )
    (load,) = open_store(".loadperf", four_at_a_time.path).records(pytest.fail)[-1].loads
    assert load.capacity is not None
    assert load.capacity.size == 4
    assert [stage.stage.name for stage in load.trials[0].stages] == ["ramp", "4 users"]
    result.stdout.re_match_lines(
        [r"  no_baseline +most  capacity\.rps > baseline - 30% .*no earlier run of this load.*"]
    )
    (told,) = json.loads((four_at_a_time.path / "run.json").read_text())["loads"]
    assert (told["capacity"]["by"], told["capacity"]["size"]) == ("users", 4)
    page = (four_at_a_time.path / ".loadperf/report.html").read_text()
    assert re.search(r"<b>Capacity:</b> (<bdi>)?4 users held p95 &lt; 28ms", page)
    drawn = re.findall(r"<b>(\w.* by (?:users|throughput))</b>", page)
    assert drawn == ["Latency by users", "Latency by throughput", "Service CPU by throughput"]


def test_a_rate_is_found_that_a_service_can_keep_up_with(four_at_a_time: Project) -> None:
    (four_at_a_time.path / "test_it.py").write_text(
        TEST
        + """
most = capacity(Asker, until="p95 < 80ms", by="rate", start=100, most=1000, step="1s")

@pytest.mark.loadperf("capacity.rate > 130/s")
def test_most(most):
    assert 130 <= most.capacity.size <= 205
    assert most.rps == pytest.approx(most.capacity.size, rel=0.05)
"""
    )
    result = four_at_a_time.run("--loadperf-no-save")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"loadperf: most: 200/s broke: .*"])


def test_a_service_that_breaks_at_one_user_has_no_capacity(four_at_a_time: Project) -> None:
    (four_at_a_time.path / "test_it.py").write_text(
        TEST
        + """
most = capacity(Asker, until="p95 < 5ms", start=2, step="1s")

@pytest.mark.loadperf("capacity.rps > 10/s")
def test_most(most): pass
"""
    )
    result = four_at_a_time.run("--loadperf-no-save")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r".*capacity\.rps > 10/s +0/s.*"])


def test_more_than_asked_for_is_not_tried_and_what_breaks_then_is_left_open(four_at_a_time: Project) -> None:
    (four_at_a_time.path / "test_it.py").write_text(
        TEST
        + """
most = capacity(Asker, until="p95 < 1s", start=2, most=3, step="1s")

@pytest.mark.loadperf("capacity.users > 5")
def test_most(most): pass
"""
    )
    result = four_at_a_time.run("--loadperf-no-save")
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"  inconclusive +most  capacity\.users > 5 +3 .*at least: most=3 was reached.*"])
    assert len([line for line in result.outlines if line.startswith("loadperf: most: 3 users held")]) == 2
    rough = four_at_a_time.run("--loadperf-scale", "0.5")
    rough.assert_outcomes(passed=1)
    assert len([line for line in rough.outlines if line.startswith("loadperf: most: 3 users held")]) == 1


def test_what_can_not_be_meant_is_a_usage_error(project: Project) -> None:
    (project.path / "test_it.py").write_text(TEST + 'most = capacity(Asker, until="p95 < 5", by="hours")\n')
    result = project.run()
    result.stderr.fnmatch_lines(
        ["*test_it.py:*: capacity(): by is 'hours'; expected 'users' or 'rate'; bad threshold: *"]
    )
    (project.path / "test_it.py").write_text(TEST + 'most = capacity(int, until="p95 < 5s")\n')
    result = project.run()
    result.stderr.fnmatch_lines(["*capacity(): <class 'int'> is given; expected a Locust User class*"])
