import functools
import itertools
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from conftest import dataset_of, draw_image, encoded, record
from mien.config import CleanConfig, Keep, ScanConfig, SplitConfig
from mien.data.cleaning import clean
from mien.data.dataset import SPLITS, Dataset, ImageRecord, Problem
from mien.data.scanning import scan
from mien.data.splitting import describe_split, folds, split
from mien.errors import TooFewImagesError

SMALL = ScanConfig(image_size=(32, 32))


def distinct(num_happy: int, num_sad: int) -> Dataset:
    labels = ["happy"] * num_happy + ["sad"] * num_sad
    return dataset_of(*[record(f"{label}/{number}") for number, label in enumerate(labels)])


def counts(dataset: Dataset, label: str) -> tuple[int, ...]:
    found = Counter(r.split for r in dataset.records if r.label == label)
    return tuple(found[name] for name in SPLITS)


def members(dataset: Dataset) -> set[tuple[str, str]]:
    return {(r.sha256, r.split) for r in dataset.records}


@pytest.mark.parametrize(
    ("num_images", "expected"),
    [
        (10, (7, 2, 1)),
        (13, (9, 3, 1)),
        (30, (21, 6, 3)),
        (100, (70, 20, 10)),
        (137, (96, 27, 14)),
        (333, (233, 67, 33)),
    ],
)
def test_each_class_is_shared_out_70_20_10(num_images: int, expected: tuple[int, int, int]) -> None:
    dataset = split(distinct(num_images, 40))
    assert counts(dataset, "happy") == expected
    assert counts(dataset, "sad") == (28, 8, 4)


def test_other_shares_are_met_to_less_than_one_image() -> None:
    for val_fraction, test_fraction in ((0.1, 0.1), (0.15, 0.15), (0.25, 0.25), (1 / 3, 1 / 3), (0.05, 0.4)):
        for num_images in range(20, 60):
            found = counts(split(distinct(num_images, 20), SplitConfig(val_fraction, test_fraction)), "happy")
            shares = (1 - val_fraction - test_fraction, val_fraction, test_fraction)
            assert all(abs(n - s * num_images) < 1 for n, s in zip(found, shares, strict=True)), (found, shares)
            assert min(found) >= 1


def test_groups_are_kept_whole_and_the_shares_still_met() -> None:
    chance = random.Random(0)
    for seed in range(60):
        sizes = [chance.choice((1, 1, 1, 2, 5, 20)) for _ in range(chance.randint(10, 40))]
        copies = [record(f"sad/{g}-{n}", group=g) for g, size in enumerate(sizes) for n in range(size)]
        dataset = split(dataset_of(*copies), SplitConfig(seed=seed))
        found = counts(dataset, "sad")
        assert all(len({r.split for r in group}) == 1 for group in dataset.groups())
        assert min(found) >= 1 and sum(found) == sum(sizes)
        wanted = (0.7 * sum(sizes), 0.2 * sum(sizes), 0.1 * sum(sizes))
        assert all(abs(n - w) <= max(sizes) for n, w in zip(found, wanted, strict=True)), (found, sizes)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([50] * 2 + [1] * 100, (140, 40, 20)), ([30] * 2 + [1] * 40, (70, 20, 10)), ([1000] + [1] * 9, (1000, 6, 3))],
)
def test_large_groups_do_not_spoil_the_shares(sizes: list[int], expected: tuple[int, int, int]) -> None:
    copies = [record(f"sad/{g}-{n}", group=g) for g, size in enumerate(sizes) for n in range(size)]
    for seed in range(10):
        assert counts(split(dataset_of(*copies), SplitConfig(seed=seed)), "sad") == expected


