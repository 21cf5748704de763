from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from pytest_loadperf.codec import from_plain, to_plain


@dataclass(frozen=True)
class Leaf:
    number: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...] = ()
    counts: dict[int, int] = field(default_factory=dict)
    below: Tree | None = None
    inner: dict[str, Tree] = field(default_factory=dict)
    later: Mapping[str, Tree] = field(default_factory=dict)


TREE = Tree("root", (Leaf(1.5), Leaf(2, "b")), {7: 3}, Tree("below"), {"x": Tree("inner")}, {"y": Tree("later")})


def test_plain_data_survives_json_and_comes_back_equal() -> None:
    assert from_plain(Tree, json.loads(json.dumps(to_plain(TREE)))) == TREE


def test_defaults_are_left_out() -> None:
    assert to_plain(Tree("root")) == {"name": "root"}


def test_nan_is_null_and_comes_back_as_nan() -> None:
    plain = to_plain(Leaf(math.nan))
    assert plain == {"number": None}
    assert math.isnan(from_plain(Leaf, plain).number)


def test_unknown_keys_are_ignored() -> None:
    assert from_plain(Leaf, {"number": 1, "from_a_newer_version": True}) == Leaf(1.0)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({}, "missing 1 required positional argument: 'name'"),
        ([], "expected an object for Tree, got list"),
        ({"name": 3}, "expected str, got 3"),
        ({"name": "x", "leaves": {}}, "expected a list, got dict"),
        ({"name": "x", "leaves": [{"number": "1"}]}, "expected float, got '1'"),
        ({"name": "x", "leaves": [{"number": True}]}, "expected float, got True"),
        ({"name": "x", "leaves": [{"number": 1, "kind": "c"}]}, "expected one of ('a', 'b'), got 'c'"),
        ({"name": "x", "counts": {"y": 1}}, "invalid literal for int"),
        ({"name": "x", "counts": []}, "has no attribute 'items'"),
        ({"name": "x", "later": []}, "expected an object, got list"),
        ({"name": "x", "later": {"y": []}}, "has no attribute 'keys'"),
        ({"name": "x", "later": {"y": {"leaves": []}}}, "a part lacks name"),
    ],
)
def test_misshapen_data_is_a_value_error_that_says_what_is_wrong(plain: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^(this is not a Tree|invalid)") as caught:
        from_plain(Tree, plain)
    assert said in str(caught.value)


def test_a_mapping_is_read_when_somebody_asks_and_then_like_a_dict() -> None:
    plain = {"name": "root", "later": {"y": {"name": "later", "later": {"z": {"name": "deeper"}}}, "x": {"name": "x"}}}
    read = from_plain(Tree, plain).later
    plain["later"]["y"]["name"] = "changed since"  # type: ignore[index] # what it is of: nothing was read yet
    assert (list(read), len(read), "y" in read, "w" in read) == (["y", "x"], 2, True, False)
    assert read["y"].name == "changed since"
    plain["later"]["y"]["name"] = "changed again"  # type: ignore[index]
    assert read["y"].name == "changed since"
    assert repr(read) == repr({"y": read["y"], "x": read["x"]})
    assert to_plain(read)["y"]["later"] == {"z": {"name": "deeper"}}


@pytest.mark.parametrize("part", [{"name": 3}, {"name": "x", "leaves": [{"number": 10**400}]}])
def test_a_mapping_of_which_a_part_is_misshapen_has_none(part: object) -> None:
    read = from_plain(Tree, {"name": "root", "later": {"whole": {"name": "x"}, "damaged": part}})
    assert read.name == "root"
    assert read.later == {}
