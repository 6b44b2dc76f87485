"""Folders: class folders and splits are told by their structure; what can be read in two ways is refused."""

import re
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from mien.config import LabelConfig
from mien.errors import NotADatasetError, SettingsError
from mien.layouts.layout import Layout, natural_key
from mien.layouts.reading import read_layout


def write(root: Path, *patterns: str, num: int = 3) -> Path:
    """Write files that are called as images are; {} in a pattern is a number."""
    for pattern in patterns:
        for number in range(num if "{}" in pattern else 1):
            path = root / pattern.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    return root


def read(root: Path, known: Iterable[str] = (), **settings: object) -> Layout:
    return read_layout(root, LabelConfig(**settings), tuple(known))[1]  # type: ignore[arg-type]


def meant(layout: Layout) -> dict[str, set[str]]:
    """What each class holds: the folder of its files, with the split."""
    found: dict[str, set[str]] = {}
    for entry in layout.entries:
        found.setdefault(entry.label, set()).add(f"{entry.path.rpartition('/')[0]} {entry.split}".strip())
    return found


@pytest.mark.parametrize(
    ("train", "test", "split"),
    [
        ("training_set", "test_set", "test"),
        ("Training", "Test", "test"),
        ("seg_train/seg_train", "seg_test/seg_test", "test"),
        ("train", "valid", "val"),
        ("data/my train", "data/my holdout", "test"),
        ("cars", "cars-test", "test"),
    ],
)
def test_splits_are_told_by_the_same_sub_folders(tmp_path: Path, train: str, test: str, split: str) -> None:
    write(tmp_path, f"{train}/cat/{{}}.jpg", f"{train}/dog/{{}}.jpg", f"{test}/cat/{{}}.jpg", f"{test}/dog/{{}}.jpg")
    layout = read(tmp_path)
    assert meant(layout) == {name: {f"{train}/{name} train", f"{test}/{name} {split}"} for name in ("cat", "dog")}
    assert "splits from folders: train (6)" in layout.taken_as and "classes cat, dog" in layout.taken_as


def test_train_beside_bus_is_a_class(tmp_path: Path) -> None:
    assert read(write(tmp_path, "train/{}.jpg", "bus/{}.jpg")).class_names == ("bus", "train")


def test_a_test_without_labels_is_left_for_predict(tmp_path: Path) -> None:
    layout = read(write(tmp_path, "train/cat/{}.jpg", "train/dog/{}.jpg", "test/{}.jpg"))
    assert meant(layout) == {"cat": {"train/cat"}, "dog": {"train/dog"}}
    assert layout.notes == ("skipped 3 images in test, without labels (to classify them, use mien predict)",)


def test_a_copy_of_the_whole_and_a_sample_are_no_splits(tmp_path: Path) -> None:
    parts = [f"x/{part}/{name}/{{}}.jpg" for part in ("train", "test", "sample", "x/train") for name in ("cat", "dog")]
    layout = read(write(tmp_path, *parts))
    assert meant(layout) == {name: {f"x/train/{name} train", f"x/test/{name} test"} for name in ("cat", "dog")}
    assert len(layout.notes) == 2 and all("not named after a split" in note for note in layout.notes)


def test_folds_are_put_together(tmp_path: Path) -> None:
    layout = read(write(tmp_path, *(f"fold_{n}/{name}/{{}}.jpg" for n in range(3) for name in ("cat", "dog"))))
    assert layout.class_names == ("cat", "dog") and len(layout.entries) == 18 and "--group-by" in layout.notes[0]


def test_splits_within_classes_are_splits(tmp_path: Path) -> None:
    layout = read(
        write(tmp_path, *(f"{name}/{part}/{{}}.jpg" for name in ("cat", "dog") for part in ("train", "test")))
    )
    assert meant(layout) == {name: {f"{name}/train train", f"{name}/test test"} for name in ("cat", "dog")}


def test_classes_that_cannot_be_learnt_are_left_out_and_named(tmp_path: Path) -> None:
    names = ("train/cat", "train/dog", "test/cat", "test/dog", "test/emu")
    layout = read(write(tmp_path, *(f"{name}/{{}}.jpg" for name in names)))
    assert layout.class_names == ("cat", "dog") and "skipped emu" in layout.notes[-1]


def test_a_class_that_the_test_writes_otherwise_is_the_same_once_it_is_put_together(tmp_path: Path) -> None:
    write(tmp_path, "train/Cat/{}.jpg", "train/Dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")
    with pytest.raises(NotADatasetError, match="--merge-classes cat,dog"):
        read(tmp_path)
    assert meant(read(tmp_path, merge_classes="cat,dog"))["cat"] == {"train/Cat train", "test/cat test"}


