import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import dataset_of, draw_image, record, save_image
from mien.config import CleanConfig, Keep, ScanConfig
from mien.data.cleaning import clean, describe_losses
from mien.data.dataset import Dataset, Problem, load_records
from mien.data.near_copies import flipped
from mien.data.scanning import scan

FIRST = "00" * 16
NEAR = "00" * 14 + "ffff"
FAR = "00" * 13 + "1fffff"
EXTENSION = Problem("wrong_extension", "named .png, but the content is JPEG")


def codes(dataset: Dataset) -> list[tuple[str, ...]]:
    return [tuple(problem.code for problem in record.problems) for record in dataset.records]


def used(dataset: Dataset) -> list[str]:
    return [record.path for record in dataset.records if record.used]


def test_good_images_are_used() -> None:
    dataset = dataset_of(record("happy/1"), record("happy/2"), record("sad/1"))
    assert clean(dataset) == dataset


def test_of_copies_the_one_with_most_pixels_is_used() -> None:
    dataset = clean(
        dataset_of(
            record("happy/1", phash=FIRST, num_bytes=90_000),
            record("happy/2", phash=NEAR, width=400, num_bytes=10),
            record("happy/3"),
            record("happy/4", phash=FIRST),
        )
    )
    assert used(dataset) == ["happy/2", "happy/3"]
    assert codes(dataset) == [("near_duplicate",), (), (), ("near_duplicate",)]
    assert [r.group for r in dataset.records] == [0, 0, None, 0]
    assert dataset.records[0].problems[0].detail == "a copy of happy/2"
    assert all(not r.split for r in dataset.records)


def test_of_copies_of_one_size_the_one_with_most_bytes_is_used() -> None:
    copies = [record(f"happy/{number}", phash=FIRST, num_bytes=number) for number in (5, 9, 7)]
    assert used(clean(dataset_of(*copies))) == ["happy/9"]


def test_which_copy_is_used_does_not_depend_on_names_or_order() -> None:
    copies = [record(f"happy/{number}", phash=FIRST) for number in range(5)]
    kept = [r.sha256 for r in clean(dataset_of(*copies)).records if r.used]
    renamed = [replace(copy, path=f"happy/{9 - place}") for place, copy in enumerate(copies)][::-1]
    assert [r.sha256 for r in clean(dataset_of(*renamed)).records if r.used] == kept
    assert len(kept) == 1


def test_the_user_may_choose_the_first_by_name() -> None:
    copies = dataset_of(
        record("happy/b/1", phash=FIRST, width=900),
        record("happy/b 2", phash=FIRST),
        record("happy/a", phash=FIRST, num_bytes=10),
        record("happy/c", phash=NEAR),
    )
    assert used(clean(copies, CleanConfig(keep="first"))) == ["happy/a"]
    assert used(clean(copies, CleanConfig(keep="first", min_bytes=100))) == ["happy/b/1"]
    assert clean(copies, CleanConfig(keep="first")).records[3].problems[0].detail == "a copy of happy/a"


def test_the_same_file_again_is_an_exact_copy_and_another_file_a_near_one() -> None:
    again = {"phash": FIRST, "sha256": "aa"}
    small = {"phash": NEAR, "sha256": "bb", "width": 40}
    dataset = dataset_of(
        record("sad/1", **small), record("sad/2", **again), record("sad/3", **again), record("sad/4", **small)
    )
    assert codes(clean(dataset)) == [("near_duplicate",), (), ("exact_duplicate",), ("exact_duplicate",)]


def test_copies_are_those_within_the_limit() -> None:
    # Each is near to the second, which is the largest.
    dataset = dataset_of(
        record("sad/1", phash=FIRST), record("sad/2", phash=NEAR, width=400), record("sad/3", phash=FAR)
    )
    assert codes(clean(dataset, CleanConfig(near_bits=4))).count(()) == 3
    assert codes(clean(dataset, CleanConfig(near_bits=16))).count(()) == 1
    assert codes(clean(dataset, CleanConfig(near_bits=15))).count(()) == 2


