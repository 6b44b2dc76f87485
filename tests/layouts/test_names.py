"""Labels in names: a pattern finds them; where names look like it, the refusal proposes one that works."""

import shlex
from pathlib import Path

import pytest

from mien.config import LabelConfig
from mien.errors import NotADatasetError
from mien.layouts.reading import read_layout


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("pattern", "classes"),
    [
        ("{}.{}.jpg", ("cat", "dog")),
        ("{}_{:03}.jpg", ("cat", "great_dane")),
        ("{1:04}_{0}.png", ("cat", "dog")),
        ("{}-photo-{}x.jpg", ("cat", "dog")),
        ("{}_{}.JPEG", ("n01440764", "n01443537")),
        ("{} ({}).jpg".replace("(", "").replace(")", ""), ("cat", "dog")),
    ],
)
def test_a_flat_folder_is_refused_with_a_pattern_that_works(
    tmp_path: Path, pattern: str, classes: tuple[str, ...]
) -> None:
    write(tmp_path, *(f"all/{pattern.format(name, number)}" for name in classes for number in range(12)))
    with pytest.raises(NotADatasetError, match="--label-pattern") as caught:
        read_layout(tmp_path)
    (line,) = [line for line in str(caught.value).splitlines() if line.strip().startswith("--label-pattern")]
    assert read_layout(tmp_path, LabelConfig(label_pattern=shlex.split(line)[1]))[1].class_names == classes


def test_names_without_labels_are_left_out_and_splits_of_folders_are_kept(tmp_path: Path) -> None:
    write(tmp_path, *(f"{part}/{name}_{n}.jpg" for part in ("train", "val") for name in ("a", "b") for n in range(3)))
    write(tmp_path, "test/0.jpg")
    layout = read_layout(tmp_path, LabelConfig(label_pattern=r"^([a-z]+)_"))[1]
    assert {(entry.split, entry.path.split("/")[0]) for entry in layout.entries} == {("train", "train"), ("val", "val")}
    assert layout.notes == ("skipped 1 image without a label in the name, e.g. test/0.jpg",)


@pytest.mark.parametrize("names", [[f"IMG_{n}.jpg" for n in range(9)], [f"{n}.jpg" for n in range(9)], ["a.jpg"]])
def test_names_that_say_nothing_propose_nothing(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(NotADatasetError) as caught:
        read_layout(write(tmp_path, *(f"all/{name}" for name in names)))
    assert "--label-pattern '" not in str(caught.value)


def test_masks_are_left_out_of_what_is_proposed(tmp_path: Path) -> None:
    names = [f"{name}_{n}" for name in ("cat", "dog") for n in range(9)]
    write(tmp_path, *(f"images/{name}.jpg" for name in names), *(f"masks/{name}.png" for name in names))
    with pytest.raises(NotADatasetError, match="--exclude masks uses labels"):
        read_layout(tmp_path)
