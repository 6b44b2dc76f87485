import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import dataset_of, draw_folder, record
from mien.config import CleanConfig, ScanConfig
from mien.data.cleaning import clean
from mien.data.dataset import PROBLEMS, SPLITS, Dataset, ImageRecord, Problem, load_records
from mien.data.scanning import scan
from mien.data.splitting import split
from mien.errors import ImageError, OutputError, SettingsError, SourceNotFoundError

SMALL = ScanConfig(image_size=(32, 48))
ODD = [
    "two words",
    "a,b;c",
    "'single' \"double\"",
    "two\nlines",
    "\r\n",
    "smile \U0001f600",
    os.fsdecode(b"\xff\xfe"),
    " x ",
    "=1+1",
]


@pytest.fixture(scope="module")
def ready(data: Path) -> Dataset:
    """The folder of moods, scanned, cleaned and split."""
    return split(clean(scan(data, SMALL)))


def with_problems(*codes: str) -> ImageRecord:
    return record("sad/9", problems=tuple(Problem(code, f"about {code}") for code in codes), used=False)


def test_a_manifest_has_the_columns_that_were_promised(tmp_path: Path, ready: Dataset) -> None:
    ready.save(tmp_path / "manifest.csv")
    lines = (tmp_path / "manifest.csv").read_text("utf-8-sig").splitlines()
    assert (
        lines[0]
        == "path,label,sha256,phash,bytes,format,width,height,brightness,colour,problem,group,subject,split,detail"
    )
    assert len(lines) == 25
    first = ready.records[0]
    shades = f"{first.brightness},{first.colour}"
    expected = (
        f"happy/00.jpg,happy,{first.sha256},{first.phash},{first.num_bytes},JPEG,96,96,{shades},,,,{first.split},"
    )
    assert lines[1] == expected


def test_a_manifest_gives_the_records_back(tmp_path: Path, ready: Dataset) -> None:
    ready.save(tmp_path / "manifest.csv")
    assert load_records(tmp_path / "manifest.csv") == ready.records


@pytest.mark.parametrize("name", ODD)
def test_a_manifest_keeps_odd_names(tmp_path: Path, name: str) -> None:
    odd = record(f"{name}/{name}.jpg", problems=(Problem("wrong_extension", f"like {name}"),), split="val", group=3)
    dataset_of(odd, record("sad/1", split="train")).save(tmp_path / "manifest.csv")
    assert load_records(tmp_path / "manifest.csv")[0] == odd


def test_a_manifest_keeps_what_is_no_image(tmp_path: Path) -> None:
    broken = ImageRecord("sad/1.jpg", "sad", problems=(Problem("unreadable", "damaged: a; b"),), used=False)
    dataset_of(broken).save(tmp_path / "manifest.csv")
    assert load_records(tmp_path / "manifest.csv") == (broken,)


def test_of_several_problems_the_manifest_keeps_all_codes_and_all_details(tmp_path: Path) -> None:
    dataset_of(with_problems("too_few_bytes", "near_duplicate")).save(tmp_path / "manifest.csv")
    (back,) = load_records(tmp_path / "manifest.csv")
    assert [problem.code for problem in back.problems] == ["too_few_bytes", "near_duplicate"]
    assert back.problems[0].detail == "about too_few_bytes; about near_duplicate"
    assert replace(back, problems=()) == replace(with_problems(), problems=())


def test_a_manifest_is_what_a_spreadsheet_expects(tmp_path: Path) -> None:
    dataset_of(*[record(f"{name}/1.jpg") for name in ODD]).save(tmp_path / "manifest.csv")
    with open(tmp_path / "manifest.csv", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    marked = {"'single' \"double\"": "''single' \"double\"", "=1+1": "'=1+1"}
    assert [row["label"] for row in rows] == [marked.get(name, name) for name in ODD]


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"\x89PNG\r\n\x1a\n\0\0", b"path,label,sha256,phash,bytes\nx,y,z,w,many\n"]
)
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(SourceNotFoundError, match=f"cannot read the manifest '{path}'"):
        load_records(path)


def test_a_manifest_with_a_damaged_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    dataset_of(record("sad/1.jpg", phash="ab")).save(path)
    with pytest.raises(SourceNotFoundError, match="a row has the invalid phash 'ab'"):
        load_records(path)


def test_a_manifest_that_is_missing_or_cannot_be_written_is_an_error(tmp_path: Path, ready: Dataset) -> None:
    with pytest.raises(SourceNotFoundError, match="No such file"):
        load_records(tmp_path / "manifest.csv")
    with pytest.raises(OutputError, match="No such file"):
        ready.save(tmp_path / "missing" / "manifest.csv")


def test_files_that_changed_since_the_manifest_are_refused(tmp_path: Path, ready: Dataset) -> None:
    ready.save(tmp_path / "manifest.csv")
    ready.refuse_changes(tmp_path / "manifest.csv")
    first, *rest = ready.records
    for records in (rest, [replace(first, sha256="00"), *rest], [replace(first, split="none"), *rest]):
        with pytest.raises(
            SettingsError, match=r"^1 file in .* changed since .* e\.g\. 'happy/00\.jpg'\. Start a new run"
        ):
            ready.with_records(records).refuse_changes(tmp_path / "manifest.csv")