@functools.cache
def my_bits(path: Path) -> NDArray[np.bool_]:
    """pHash and dHash of a file, written anew from their description: nothing of mien is called."""
    grey = Image.open(path).convert("L")
    small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), float)
    waves = np.empty((8, 8))
    for u, v in itertools.product(range(8), range(8)):
        down = np.cos(np.pi * u * (2 * np.arange(32) + 1) / 64)
        across = np.cos(np.pi * v * (2 * np.arange(32) + 1) / 64)
        waves[u, v] = down @ small @ across
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS), int)
    return np.concatenate([(waves > np.median(waves)).ravel(), (np.diff(steps, axis=1) > 0).ravel()])


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 14 images in each of two classes, five of them four times: recompressed, smaller, brighter."""
    folder = tmp_path_factory.mktemp("copied")
    for number, label in itertools.product(range(14), ("happy", "sad")):
        image = draw_image(100 * len(label) + number, width=160, height=120)
        files = [encoded(image, "JPEG", quality=90)]
        if number % 3 == 0:
            smaller, brighter = image.resize((96, 72)), ImageEnhance.Brightness(image).enhance(1.05)
            files += [encoded(image, "JPEG", quality=35), encoded(smaller, "PNG"), encoded(brighter, "JPEG")]
        (folder / label).mkdir(exist_ok=True)
        for copy, content in enumerate(files):
            (folder / label / f"{copy}-{number}.{'png' if copy == 2 else 'jpg'}").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def scanned(copied: Path) -> Dataset:
    return scan(copied, SMALL)


@pytest.mark.parametrize("keep", ["largest", "all"])
@pytest.mark.parametrize("seed", range(4))
def test_split_keeps_near_copies_together(scanned: Dataset, keep: Keep, seed: int) -> None:
    dataset = split(clean(scanned, CleanConfig(keep=keep)), SplitConfig(seed=seed))
    chosen = [r for r in dataset.records if r.split]
    assert len(chosen) == (58 if keep == "all" else 28)
    bits = {r.path: my_bits(scanned.root / r.path) for r in chosen}
    near = 0
    for a, b in itertools.combinations(chosen, 2):
        distance = (bits[a.path] != bits[b.path]).sum()
        near += distance <= 12
        assert a.split == b.split or distance > 16, (a.path, b.path)
    # Each of ten images has four copies, so six pairs: the test is no test unless it sees them.
    assert near == (60 if keep == "all" else 0)


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    dataset = distinct(50, 40)
    assert split(dataset) == split(dataset) == split(split(dataset, SplitConfig(seed=1)))
    others = [members(split(dataset, SplitConfig(seed=seed))) for seed in range(5)]
    assert all(a != b for a, b in itertools.combinations(others, 2))


def test_the_split_depends_on_contents_and_not_on_names_or_order() -> None:
    dataset = distinct(50, 40)
    records = [replace(r, path=f"{r.label}/{r.sha256[::-1]}.png") for r in dataset.records]
    random.Random(0).shuffle(records)
    assert members(split(dataset_of(*records))) == members(split(dataset))


@pytest.mark.slow
def test_renaming_files_moves_no_image_to_another_split(copied: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(copied.glob("*/*"), reverse=True)):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / f"renamed {number:03}{path.suffix}").write_bytes(path.read_bytes())
    for config in (CleanConfig(), CleanConfig(keep="all")):
        before, after = (split(clean(scan(folder, SMALL), config)) for folder in (copied, tmp_path))
        assert members(before) == members(after)


def test_adding_a_class_moves_no_image_of_the_others() -> None:
    more = [record(f"calm/{number}") for number in range(20)]
    dataset = distinct(50, 40)
    assert members(split(dataset)) < members(split(dataset_of(*dataset.records, *more)))


def test_what_is_not_used_is_in_no_split(copied: Path, tmp_path: Path) -> None:
    for path in copied.glob("*/*"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    again = Image.open(tmp_path / "happy" / "0-1.jpg")
    (tmp_path / "sad" / "conflict.jpg").write_bytes(encoded(again, "JPEG", quality=50))
    (tmp_path / "sad" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    dataset = split(clean(scan(tmp_path, SMALL)))
    splits = {r.path: r.split for r in dataset.records}
    assert [splits[f] for f in ("happy/0-1.jpg", "sad/conflict.jpg", "sad/broken.jpg")] == ["", "", ""]
    assert all((r.split in SPLITS) == r.used for r in dataset.records)


def unused(path: str, code: str) -> ImageRecord:
    return record(path, used=False, problems=(Problem(code, ""),))


def test_too_few_images_are_refused_with_all_classes_named() -> None:
    bad = [unused(f"sad/x{number}", "too_few_bytes") for number in range(6)] + [unused("sad/y", "unreadable")]
    calm = [record(f"calm/{number}") for number in range(10)]
    with pytest.raises(TooFewImagesError) as caught:
        split(dataset_of(*distinct(9, 2).records, *bad, *calm))
    assert str(caught.value).splitlines() == [
        "class 'happy' in moods has 9 usable images, but a 70/20/10 split needs at least 10.",
        "class 'sad' in moods has 2 usable images (7 skipped: 6 too few bytes, 1 unreadable), "
        "but a 70/20/10 split needs at least 10. Add more images. To use small files, add --min-bytes 0. "
        "Save or download the damaged files again.",
    ]


@pytest.mark.parametrize(
    ("shares", "ratio", "needed"),
    [
        ((0.2, 0.1), "70/20/10", 10),
        ((0.15, 0.15), "70/15/15", 7),
        ((0.25, 0.25), "50/25/25", 4),
        ((0.5, 0.4), "10/50/40", 10),
    ],
)
def test_a_class_needs_enough_for_one_image_in_each_split(shares: tuple[float, float], ratio: str, needed: int) -> None:
    config = SplitConfig(*shares)
    assert min(counts(split(distinct(needed, needed), config), "sad")) >= 1
    with pytest.raises(TooFewImagesError, match=f"a {re.escape(ratio)} split needs at least {needed}"):
        split(distinct(needed - 1, needed), config)


def test_a_class_of_copies_of_one_image_is_refused(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "happy").mkdir(exist_ok=True)
        (tmp_path / "sad").mkdir(exist_ok=True)
        (tmp_path / "happy" / f"{number}.jpg").write_bytes(encoded(draw_image(number), "JPEG"))
        (tmp_path / "sad" / f"{number}.jpg").write_bytes(encoded(draw_image(99), "JPEG", quality=70 + 2 * number))
    dataset = clean(scan(tmp_path, SMALL), CleanConfig(keep="all"))
    assert dataset.counts(used_only=True) == {"happy": 12, "sad": 12}
    with pytest.raises(TooFewImagesError, match=r"class 'sad' in .* has 1 distinct usable image, .* needs at least 10"):
        split(dataset)


def test_few_classes_get_a_line_each_and_many_one_for_all() -> None:
    few = split(dataset_of(*(record(f"{name}/{number}.jpg") for name in "ab" for number in range(12))))
    assert [line.split(":")[0] for line in describe_split(few)] == ["class 0, a", "class 1, b", "split"]
    names = [f"kind {number:02}" for number in range(30)]
    sizes = {name: 12 + (name == "kind 07") for name in names}
    many = split(dataset_of(*(record(f"{name}/{number}.jpg") for name in names for number in range(sizes[name]))))
    first, second = describe_split(many)
    assert first == "30 classes: 361 of 361 files used, from 12 (kind 00) to 13 (kind 07) per class"
    assert second.startswith("split: ")


def test_the_line_of_a_split_counts_groups() -> None:
    images = [
        replace(r, subject=r.path[:-6])
        for r in (record(f"{c}/{n:02}-{i}.jpg") for c in "ab" for n in range(10) for i in (0, 1))
    ]
    *_, line = describe_split(split(dataset_of(*images)))
    expected = "28 train (14 groups), 8 val (4 groups), 4 test (2 groups); copies and groups stay in one split"
    assert expected in line


def grouped(*sizes: int, labels: str = "ab") -> Dataset:
    """Return images of groups of these sizes, which are of one class after the other."""
    return dataset_of(
        *(
            record(f"{labels[number % len(labels)]}/p{number}_{image}", subject=f"p{number}")
            for number, size in enumerate(sizes)
            for image in range(size)
        )
    )


def test_a_group_stands_on_one_side_and_the_shares_are_still_met() -> None:
    dataset = split(grouped(*[8] * 40))
    sides = {r.subject: set[str]() for r in dataset.records}
    for r in dataset.records:
        sides[r.subject].add(r.split)
    assert all(len(found) == 1 for found in sides.values())
    assert [counts(dataset, name) for name in "ab"] == [(112, 32, 16)] * 2
    for part in folds(dataset, 5):
        used = [r for r in part.records if r.split]
        assert len({(r.subject, r.split) for r in used}) == len({r.subject for r in used})
        assert all(24 <= counts(part, name)[2] <= 32 for name in "ab")


def test_a_group_of_two_classes_stands_on_one_side_too() -> None:
    both = [record(f"{name}/{person}", subject=f"person {person}") for person in range(40) for name in ("happy", "sad")]
    dataset = split(dataset_of(*both))
    assert all(len({r.split for r in dataset.records if r.subject == f"person {n}"}) == 1 for n in range(40))
    assert counts(dataset, "happy") == counts(dataset, "sad") == (28, 8, 4)


def test_too_few_groups_are_refused_as_such() -> None:
    with pytest.raises(TooFewImagesError, match="class 'a' in moods has 3 groups with 60 usable images, but a"):
        split(grouped(*[20] * 6))


def test_images_that_are_added_move_few_others() -> None:
    few = [record(f"{name}/{number}") for name in ("happy", "sad") for number in range(200)]
    more = [record(f"{name}/x{number}") for name in ("happy", "sad") for number in range(20)]
    before = {r.path: r.split for r in split(dataset_of(*few)).records}
    after = {r.path: r.split for r in split(dataset_of(*few, *more)).records}
    assert sum(after[path] != side for path, side in before.items()) <= 0.06 * len(before)