@pytest.mark.parametrize(
    ("folders", "ways"),
    [
        (("2023/cat", "2023/dog", "2024/cat", "2024/dog"), [("cat", "dog"), ("2023", "2024")]),
        (
            ("w/cats/bengal", "w/cats/siamese", "w/dogs/husky", "w/dogs/poodle"),
            [("bengal", "husky", "poodle", "siamese")],
        ),
        (("a/deer", "a/fox", "b/deer", "b/empty"), [("deer", "empty", "fox"), ("a", "b")]),
        (("x/images/images/cat", "x/images/images/dog", "x/y/cat", "x/y/dog"), [("images", "y")]),
    ],
)
def test_each_way_that_a_refusal_names_does_what_it_says(
    tmp_path: Path, folders: tuple[str, ...], ways: list[tuple[str, ...]]
) -> None:
    write(tmp_path, *(f"{folder}/{{}}.jpg" for folder in folders))
    with pytest.raises(NotADatasetError, match="either may be the classes") as caught:
        read(tmp_path)
    typed = [line.strip() for line in str(caught.value).splitlines() if "--class-level" in line]
    assert len(typed) >= len(ways)
    for line, classes in zip(typed, ways, strict=False):
        flag, level, *_ = shlex.split(line)
        assert flag == "--class-level" and read(tmp_path, class_level=int(level)).class_names == classes


@pytest.mark.parametrize(
    "tops",
    [
        ("train", "test"),
        ("trainA", "trainB", "testA", "testB"),
        ("images", "annotations"),
        ("HAM_images_part_1", "HAM_images_part_2"),
        ("jpg", "png"),
        ("rgb", "depth"),
        ("2023-01-05", "2023-02-11"),
        ("100APPLE", "101APPLE"),
        ("query", "bounding_box_train", "bounding_box_test"),
    ],
)
def test_folders_that_are_called_like_parts_of_a_data_set_are_no_classes(tmp_path: Path, tops: tuple[str, ...]) -> None:
    write(tmp_path, *(f"{name}/{number}-x{{}}.jpg" for number, name in enumerate(tops)))
    with pytest.raises(NotADatasetError) as caught:
        read(tmp_path)
    assert "--labels" in str(caught.value) and "--classes" in str(caught.value)
    assert set(read(tmp_path, classes=",".join(tops)).class_names) == set(tops)


def test_masks_are_passed_over_by_what_the_refusal_names(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name}/{part}/{{}}.png" for name in ("ill", "well") for part in ("images", "masks")))
    with pytest.raises(NotADatasetError, match="--exclude masks skips"):
        read(tmp_path)
    assert meant(read(tmp_path, exclude="masks")) == {name: {f"{name}/images"} for name in ("ill", "well")}


def test_folders_that_each_hold_a_split_are_refused(tmp_path: Path) -> None:
    write(tmp_path, *(f"fold{n}/{s}/{c}/{{}}.jpg" for n in range(2) for s in ("train", "val") for c in ("cat", "dog")))
    with pytest.raises(NotADatasetError, match=re.escape(f"choose one: {tmp_path}/fold0")):
        read(tmp_path)


def test_what_systems_and_runs_leave_is_passed_over_and_the_rest_is_named(tmp_path: Path) -> None:
    write(tmp_path, "cat/{}.jpg", "dog/{}.jpg", "__MACOSX/cat/{}.jpg", "cat/Thumbs.db", ".git/{}.jpg", "one.jpg")
    write(tmp_path, "runs/train/config.json", "runs/train/manifest.csv", "runs/train/samples.png", "docs/paper.pdf")
    (tmp_path / "unsorted").mkdir()
    layout = read(tmp_path)
    assert layout.class_names == ("cat", "dog") and len(layout.entries) == 6
    assert layout.notes == (
        "skipped unsorted (empty), docs (no images), runs (no images)",
        "skipped 1 image outside the class folders, e.g. one.jpg",
    )


def test_subjects_below_a_class_belong_to_it(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name}/p{number}/{{}}.jpg" for number, name in enumerate(("ill", "ill", "well", "well"))))
    layout = read(tmp_path)
    assert layout.class_names == ("ill", "well") and layout.level == 1 and layout.is_plain


