from __future__ import annotations

from pathlib import Path

import pytest
from users import Fast, Plain, Wave

from pytest_loadperf.errors import UsageFault
from pytest_loadperf.loadspec import ask
from pytest_loadperf.plan import Crew, Stage

STAGE = Stage(users=1, duration="1s")


def said(call: object, *stages: object, **others: object) -> str:
    with pytest.raises(UsageFault) as caught:
        ask(call, stages, **others)  # type: ignore[arg-type]
    return str(caught.value)


def test_classes_are_found_again_by_file_module_and_name() -> None:
    spec = ask([Fast, Plain], [STAGE])
    assert [(Path(user.file).name, user.module, user.name) for user in spec.plan.users] == [
        ("users.py", "users", "Fast"),
        ("users.py", "users", "Plain"),
    ]
    assert spec.user_names == ("Fast", "Plain")


def test_stages_without_a_name_get_one() -> None:
    stages = ask(Fast, [STAGE, Stage("rush", users=2, duration="1s"), STAGE]).plan.stages
    assert [stage.name for stage in stages] == ["stage 1", "rush", "stage 3"]


def test_a_locustfile_stands_beside_the_caller(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text("x = 1\n")
    spec = ask("locustfile.py:Shopper", [STAGE], folder=tmp_path)
    assert spec.plan.locustfile == str(tmp_path / "locustfile.py")
    assert spec.plan.locustfile_user == "Shopper"
    assert spec.user_names == ("locustfile.py:Shopper",)


def test_a_shape_takes_the_place_of_stages() -> None:
    plan = ask(Fast, [Wave]).plan
    assert plan.shape is not None
    assert plan.shape.name == "Wave"
    assert plan.stages == ()


def test_a_scaled_plan_is_shorter_and_smaller() -> None:
    stage = Stage("rush", users=100, spawn_rate=20, duration="30s")
    (scaled,) = ask(Fast, [stage]).planned((), (), (), 0.1).stages
    assert (scaled.users, scaled.duration_s, scaled.spawn_rate) == (10, 3.0, 20)
    (least,) = ask(Fast, [stage]).planned((), (), (), 0.001).stages
    assert (least.users, least.duration_s) == (1, 1.0)


def test_workers_that_share_requests_have_a_user_each() -> None:
    spec = ask(Fast, [Stage("all", users=4, requests=100)])
    assert spec.planned((), (), (), None, Crew(4)).stages == spec.plan.stages
    with pytest.raises(UsageFault) as caught:
        spec.planned((), (), (), None, Crew(2, 3))
    assert str(caught.value) == (
        "stage 'all' shares 100 requests among 5 workers, and has 4 users; expected one for each worker at least"
    )
    (scaled,) = spec.planned((), (), (), 0.01, Crew(3)).stages
    assert (scaled.users, scaled.requests, scaled.duration_s) == (3, 3, 6.0)


def test_what_is_no_user_is_refused() -> None:
    assert said(int, STAGE) == (
        "load(): <class 'int'> is given; expected a Locust User class, a list of them, or the path of a locustfile"
    )


def test_a_class_inside_a_function_is_refused() -> None:
    class Local(Fast):
        pass

    assert said(Local, STAGE) == (
        "load(): the class test_a_class_inside_a_function_is_refused.<locals>.Local is not at module level, where "
        "the generator's process could import it; move it there"
    )


def test_a_load_without_stages_is_refused() -> None:
    assert said(Fast) == "load(): there is no stage; give at least one, such as Stage(users=10, duration='30s')"


def test_all_faults_are_said_at_once() -> None:
    same = Stage("same", users=1, duration="1s", measured=False)
    assert said(Fast, same, same, "x", trials=0).split("; ") == [
        "load(): 'x' is given",
        "expected a Stage or a LoadTestShape class",
        "a LoadTestShape stands alone: it says itself how many users there are when",
        "two stages are called 'same'",
        "thresholds could not tell them apart",
        "trials is 0",
        "expected a whole number from 1",
    ]


def test_a_load_that_measures_nothing_is_refused() -> None:
    assert "every stage is unmeasured" in said(Fast, Stage(users=1, duration="1s", measured=False))


def test_a_locustfile_that_is_missing_or_does_not_parse_is_refused(tmp_path: Path) -> None:
    assert "locustfile.py can't be read: No such file" in said("locustfile.py", STAGE, folder=tmp_path)
    (tmp_path / "locustfile.py").write_text("class X(:\n")
    text = said("locustfile.py", STAGE, folder=tmp_path)
    assert "the locustfile does not parse" in text
    assert "locustfile.py" in text
    assert "SyntaxError: invalid syntax" in text


def test_an_abort_rule_is_an_absolute_threshold_and_a_time() -> None:
    assert str(ask(Fast, [STAGE], abort="failure_rate > 50% for 5s").abort) == "failure_rate > 50% for 5s"
    assert str(ask(Fast, [STAGE], abort="p95 > 2s").abort) == "p95 > 2s for 10s"
    assert "expected an absolute threshold on requests" in said(Fast, STAGE, abort="p95 > baseline + 50%")
    assert "abort=5: expected a text, such as 'failure_rate > 50% for 10s'" in said(Fast, STAGE, abort=5)
    assert "there is no metric 'failures_rate'" in said(Fast, STAGE, abort="failures_rate > 50%")
    assert "expected a duration with its unit" in said(Fast, STAGE, abort="failure_rate > 50% for 5")


def test_a_ramp_that_takes_longer_than_its_stage_is_refused() -> None:
    assert said(Fast, Stage("rush", users=100, spawn_rate=10, duration="5s")) == (
        "load(): stage 'rush' goes from 0 to 100 users at 10 a second, which takes 10 s, but lasts 5 s; make it "
        "longer, or spawn_rate larger"
    )
    down = Stage("calm", users=2, spawn_rate=1, duration="5s")
    assert "goes from 100 to 2 users" in said(Fast, Stage("rush", users=100, duration="5s"), down)
    after_arrivals = Stage("rush", rate="200/s", duration="5s"), Stage("rest", users=100, spawn_rate=10, duration="5s")
    assert len(ask(Fast, after_arrivals).plan.stages) == 2


def test_a_staircase_is_reckoned_from_the_stage_before() -> None:
    ask(Fast, [Stage(users=90, duration="5s"), Stage(users=100, spawn_rate=5, duration="5s")])
    ask(Fast, [Stage(users=22, spawn_rate=22 / 30, duration="30s")])


def test_user_classes_of_one_name_are_refused() -> None:
    assert "two user classes are called 'Fast'" in said([Fast, Fast], STAGE)


def test_a_class_that_its_module_does_not_hold_is_refused() -> None:
    made = type("Made", (Fast,), {})
    assert said(made, STAGE) == (
        "load(): the class Made is not found under its name in the file of its module locust.user.users, where "
        "the generator's process would look for it; define it there with `class`"
    )


def test_several_classes_do_not_go_with_a_rate() -> None:
    opened = Stage("rush", rate="10/s", duration="1s")
    assert said([Fast, Plain], STAGE, opened) == (
        "load(): stages with a rate take one user class, and 2 are given (Fast, Plain): the one that answers faster "
        "would take the arrivals of the other; give one class tasks with weights instead"
    )
    assert ask([Fast], [STAGE, opened]).plan.stages[1].rate == "10/s"