@pytest.mark.parametrize("keep", ["largest", "first", "all"])
def test_an_image_under_two_classes_is_used_in_none(keep: Keep) -> None:
    dataset = clean(
        dataset_of(
            record("happy/1", phash=FIRST),
            record("happy/2", phash=NEAR),
            record("happy/3"),
            record("sad/1", phash=FIRST, width=900),
        ),
        CleanConfig(keep=keep),
    )
    assert used(dataset) == ["happy/3"]
    assert codes(dataset) == [("conflicting_labels",), ("conflicting_labels",), (), ("conflicting_labels",)]
    assert dataset.records[0].problems[0].detail == "a copy of sad/1"
    assert dataset.records[3].problems[0].detail == "a copy of happy/1, happy/2"


def test_an_image_a_thousand_times_under_two_classes_names_a_few_of_the_others(tmp_path: Path) -> None:
    labels = ("happy", "sad")
    dataset = clean(dataset_of(*[record(f"{a}/{'x' * 200}{n}", phash=FIRST) for a in labels for n in range(1000)]))
    assert max(len(r.problems[0].detail) for r in dataset.records) < 1000
    assert dataset.records[0].problems[0].detail.endswith("and 997 more")
    dataset.save(tmp_path / "manifest.csv")
    assert load_records(tmp_path / "manifest.csv")[1999] == dataset.records[1999]


def test_a_mirrored_image_is_a_copy_in_its_class_and_another_image_in_another() -> None:
    original = record("left/1", width=900)
    (mirrored,) = flipped([original.phash], "mirrored")
    within = clean(dataset_of(original, record("left/2", phash=mirrored)))
    assert codes(within) == [(), ("near_duplicate",)]
    assert within.records[1].problems[0].detail == "a mirrored copy of left/1"
    assert used(clean(dataset_of(original, record("right/1", phash=mirrored)))) == ["left/1", "right/1"]


def test_copies_may_be_kept_and_are_still_named() -> None:
    dataset = clean(
        dataset_of(record("sad/1", phash=FIRST), record("sad/2", phash=NEAR, width=900)), CleanConfig(keep="all")
    )
    assert used(dataset) == ["sad/1", "sad/2"]
    assert codes(dataset) == [("near_duplicate",), ()]
    assert [r.group for r in dataset.records] == [0, 0]


def test_small_files_and_small_images_are_left_out() -> None:
    dataset = clean(
        dataset_of(
            record("sad/1", num_bytes=99),
            record("sad/2", num_bytes=100, width=32, height=32),
            record("sad/3", width=900, height=31),
            record("sad/4", width=31, height=900, num_bytes=5),
        ),
        CleanConfig(min_bytes=100, min_side=32),
    )
    assert used(dataset) == ["sad/2"]
    assert codes(dataset) == [("too_few_bytes",), (), ("too_few_pixels",), ("too_few_bytes", "too_few_pixels")]
    assert dataset.records[0].problems[0].detail == "99 bytes; the minimum is 100"
    assert "900 x 31 pixels" in dataset.records[2].problems[0].detail


def test_a_copy_that_is_large_enough_is_used_before_a_larger_one_that_is_left_out() -> None:
    dataset = dataset_of(record("sad/1", phash=FIRST, num_bytes=9, width=900), record("sad/2", phash=NEAR))
    assert used(clean(dataset, CleanConfig(min_bytes=100))) == ["sad/2"]
    assert used(clean(dataset, CleanConfig(min_bytes=100, keep="all"))) == ["sad/2"]


def mixed() -> Dataset:
    return dataset_of(
        record("happy/1", phash=FIRST, problems=(EXTENSION,)),
        record("happy/2", phash=NEAR, width=900, num_bytes=50),
        record("happy/3", phash="ff" * 16),
        record("happy/4", phash="", used=False, problems=(Problem("unreadable", "damaged"),)),
        record("sad/1", phash="ff" * 16),
        record("sad/2", problems=(EXTENSION,)),
    )


def test_cleaning_twice_is_cleaning_once() -> None:
    once = clean(mixed())
    assert clean(once) == once
    assert clean(once.with_records([replace(r, split="train") for r in once.records])) == once


def test_cleaning_again_with_other_limits_starts_afresh() -> None:
    for first in (CleanConfig(min_bytes=100), CleanConfig(near_bits=0), CleanConfig(keep="all", min_side=201)):
        for second in (CleanConfig(), CleanConfig(min_bytes=100), CleanConfig(near_bits=0)):
            assert clean(clean(mixed(), first), second) == clean(mixed(), second)


