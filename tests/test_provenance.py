"""What a classifier's file says of its making: it comes back whole, and damage is refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from mien.model.classifier import Provenance
from mien.schema import built

PROVENANCE = Provenance(
    made_on="2026-01-31",
    preset="fast",
    method="linear",
    settings={"min_side": 64},
    seed=42,
    split={"happy": {"train": 7, "val": 2, "test": 1}, "sad": {"train": 6, "val": 2, "test": 1}},
    split_fingerprint="abc",
    left_out={"near_duplicate": 3},
    smallest_side=100,
    versions={"python": "3.11.7"},
    limits=("Judging people.",),
)


def test_a_provenance_comes_back_whole_from_json() -> None:
    assert built(Provenance, json.loads(json.dumps(asdict(PROVENANCE)))) == PROVENANCE


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("limits"),
        lambda d: d.update(surprise=1),
        lambda d: d.update(seed="42"),
        lambda d: d.update(limits=[1]),
        lambda d: d.update(split={"happy": 3}),
        lambda d: d.update(split={"happy": {"train": "7"}}),
        lambda d: d.update(versions={"python": 3}),
        lambda d: d.update(left_out={"empty": float("nan")}),
        lambda d: d.update(settings=None),
    ],
)
def test_a_damaged_provenance_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(json.dumps(asdict(PROVENANCE)))
    change(document)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        built(Provenance, document)
