"""Given splits: a test that comes with the data stays the test; what is missing is drawn; copies leave the training."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import dataset_of, draw_image, record, save_image
from mien.config import CleanConfig, Keep, LabelConfig, ScanConfig, SplitConfig
from mien.data.cleaning import clean
from mien.data.dataset import Dataset
from mien.data.kept_splits import describe_given
from mien.data.scanning import scan
from mien.data.splitting import describe_split, folds, split
from mien.data.subjects import with_subjects
from mien.errors import SettingsError, TooFewImagesError

SMALL = ScanConfig(image_size=(32, 32), faces="off")


def given(**counts: int) -> Dataset:
    """So many images of each of two classes in each split."""
    records = [
        replace(record(f"{part}/{label}/{number}.jpg"), label=label, given=part)
        for part, count in counts.items()
        for label in ("happy", "sad")
        for number in range(count)
    ]
    return replace(dataset_of(*records), class_names=("happy", "sad"))


def where(dataset: Dataset) -> set[tuple[str, str]]:
    return {(r.given, r.split) for r in dataset.records if r.used}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"train": 20, "val": 3, "test": 5}, {("train", "train"), ("val", "val"), ("test", "test")}),
        ({"train": 20, "test": 5}, {("train", "train"), ("train", "val"), ("test", "test")}),
        ({"train": 20, "val": 5}, {("train", "train"), ("train", "test"), ("val", "val")}),
    ],
)
def test_given_splits_stay_and_the_missing_one_is_drawn(parts: dict[str, int], expected: set[tuple[str, str]]) -> None:
    dataset = split(given(**parts))
    assert where(dataset) == expected
    assert "as given" in describe_split(dataset)[-1]
    assert where(split(given(**parts), SplitConfig(split="new"))) > {("test" if "test" in parts else "val", "train")}


def test_what_is_drawn_is_the_share_of_the_whole() -> None:
    counts = {name: len(split(given(train=90, test=10)).indexes(name)) for name in ("train", "val", "test")}
    # Of the 90% that are no test, 20 of 70 + 20 parts.
    assert counts == {"train": 140, "val": 40, "test": 20}


def test_no_fold_holds_a_given_test_image() -> None:
    dataset = split(given(train=20, test=5))
    tested = {dataset.records[place].path for place in dataset.indexes("test")}
    for part in folds(dataset, 4):
        assert not tested & {r.path for r in part.records if r.split}


def test_copies_of_test_images_leave_the_training(tmp_path: Path) -> None:
    for seed in range(24):
        save_image(tmp_path / f"train/{'happy' if seed % 2 else 'sad'}/{seed}.jpg", draw_image(seed))
    for seed in (0, 1, 30, 31):
        save_image(tmp_path / f"test/{'happy' if seed % 2 else 'sad'}/t{seed}.png", draw_image(seed))
    scanned = scan(tmp_path, SMALL)
    keeps: tuple[Keep, ...] = ("largest", "first", "all")
    for keep in keeps:
        dataset = split(clean(scanned, CleanConfig(keep=keep)))
        assert {r.path for r in dataset.records if r.split == "test"} == {
            *("test/happy/t1.png", "test/happy/t31.png", "test/sad/t0.png", "test/sad/t30.png")
        }
        (told,) = describe_given(dataset)
        assert "2 images" in told and "train/happy/1.jpg" in told and "test/happy/t1.png" in told


def test_images_of_a_group_in_the_test_leave_the_training() -> None:
    dataset = given(train=12, test=2)
    records = [
        replace(r, subject="p0" if r.path in ("train/happy/0.jpg", "test/happy/0.jpg") else r.path)
        for r in dataset.records
    ]
    found = split(dataset.with_records(records))
    (left_out,) = [r for r in found.records if not r.used]
    assert left_out.path == "train/happy/0.jpg" and "test/happy/0.jpg (test)" in left_out.problems[-1].detail


def test_too_few_to_train_on_is_said_with_what_to_do() -> None:
    with pytest.raises(TooFewImagesError, match=r"'happy' has 1.*--split new"):
        split(given(train=1, test=20, val=3))


def test_groups_are_those_of_a_column_or_of_the_folders_below_the_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(4):
            save_image(tmp_path / part / "happy" / f"{part}{number // 2}" / f"{number}.png", draw_image(number))
            save_image(tmp_path / part / "sad" / f"{part}{number // 2 + 2}" / f"{number}.png", draw_image(50 + number))
    dataset = with_subjects(scan(tmp_path, SMALL), "folder")
    assert {r.subject for r in dataset.records} == {f"{part}{n}" for part in ("train", "test") for n in range(4)}
    rows = [f"{r.path},{r.label},{n // 2}" for n, r in enumerate(dataset.records)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,patient", *rows]))
    tabled = scan(tmp_path / "t.csv", SMALL)
    assert [r.subject for r in with_subjects(tabled, "column:patient").records] == [str(n // 2) for n in range(16)]
    with pytest.raises(SettingsError, match="the table has path, label, patient"):
        with_subjects(tabled, "column:nope")
    with pytest.raises(SettingsError, match="not in a table"):
        with_subjects(scan(tmp_path, SMALL, LabelConfig(class_level=2)), "column:patient")