@pytest.mark.parametrize(
    ("settings", "classes"),
    [
        ({"classes": "cat,dog"}, ("cat", "dog")),
        ({"exclude": "dog,c?t"}, ("emu", "fox")),
        ({"exclude": "*/0.jpg"}, ("cat", "dog", "emu", "fox")),
        ({"merge_classes": "pet=cat+dog"}, ("emu", "fox", "pet")),
        ({"merge_classes": "pet=cat+dog,wild=emu+fox", "classes": "pet,wild"}, ("pet", "wild")),
    ],
)
def test_classes_are_chosen_left_out_and_put_together(
    tmp_path: Path, settings: dict[str, str], classes: tuple[str, ...]
) -> None:
    write(tmp_path, *(f"{name}/{{}}.jpg" for name in ("cat", "dog", "emu", "fox")))
    layout = read(tmp_path, **settings)
    assert layout.class_names == classes
    assert not any(entry.path.endswith("/0.jpg") for entry in layout.entries) or "*/0.jpg" not in settings.values()


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": "cat,yak"},
        {"merge_classes": "pet=yak"},
        {"merge_classes": "=cat"},
        {"merge_classes": ",,"},
        {"merge_classes": "a=cat,b=cat"},
        {"label_pattern": "("},
        {"class_level": 0},
        {"class_level": 9},
        {"label_pattern": "zzz"},
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    write(tmp_path, "cat/{}.jpg", "dog/{}.jpg")
    with pytest.raises((SettingsError, NotADatasetError)):
        read(tmp_path, (), **settings)


def test_names_that_look_alike_are_refused_until_they_are_put_together(tmp_path: Path) -> None:
    names = ("happy", "Happy", "it's, so", "IT'S, so", "sad")
    write(tmp_path, *(f"{name}/{{}}.jpg" for name in names))
    with pytest.raises(NotADatasetError) as caught:
        read(tmp_path)
    (typed,) = [
        part for part in shlex.split(str(caught.value).split("add ")[1].split("; otherwise")[0]) if part[:2] != "--"
    ]
    assert read(tmp_path, merge_classes=typed).class_names == ("happy", "it's, so", "sad")


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    assert read(write(tmp_path, *(f"{n}/{{}}.jpg" for n in range(11)))).class_names == tuple(map(str, range(11)))
    assert sorted(["a10b2", "a", "a10b1", "a9", "10", "010", "9"], key=natural_key) == [
        *("9", "010", "10", "a", "a9", "a10b1", "a10b2")
    ]


def test_one_class_that_is_known_is_enough(tmp_path: Path) -> None:
    write(tmp_path / "happy", "{}.jpg")
    with pytest.raises(NotADatasetError):
        read(tmp_path)
    assert read(tmp_path, known=["happy", "sad"]).class_names == ("happy",)
    assert read(tmp_path / "happy", known=["happy", "sad"]).class_names == ("happy",)


def test_a_single_class_leads_to_a_second_folder(tmp_path: Path) -> None:
    write(tmp_path, "one/happy/{}.jpg")

    def said(known: Sequence[str] = ()) -> str:
        with pytest.raises(NotADatasetError) as caught:
            read(tmp_path / "one", known=known)
        return str(caught.value)

    assert "a classifier needs at least two classes. The only class folder is 'happy';" in said()
    assert f"images of something else into a second folder, e.g. {tmp_path}/one/other\n" in said()
    assert "its only folder, 'happy', is not a class of the run" in said(["cat", "dog"])
    assert "give it the name of one: cat, dog" in said(["cat", "dog"])
    write(tmp_path, "one/sad/notes.txt")
    assert "'happy', and 'sad' has no images" in said() and f"second folder, e.g. {tmp_path}/one/sad\n" in said()
    (tmp_path / "one" / "sad" / "notes.txt").unlink()
    assert "'happy', and 'sad' has no images" in said()


def test_classes_of_a_run_are_put_together_as_far_as_they_are_here(tmp_path: Path) -> None:
    write(tmp_path, "cat/{}.jpg", "emu/{}.jpg")
    merged = read(tmp_path, known=["pet", "wild"], merge_classes="pet=cat+dog,wild=emu")
    assert merged.class_names == ("pet", "wild")


def test_a_class_folder_alone_leads_to_its_parent(tmp_path: Path) -> None:
    write(tmp_path, "data/happy/{}.jpg", "data/sad/{}.jpg")
    with pytest.raises(NotADatasetError, match=f"use its parent, {tmp_path / 'data'}"):
        read(tmp_path / "data" / "happy")


def test_unsorted_images_do_not_lead_to_a_parent_that_is_no_folder_of_classes(tmp_path: Path) -> None:
    write(tmp_path, "my other/{}.jpg", "data/happy/{}.jpg", "data/sad/{}.jpg", "holiday/{}.jpg")

    def said(known: Sequence[str] = ()) -> str:
        with pytest.raises(NotADatasetError) as caught:
            read(tmp_path / "my other", known=known)
        assert "parent" not in str(caught.value)
        assert f"mien predict RUN '{tmp_path}/my other'" in str(caught.value)
        return str(caught.value)

    assert f"e.g. '{tmp_path}/my other/happy' and '{tmp_path}/my other/sad'" in said()
    shutil.rmtree(tmp_path / "data")
    assert f"e.g. '{tmp_path}/my other/cat' and '{tmp_path}/my other/dog'" in said(["cat", "dog", "emu"])