def test_what_the_scan_found_stays() -> None:
    dataset = clean(mixed())
    assert codes(dataset)[0] == ("wrong_extension", "near_duplicate")
    assert codes(dataset)[3] == ("unreadable",) and not dataset.records[3].used
    assert codes(dataset)[5] == ("wrong_extension",) and dataset.records[5].used


def test_files_that_are_no_images_are_nobodys_copies() -> None:
    bad = [record(f"{a}/1", phash="", used=False, sha256="aa") for a in ("happy", "sad")]
    assert [r.group for r in clean(dataset_of(*bad)).records] == [None, None]


def test_copies_in_real_files_are_found(tmp_path: Path) -> None:
    image = draw_image(1, width=300, height=200)
    first = save_image(tmp_path / "happy" / "1.jpg", image)
    shutil.copy(first, tmp_path / "happy" / "2.jpg")
    save_image(tmp_path / "happy" / "3.jpg", image.resize((120, 80)), quality=40)
    save_image(tmp_path / "happy" / "4.jpg", draw_image(2))
    save_image(tmp_path / "sad" / "1.jpg", draw_image(4), quality=95)
    save_image(tmp_path / "sad" / "2.jpg", draw_image(2), quality=50)
    dataset = clean(scan(tmp_path, ScanConfig(image_size=(32, 32))))
    conflict = ("conflicting_labels",)
    assert codes(dataset) == [(), ("exact_duplicate",), ("near_duplicate",), conflict, (), conflict]


@pytest.mark.parametrize(("sides", "least"), [([28], 8), ([120], 30), ([300], 56), ([4000], 56), ([400, 400, 60], 56)])
def test_a_side_is_too_short_by_the_folder(sides: list[int], least: int) -> None:
    many = [record(f"sad/{n}", width=side, height=2 * side) for n, side in enumerate(sides * 3)]
    edge = [record("sad/below", width=least - 1, height=900), record("sad/at", width=least, height=900)]
    found = clean(dataset_of(*many, *edge))
    assert [r.path for r in found.records if not r.used] == ["sad/below"]
    assert used(clean(dataset_of(*many, *edge), CleanConfig(min_side=1))) == used(dataset_of(*many, *edge))


def test_the_limit_of_the_tutorial_is_not_applied_where_it_leaves_nothing_of_a_class() -> None:
    large, small = [record(f"sad/{n}", num_bytes=20_000) for n in range(3)], record("happy/1", num_bytes=500)
    assert len(used(clean(dataset_of(*large, small), CleanConfig(min_bytes=10 * 1024)))) == 4
    assert len(used(clean(dataset_of(*large, small), CleanConfig(min_bytes=10_000)))) == 3
    other = record("happy/2", num_bytes=20_000)
    assert "happy/1" not in used(clean(dataset_of(*large, small, other), CleanConfig(min_bytes=10 * 1024)))


def test_what_leaves_out_more_than_a_fifth_of_a_class_is_told_with_the_flag_that_changes_it() -> None:
    small = [record(f"sad/small {number}", num_bytes=5) for number in range(3)]
    dataset = clean(
        dataset_of(*small, *(record(f"sad/{n}", num_bytes=99) for n in range(9))), CleanConfig(min_bytes=10)
    )
    (line,) = describe_losses(dataset)
    assert line.startswith("Many files are skipped: 3 of 12 in sad. Reason: file smaller than --min-bytes")
    assert "(e.g. sad/small 0: 5 bytes; the minimum is 10)" in line and line.endswith("add --min-bytes 0.")
    fewer = clean(
        dataset_of(small[0], *(record(f"sad/{n}", num_bytes=99) for n in range(9))), CleanConfig(min_bytes=10)
    )
    assert describe_losses(fewer) == []


def test_what_to_type_about_copies_names_the_folder() -> None:
    copies = [record(f"{label}/1", phash=FIRST, sha256=FIRST * 2) for label in ("happy", "sad")]
    (line,) = describe_losses(replace(clean(dataset_of(*copies)), root=Path("my moods")))
    assert "mien check 'my moods' --sheet pairs.png draws" in line and "mien review 'my moods' lets you" in line