def test_batches_go_through_each_split_once_and_in_order(ready: Dataset) -> None:
    for name, size in zip(SPLITS, (18, 4, 2), strict=True):
        batches = list(ready.batches(5, split=name))
        assert [len(labels) for _, labels in batches] == [5] * (size // 5) + [size % 5] * (size % 5 > 0)
        for images, labels in batches:
            assert images.shape == (len(labels), 32, 48, 3) and images.dtype == np.uint8
            assert labels.dtype == np.int64
        expected = [ready.class_names.index(r.label) for r in ready.records if r.split == name]
        assert np.concatenate([labels for _, labels in batches]).tolist() == expected
        stacked = np.concatenate([images for images, _ in batches])
        assert np.array_equal(stacked, ready.keeping_images().pixels(ready.indexes(name)))


def test_without_a_split_batches_hold_every_used_image(ready: Dataset) -> None:
    records = [replace(r, used=number % 2 == 0) for number, r in enumerate(ready.records)]
    assert sum(len(labels) for _, labels in ready.with_records(records).batches()) == 12


def test_batches_come_mixed_where_there_is_a_seed(ready: Dataset) -> None:
    def of(seed: int | None) -> tuple[list[bytes], list[int]]:
        batches = list(ready.batches(5, seed=seed))
        return [i.tobytes() for images, _ in batches for i in images], [int(n) for _, labels in batches for n in labels]

    in_order, mixed = of(None), of(3)
    assert in_order != mixed == of(3) != of(4)
    assert in_order[1] == sorted(in_order[1]) != mixed[1]
    assert sorted(zip(*in_order, strict=True)) == sorted(zip(*mixed, strict=True))


def test_of_no_images_there_are_no_batches(ready: Dataset) -> None:
    unsplit = ready.with_records([replace(r, split="") for r in ready.records])
    assert list(unsplit.batches(split="test")) == []
    assert unsplit.pixels(unsplit.indexes("test")).shape == (0, 32, 48, 3)


def test_an_image_that_vanishes_after_the_scan_is_named(tmp_path: Path) -> None:
    dataset = scan(draw_folder(tmp_path, 2), SMALL)
    (tmp_path / "happy" / "00.jpg").unlink()
    with pytest.raises(ImageError, match="No such file"):
        next(dataset.batches())


def test_the_fingerprint_is_that_of_the_contents(tmp_path: Path, data: Path, ready: Dataset) -> None:
    for number, path in enumerate(sorted(data.glob("*/*"), reverse=True)):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name / f"renamed {number:02}.jpg")
    assert clean(scan(tmp_path, SMALL)).fingerprint() == ready.fingerprint()
    assert ready.with_records(ready.records[::-1]).fingerprint() == ready.fingerprint()
    others = [
        ready.with_records([replace(ready.records[0], used=False), *ready.records[1:]]),
        ready.with_records([replace(ready.records[0], sha256="00"), *ready.records[1:]]),
        ready.with_records([replace(ready.records[0], label="sad"), *ready.records[1:]]),
    ]
    assert len({dataset.fingerprint() for dataset in (*others, ready)}) == 4


def test_odd_names_of_classes_have_a_fingerprint() -> None:
    assert len({dataset_of(record(f"{name}/1", sha256="00")).fingerprint() for name in ODD}) == len(ODD)


def test_files_are_counted_by_class_in_the_order_of_the_classes() -> None:
    records = [record("sad/1"), record("sad/2", used=False), record("happy/1", used=False)]
    dataset = dataset_of(*records)
    assert list(dataset.counts().items()) == [("happy", 1), ("sad", 2)]
    assert list(dataset.counts(used_only=True).items()) == [("happy", 0), ("sad", 1)]


def test_what_was_left_out_is_counted_by_its_last_problem() -> None:
    dataset = dataset_of(
        record("sad/1"), with_problems("too_few_bytes"), with_problems("wrong_extension", "unreadable")
    )
    assert dataset.left_out("sad") == {"too_few_bytes": 1, "unreadable": 1}
    assert dataset.left_out("happy") == {}


def test_labels_are_places_among_the_classes() -> None:
    dataset = dataset_of(record("sad/1"), record("calm/1"), record("happy/1"))
    assert dataset.class_names == ("calm", "happy", "sad")
    assert dataset.labels(np.array([0, 1, 2])).tolist() == [2, 0, 1]


def test_what_was_found_becomes_the_json_that_was_promised() -> None:
    copies = [record(f"sad/{number}", phash="00" * 16) for number in range(2)]
    odd = record(f"{ODD[-3]}/1", problems=(Problem("wrong_extension", "named .png"),))
    found = json.loads(json.dumps(clean(dataset_of(*copies, odd), CleanConfig(min_bytes=10)).to_dict()))
    assert set(found) >= {"root", "num_files", "classes", "problems", "groups"}
    assert (found["root"], found["num_files"]) == ("moods", 3)
    assert found["classes"] == {"sad": 2, ODD[-3]: 1} and found["used"] == {"sad": 1, ODD[-3]: 1}
    assert found["groups"] == [["sad/0", "sad/1"]]
    assert [(p["problem"], p["used"]) for p in found["problems"]] == [
        ("near_duplicate", False),
        ("wrong_extension", True),
    ]
    assert all(set(problem) == {"path", "problem", "detail", "used"} for problem in found["problems"])
    assert {problem["problem"] for problem in found["problems"]} <= set(PROBLEMS)
