"""Splits that stay: what was split before is not moved, and what is new comes to it."""

from collections import Counter
from dataclasses import replace

import pytest

from conftest import dataset_of, record
from mien.config import SplitConfig
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord
from mien.data.kept_splits import describe_kept, leave_out_joining, sides_of, sides_with_copies
from mien.data.splitting import split
from mien.errors import SettingsError

PHASH = "0" * 32


def images(num_images: int, *others: ImageRecord) -> Dataset:
    return clean(dataset_of(*(record(f"{c}/{n}.jpg") for c in ("happy", "sad") for n in range(num_images)), *others))


def split_of(dataset: Dataset) -> dict[str, str]:
    return {record.path: record.split for record in dataset.records}


def test_no_image_moves_and_new_ones_fill_up_the_shares() -> None:
    before = split(images(20))
    after = split(images(60), SplitConfig(seed=7), sides_of(before.records))
    assert split_of(before).items() <= split_of(after).items()
    assert Counter(split_of(after).values()) == {"train": 84, "val": 24, "test": 12}


def test_an_image_is_known_by_its_content_whatever_its_name() -> None:
    before = split(images(20))
    moved = images(20)
    moved = moved.with_records([replace(r, path=f"{r.label}/again-{r.path[-6:]}") for r in moved.records])
    after = split(moved, sides=sides_of(before.records))
    assert [r.split for r in after.records] == [r.split for r in before.records]


def test_a_better_copy_takes_the_place_of_the_one_that_was_used() -> None:
    before = split(images(20, record("sad/small.jpg", phash=PHASH)))
    both = images(20, record("sad/small.jpg", phash=PHASH), record("sad/large.jpg", phash=PHASH, width=3000))
    after = split_of(split(both, sides=sides_of(before.records)))
    assert after["sad/large.jpg"] == split_of(before)["sad/small.jpg"] and after["sad/small.jpg"] == ""


def test_new_images_of_a_group_come_to_its_others() -> None:
    patients = [record(f"sad/p{number}-0.jpg", subject=f"p{number}") for number in range(15)]
    before = split(images(20, *patients))
    more = [record(f"sad/p{number}-1.jpg", subject=f"p{number}") for number in range(15)]
    after = split_of(split(images(20, *patients, *more), sides=sides_of(before.records)))
    assert all(after[f"sad/p{number}-1.jpg"] == after[f"sad/p{number}-0.jpg"] for number in range(15))


def test_a_new_image_that_joins_two_sides_is_left_out_with_the_reason() -> None:
    sides = [record("sad/one.jpg", subject="one"), record("sad/two.jpg", phash=PHASH)]
    placed = [replace(sides[0], split="train"), replace(sides[1], split="test")]
    joining = record("sad/both.jpg", subject="one", phash=PHASH, width=3000)
    dataset = clean(leave_out_joining(images(20, *sides, joining), sides_of(placed), placed))
    found = {r.path: r for r in dataset.records}["sad/both.jpg"]
    assert not found.used
    assert [(problem.code, problem.detail) for problem in found.problems] == [
        ("joins_splits", "related to sad/one.jpg (train) and sad/two.jpg (test)")
    ]
    after = split_of(split(dataset, sides=sides_of(placed)))
    assert [after[f"sad/{name}.jpg"] for name in ("one", "two", "both")] == ["train", "test", ""]


def test_only_the_image_that_joins_is_left_out_and_not_its_neighbours() -> None:
    placed = [
        record(f"sad/{name}.jpg", subject=name, split=split) for name, split in (("one", "train"), ("two", "test"))
    ]
    # The very file of the first, under a name of the second.
    bridge = replace(record("sad/bridge.jpg", subject="two"), sha256=placed[0].sha256, phash=placed[0].phash)
    more = [record("sad/one-more.jpg", subject="one"), record("sad/two-more.jpg", subject="two")]
    before = [replace(r, split="") for r in placed]
    found = clean(leave_out_joining(images(20, *before, bridge, *more), sides_of(placed), placed))
    after = split_of(split(found, sides=sides_of(placed)))
    assert [after[f"sad/{name}.jpg"] for name in ("one", "one-more", "two", "two-more", "bridge")] == [
        *["train"] * 2, *["test"] * 2, ""
    ]  # fmt: skip


def test_of_a_chain_of_new_images_all_are_left_out() -> None:
    placed = [
        record(f"sad/{name}.jpg", subject=name, split=split) for name, split in (("one", "train"), ("two", "test"))
    ]
    chain = [record("sad/a.jpg", subject="one", phash=PHASH), record("sad/b.jpg", subject="two", phash=PHASH)]
    before = [replace(r, split="") for r in placed]
    found = clean(leave_out_joining(images(20, *before, *chain), sides_of(placed), placed))
    after = split_of(split(found, sides=sides_of(placed)))
    assert [after[f"sad/{name}.jpg"] for name in ("one", "two", "a", "b")] == ["train", "test", "", ""]


def test_a_copy_stands_where_the_image_stood_that_has_gone() -> None:
    before = split(images(20, record("sad/old.jpg", phash=PHASH)))
    now = images(20, record("sad/saved-again.jpg", phash=PHASH, width=3000))
    sides = sides_with_copies(now, before.records, near_bits=16)
    after = split(now, SplitConfig(seed=5), sides)
    assert split_of(after)["sad/saved-again.jpg"] == split_of(before)["sad/old.jpg"]
    assert describe_kept(after, before.records, sides) == (
        "40 of its 41 images keep their split; gone: 1; copies that follow their original: 1"
    )


def test_the_split_of_other_images_is_not_kept() -> None:
    others = images(0, *(record(f"{c}/other-{n}.jpg") for c in ("happy", "sad") for n in range(20)))
    with pytest.raises(SettingsError, match="contains no image of the split to keep"):
        sides_with_copies(images(20), split(others).records, near_bits=16)


def test_what_belongs_together_now_and_was_apart_is_refused() -> None:
    apart = [record("sad/one.jpg", split="train"), record("sad/two.jpg", split="val")]
    together = images(20, *(replace(r, subject="one", split="") for r in apart))
    with pytest.raises(
        SettingsError, match=r"'sad/one.jpg' and 'sad/two.jpg' are related.*one in train and the other in val"
    ):
        split(together, sides=sides_of(apart))
