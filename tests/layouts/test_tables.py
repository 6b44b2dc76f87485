"""Tables: the columns are found by what they hold; what is wrong with rows is named; nothing is taken by guess."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from mien.config import LabelConfig
from mien.errors import NotADatasetError, SettingsError, SourceNotFoundError
from mien.layouts.layout import Layout
from mien.layouts.reading import read_layout
from mien.layouts.tables import read_table

LABELS = ("cat", "dog")


def write_images(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def write_table(path: Path, rows: Iterable[Sequence[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows))
    return path


def read(data: Path, **settings: object) -> Layout:
    return read_layout(data, LabelConfig(**settings))[1]  # type: ignore[arg-type]


def labels(layout: Layout) -> dict[str, str]:
    return {entry.path: entry.label for entry in layout.entries}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path, *(f"im/p{number}.jpg" for number in range(10)))


MEANT = {f"im/p{number}.jpg": LABELS[number % 2] for number in range(10)}


@pytest.mark.parametrize(
    "name_of",
    [
        "im/p{}.jpg",
        "p{}.jpg",
        "p{}",
        "P{}.JPG",
        "im\\p{}.jpg",
        "./im/p{}.jpg",
        "/home/me/project/im/p{}.jpg",
        "C:\\Users\\me\\im\\p{}.jpg",
        "https://example.org/data/upload/1/p{}.jpg?x=1",
        "/data/local-files/?d=im/p{}.jpg",
    ],
)
def test_images_are_found_by_whatever_a_table_calls_them(images: Path, name_of: str) -> None:
    write_table(images / "t.csv", [("x", "label"), *((name_of.format(n), LABELS[n % 2]) for n in range(10))])
    assert labels(read(images)) == MEANT


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("heading", [("file", "kind"), None])
def test_any_usual_mark_divides_and_a_heading_may_be_missing(
    images: Path, delimiter: str, heading: tuple[str, str] | None
) -> None:
    rows = list(MEANT.items())
    write_table(images / "t.csv", [heading, *rows] if heading else rows, delimiter)
    assert labels(read(images)) == MEANT


def test_json_and_parquet_are_tables_too(images: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"file_name": path, "label": label, "width": 64} for path, label in MEANT.items()]
    tasks = [
        {"data": {"image": path}, "annotations": [{"value": {"choices": [label]}}]} for path, label in MEANT.items()
    ]
    for name, text in (
        ("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)),
        ("b.json", json.dumps(rows)),
        ("c.json", json.dumps(MEANT)),
    ):
        (images / name).write_text(text)
        assert labels(read(images / name)) == MEANT, name
    (images / "d.json").write_text(json.dumps(tasks))
    assert labels(read(images / "d.json", label_column="annotations.value.choices")) == MEANT
    parquet.write_table(pyarrow.Table.from_pylist(rows), images / "e.parquet")
    assert labels(read(images / "e.parquet")) == MEANT
    parquet.write_table(pyarrow.table({"image": [b"x"], "label": [1]}), images / "f.parquet")
    with pytest.raises(SourceNotFoundError, match="contains the images themselves"):
        read(images / "f.parquet")


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"label": "cd", "age": "12"}, "label"),
        ({"diagnosis": "cd", "sex": "mf", "x": "ab"}, "diagnosis"),
        ({"label": "01", "class_name": "cd"}, "class_name"),
        ({"kind": "cd"}, "kind"),
    ],
)
def test_the_column_of_labels_is_found_by_its_name_or_as_the_only_one(
    images: Path, columns: dict[str, str], chosen: str
) -> None:
    rows = [(path, *(values[number % 2] for values in columns.values())) for number, path in enumerate(MEANT)]
    write_table(images / "t.csv", [("path", *columns), *rows])
    layout = read(images)
    assert set(layout.class_names) == set(columns[chosen]) and f"column {chosen!r}" in layout.taken_as


@pytest.mark.parametrize(
    "columns",
    [
        {"class": "aabb", "species": "abcd"},
        {"target": "0011", "diagnosis": "0101"},
        {"smoker": "yynn", "outcome": "abab"},
        {"patient_id": "aabb"},
        {"caption": "abcdefghij"},
        {"width": "4466"},
    ],
)
def test_a_column_that_may_be_another_is_asked_for(images: Path, columns: dict[str, str]) -> None:
    rows = [(path, *(v[number % len(v)] for v in columns.values())) for number, path in enumerate(MEANT)]
    write_table(images / "t.csv", [("path", *columns), *rows])
    with pytest.raises(NotADatasetError, match="--label-column") as caught:
        read(images)
    typed = dict(zip(*[iter(shlex.split(str(caught.value).split("e.g. ")[1]))] * 2, strict=True))
    assert typed == {"--labels": str(images / "t.csv"), "--label-column": next(iter(columns))}


def test_a_column_of_0_and_1_for_each_class_is_taken(images: Path) -> None:
    rows = [(path, int(label == "cat"), int(label == "dog")) for path, label in MEANT.items()]
    write_table(images / "t.csv", [("image", "cat", "dog"), *rows])
    assert labels(read(images)) == MEANT


@pytest.mark.parametrize(
    ("column", "values"),
    [("split", ("train", "test")), ("Usage", ("Training", "PrivateTest")), ("is_valid", ("False", "True"))],
)
def test_a_column_of_splits_is_kept(images: Path, column: str, values: tuple[str, str]) -> None:
    rows = [(path, label, values[number > 5]) for number, (path, label) in enumerate(MEANT.items())]
    write_table(images / "t.csv", [("path", "label", column), *rows])
    splits = [entry.split for entry in read(images).entries]
    assert splits == ["train"] * 6 + ["val" if column == "is_valid" else "test"] * 4


def test_tables_of_splits_are_put_together(tmp_path: Path) -> None:
    for split, start in (("train", 0), ("test", 10)):
        names = [f"{number}.jpg" for number in range(start, start + 10)]
        write_images(tmp_path, *(f"{split}/{name}" for name in names))
        rows = [(name, LABELS[number % 2]) for number, name in enumerate(names)]
        write_table(tmp_path / split / "metadata.csv", [("file_name", "label"), *rows])
    layout = read(tmp_path)
    assert {entry.split for entry in layout.entries if entry.path.startswith("test/")} == {"test"}
    assert len(layout.entries) == 20


def test_a_number_of_the_row_is_no_path(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"im/{number}.jpg" for number in range(10)))
    order = [5, 3, 8, 1, 9, 0, 2, 7, 4, 6]
    rows = [(place, number, LABELS[number % 2]) for place, number in enumerate(order)]
    write_table(tmp_path / "train.csv", [("", "id", "label"), *rows])
    assert labels(read(tmp_path)) == {f"im/{number}.jpg": LABELS[number % 2] for number in range(10)}


def test_everything_that_is_wrong_with_rows_is_named(images: Path) -> None:
    rows = [*MEANT.items(), ("gone.jpg", "cat"), ("im/p0.jpg", "cat"), ("im/p1.jpg", "cat"), ("im/p2.jpg", "")]
    rows[4] = ("im/p4.jpg", " cat ")
    write_table(images / "t.csv", [("path", "label"), *rows, ("im/p3.jpg", "dog", "big")])
    write_images(images, "im/q.jpg")
    layout = read(images)
    assert labels(layout) == {path: label for path, label in MEANT.items() if path != "im/p1.jpg"}
    told = "\n".join(layout.notes)
    for part in (
        "no image of this name in 1 of 15 rows: row 12 (gone.jpg)",
        "image already listed in 1 of 15 rows: row 13",
        "second label for an image (image skipped) in 1 of 15 rows: row 14",
        "no label, or several, in 1 of 15 rows: row 15",
        "spaces around the label (removed) in 1 of 15 rows: row 6",
        "more cells than the header in 1 of 15 rows: row 16",
        "skipped 1 image without a label, e.g. im/q.jpg",
    ):
        assert part in told


def test_an_image_in_another_folder_does_not_stand_in_for_one_that_is_missing(tmp_path: Path) -> None:
    write_images(tmp_path, "a/0.jpg", "a/1.jpg", "a/2.jpg", "b/0.jpg", "b/3.jpg")
    rows = [("a/0.jpg", "x"), ("a/1.jpg", "x"), ("a/2.jpg", "y"), ("a/3.jpg", "y"), ("b/0.jpg", "y")]
    write_table(tmp_path / "t.csv", [("path", "label"), *rows])
    layout = read(tmp_path / "t.csv")
    assert labels(layout) == {"a/0.jpg": "x", "a/1.jpg": "x", "a/2.jpg": "y", "b/0.jpg": "y"}
    assert any("row 5 (a/3.jpg)" in note for note in layout.notes)


def test_class_folders_and_a_table_that_says_otherwise_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"site{number % 2}/{number}.jpg" for number in range(10)))
    write_table(tmp_path / "t.csv", [("path", "species"), *((f"{n}.jpg", ("fox", "elk")[n // 5]) for n in range(10))])
    with pytest.raises(NotADatasetError, match="two ways") as caught:
        read(tmp_path)
    assert "--class-level 1" in str(caught.value) and "--label-column species" in str(caught.value)
    assert read(tmp_path, class_level=1).class_names == ("site0", "site1")
    assert read(tmp_path, labels=str(tmp_path / "t.csv"), label_column="species").class_names == ("elk", "fox")


def test_splits_of_tables_that_agree_with_class_folders_are_taken(tmp_path: Path) -> None:
    paths = [f"{LABELS[number % 2]}/{number}.jpg" for number in range(12)]
    write_images(tmp_path, *paths)
    for name, part in (("train", paths[:8]), ("test", paths[8:])):
        write_table(tmp_path / f"{name}.csv", [("Filename", "ClassName"), *((p, p.split("/")[0]) for p in part)])
    assert [entry.split for entry in read(tmp_path).entries if entry.path in paths[8:]] == ["test"] * 4


def test_a_column_that_is_named_makes_the_table_count(tmp_path: Path) -> None:
    write_images(tmp_path, *(f"site{number % 2}/{number}.jpg" for number in range(10)))
    write_table(tmp_path / "t.csv", [("path", "Species"), *((f"{n}.jpg", ("fox", "elk")[n // 5]) for n in range(10))])
    assert read(tmp_path, label_column="species").class_names == ("elk", "fox")


def test_a_table_beside_images_can_be_named_instead_of_their_folder(images: Path) -> None:
    path = write_table(images / "t.csv", [("path", "label"), *MEANT.items()])
    root, layout = read_layout(path)
    assert root == images and labels(layout) == MEANT


def test_columns_that_are_not_there_are_refused(images: Path) -> None:
    write_table(images / "t.csv", [("path", "label"), *MEANT.items()])
    for data in (images / "t.csv", images):
        with pytest.raises(SettingsError, match=r"t\.csv has path, label"):
            read(data, label_column="nope")
    with pytest.raises(SettingsError, match="it contains no table"):
        read(write_images(images / "bare", "a.jpg"), label_column="label")
    with pytest.raises(NotADatasetError, match="no column names images"):
        read(write_images(images / "other", "a.jpg"), labels=str(images / "t.csv"))


@pytest.mark.parametrize(
    "content",
    [b"", b"a\nb\n", b"[]", b"{", b"[" * 100_000, b"\0", b'a,"b\n', b"a,a\n1,2\n", b"\xff\xfe\x00"],
)
@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.jsonl", "t.parquet"])
def test_what_is_no_table_is_refused_in_a_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceNotFoundError, match="cannot read the table"):
        read_table(tmp_path / name)


def test_long_cells_are_no_reason_to_stop(images: Path) -> None:
    rows = [(path, label, "0.5 " * 100_000) for path, label in MEANT.items()]
    write_table(images / "t.csv", [("path", "label", "embedding"), *rows])
    assert labels(read(images)) == MEANT
