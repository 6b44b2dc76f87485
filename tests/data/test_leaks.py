"""Leaks: what a run was trained on is found again, whatever was done to it; and no split holds a copy on two sides."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import bits_apart, dataset_of, record
from mien.config import CleanConfig, SplitConfig
from mien.data.dataset import ImageRecord
from mien.data.leaks import Leak, find_leaks, name_leaks, refuse_leaks, refuse_straddling
from mien.data.looks import save_looks
from mien.data.near_copies import FLIPS, bits_between, flipped
from mien.data.splitting import folds, split
from mien.errors import GateError, LeakError, SettingsError, SourceNotFoundError
from mien.runs.folder import RunFolder
from mien.runs.run import load_seen, settings_of


def changed(phash: str, num_bits: int) -> str:
    places = random.Random(num_bits).sample(range(128), num_bits)
    return f"{int(phash, 16) ^ sum(1 << place for place in places):032x}"


def test_the_same_file_is_found_under_another_name_and_class() -> None:
    seen = record("happy/1")
    other = record("sad/9", sha256=seen.sha256, phash=seen.phash)
    assert find_leaks([record("sad/1"), other], [record("happy/2"), seen]) == (
        Leak("sad/9", "happy/1", "same file", 0),
    )


def test_a_copy_is_looked_for_up_to_the_limit() -> None:
    seen = record("happy/1")
    near = record("sad/1", phash=changed(seen.phash, 16))
    assert find_leaks([near], [seen]) == (Leak("sad/1", "happy/1", "copy", 16),)
    assert find_leaks([near], [seen], 15) == ()
    assert find_leaks([record("sad/1", phash=changed(seen.phash, 17))], [seen]) == ()


@pytest.mark.parametrize("flip", FLIPS)
def test_a_flipped_copy_is_found_in_its_class_alone(flip: str) -> None:
    seen = record("happy/1")
    (phash,) = flipped([changed(seen.phash, 7)], flip)
    assert find_leaks([record("happy/2", phash=phash)], [seen]) == (Leak("happy/2", "happy/1", flip, 7),)
    assert find_leaks([record("sad/2", phash=phash)], [seen]) == ()


def test_a_chain_of_near_hashes_proves_nothing() -> None:
    ends, middle = ("00" * 16, "00" * 13 + "ffffff"), "00" * 14 + "ffff"
    evaluated = [record("sad/1", phash=ends[1]), record("sad/2", phash=middle)]
    found = find_leaks(evaluated, [record("sad/3", phash=ends[0])])
    assert [(leak.path, leak.bits) for leak in found] == [("sad/2", 16)]


def test_other_images_and_what_is_no_image_are_no_leaks() -> None:
    bad = record("sad/1", phash="", used=False)
    assert find_leaks([bad, record("sad/2")], [record("sad/3")]) == ()
    assert find_leaks([], [record("sad/3")]) == find_leaks([record("sad/3")], []) == ()


def test_leaks_are_those_of_comparing_each_with_each() -> None:
    chance = random.Random(8)
    seen = [record(f"sad/{number}") for number in range(60)]
    evaluated = [record(f"sad/x{n}", phash=changed(chance.choice(seen).phash, 4 + n % 20)) for n in range(60)]
    expected = {
        other.path: min(bits_apart(version, record_.phash) for version in versions(other) for record_ in seen)
        for other in evaluated
    }
    assert {leak.path: leak.bits for leak in find_leaks(evaluated, seen)} == {
        path: bits for path, bits in expected.items() if bits <= 16
    }


def versions(image: ImageRecord) -> list[str]:
    return [image.phash, *(flipped([image.phash], flip)[0] for flip in FLIPS)]


@pytest.mark.medium
def test_thousands_of_one_placeholder_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = [0]

    def counted(first: list[str], second: list[str], flip: str = "") -> NDArray[np.uint8]:
        compared[0] += len(first) * len(second)
        return bits_between(first, second, flip)

    monkeypatch.setattr("mien.data.copies.bits_between", counted)
    seen = [record(f"sad/{number}", phash="00" * 16) for number in range(5000)]
    evaluated = [record(f"sad/x{number}", phash="00" * 15 + "01") for number in range(5000)]
    assert len(find_leaks(evaluated, seen)) == 5000
    assert compared[0] < 100


def test_seen_is_what_was_trained_or_chosen_on_and_its_copies(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    dataset = dataset_of(
        record("happy/1", split="train", group=0),
        record("happy/2", split="", used=False, group=0),
        record("happy/3", split="val"),
        record("sad/1", split="test", group=1),
        record("sad/2", split="", used=False, group=1),
        record("sad/3", split="", used=False, phash=""),
    )
    dataset.save(run.manifest_path)
    with pytest.raises(
        SourceNotFoundError, match=r"cannot read '.*looks.npy', which holds thumbnails of the training images"
    ):
        load_seen(run)
    save_looks(run.looks_path, dataset.records)
    assert [seen.path for seen in load_seen(run)] == ["happy/1", "happy/2", "happy/3"]


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"has no manifest\.csv.*Name a run folder"):
        load_seen(RunFolder(tmp_path))


def test_the_limits_are_those_of_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert settings_of(run).clean == CleanConfig()
    run.config_path.write_text('{"clean": {"near_bits": 5, "min_side": 8}}')
    assert settings_of(run).clean == CleanConfig(near_bits=5, min_side=8)
    run.config_path.write_text('{"clean": {"near_bits": "five"}}')
    with pytest.raises(SettingsError, match="near_bits"):
        settings_of(run)


def test_a_refusal_names_ten_pairs_and_says_what_to_do() -> None:
    leaks = [Leak(f"sad/{number}", "sad/x", "copy", 3) for number in range(12)]
    refuse_leaks([], "nothing", "nothing")
    with pytest.raises(LeakError) as refused:
        refuse_leaks(leaks, "12 images were trained on", "Add --leave-out-seen.")
    lines = str(refused.value).splitlines()
    assert isinstance(refused.value, GateError)
    assert lines[:2] == ["12 images were trained on:", "  sad/0: a copy of sad/x"]
    assert lines[-2:] == ["  and 2 more", "Add --leave-out-seen."]
    assert len(lines) == 13


def test_a_leak_says_in_words_how_it_matches_and_keeps_hostile_names_on_one_line() -> None:
    assert str(Leak("a", "b", "same file", 0)) == "a: the same file as b"
    assert str(Leak("a", "b", "upside down", 2)) == "a: a copy, upside down, of b"
    assert name_leaks([Leak("a\n\x1b[31m", "b", "same file", 0)]) == ["  a\\n\\x1b[31m: the same file as b"]


def copied() -> list[ImageRecord]:
    records = [record(f"{label}/{number:02}") for label in ("happy", "sad") for number in range(20)]
    first = records[0]
    (mirrored,) = flipped([first.phash], "mirrored")
    return [*records, replace(first, path="happy/copy", group=0), record("happy/mirrored", phash=mirrored, group=0)]


def test_a_split_that_keeps_copies_together_passes() -> None:
    records = copied()
    dataset = split(dataset_of(replace(records[0], group=0), *records[1:]))
    refuse_straddling([dataset, *folds(dataset, 5)])


@pytest.mark.parametrize("number", [-2, -1])
@pytest.mark.parametrize("side", ["val", "test"])
def test_a_split_broken_by_hand_is_refused_whatever_its_groups_say(side: str, number: int) -> None:
    records = [replace(copy, group=None, split="train") for copy in copied()]
    records = [*records[:-2], records[number]]
    refuse_straddling([dataset_of(*records)])
    records[-1] = replace(records[-1], split=side)
    with pytest.raises(
        LeakError, match=r"copies or group members of 1 image of 'moods' are in another split"
    ) as refused:
        refuse_straddling([dataset_of(*records)])
    # Which of the two comes first is a matter of what would be kept.
    assert f"{records[-1].path} ({side})" in str(refused.value) and "happy/00 (train)" in str(refused.value)


def test_a_refusal_of_a_split_says_how_many_copies_it_does_not_name() -> None:
    first = record("happy/00")
    copies = [replace(first, path=f"happy/{number:02}", split="test") for number in range(1, 13)]
    with pytest.raises(LeakError, match=r"of 12 images .*\n(  .* and happy/00 \(train\)\n){10}  and 2 more$"):
        refuse_straddling([dataset_of(replace(first, split="train"), *copies)])


def test_a_fold_broken_by_hand_is_refused() -> None:
    records = copied()
    dataset = split(dataset_of(replace(records[0], group=0), *records[1:]), SplitConfig(test_fraction=0.05))
    parts = list(folds(dataset, 3))
    of_copy = parts[1].records[-2].split
    other = next(name for name in ("train", "val", "test") if name != of_copy)
    parts[1] = parts[1].with_records([*parts[1].records[:-1], replace(parts[1].records[-1], split=other)])
    refuse_straddling([dataset, parts[0], parts[2]])
    with pytest.raises(LeakError, match="happy/mirrored"):
        refuse_straddling([dataset, *parts])


def test_an_image_of_a_group_that_was_trained_on_is_a_leak() -> None:
    seen = [record("ill/1", subject="p7"), record("ill/2")]
    found = find_leaks([record("well/x", subject="p7"), record("well/y", subject="p8"), record("well/z")], seen)
    assert found == (Leak("well/x", "p7", "group", 0),)
    assert str(found[0]) == "well/x: same group as training images: p7"


def test_a_group_on_two_sides_of_a_split_is_refused() -> None:
    one, other = record("ill/1", subject="p7", split="train"), record("ill/2", subject="p7", split="test")
    with pytest.raises(LeakError, match=r"ill/2 \(test\) and ill/1 \(train\), same group"):
        refuse_straddling([dataset_of(one, other)])
