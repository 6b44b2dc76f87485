"""JSON values: a dataclass comes back as it was, and nothing else comes in."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from mien.schema import built


@dataclass(frozen=True)
class Leaf:
    name: str
    share: float | None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    counts: dict[str, int]
    place: tuple[int, float]
    extra: dict[str, Any]
    note: str = "none"
    kind: Literal["a", "b"] = "a"


TREE = Tree((Leaf("a", 0.5), Leaf("b", None)), {"x": 1}, (1, 2.0), {"any": [1, "two"]})


def test_a_dataclass_comes_back_as_it_was() -> None:
    assert built(Tree, json.loads(json.dumps(asdict(TREE)))) == TREE


def test_a_field_with_a_default_may_be_missing() -> None:
    document = asdict(TREE) | {"leaves": [], "place": [1, 2]}
    del document["note"]
    assert built(Tree, document).note == "none"


@pytest.mark.parametrize(
    "changed",
    [
        {"leaves": 3},
        {"leaves": [{"name": "a"}]},
        {"leaves": [{"name": "a", "share": "x"}]},
        {"leaves": [{"name": 1, "share": 0.5}]},
        {"leaves": [{"name": "a", "share": True}]},
        {"leaves": [{"name": "a", "share": 0.5, "more": 1}]},
        {"counts": {"x": 1.5}},
        {"counts": []},
        {"place": [1]},
        {"place": "12"},
        {"note": None},
        {"unknown": 1},
    ],
)
def test_anything_else_is_refused(changed: dict[str, Any]) -> None:
    document = json.loads(json.dumps(asdict(TREE))) | changed
    with pytest.raises(ValueError, match=r" is .*; expected |: missing |^unknown field in .*\. Known: "):
        built(Tree, document)
    with pytest.raises(ValueError, match="Tree is"):
        built(Tree, [document])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"leaves": [{"name": "a"}]}, "leaves: missing 'share'"),
        ({"leaves": [{"name": "a", "share": "x"}]}, "share is 'x'; expected float or null"),
        ({"counts": {"x": 1.5}}, "counts is 1.5; expected int"),
        ({"place": [1]}, "place is [1]; expected tuple[int, float]"),
        ({"kind": "c"}, "kind is 'c'; expected 'a' or 'b'"),
        ({"extra": [1]}, "extra is [1]; expected a JSON object"),
        ({"height": 1}, "unknown field in the tree: 'height'. Known: counts, extra, kind, leaves, note, place"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_was_expected(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        built(Tree, asdict(TREE) | changed, name="the tree")
