"""Shortcuts: facts that give the label away are named, with the direction; chance is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import dataset_of, draw_folder, draw_image, record, save_image
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord
from mien.data.scanning import scan
from mien.data.shortcuts import _num_right, describe_shortcuts, find_shortcuts, load_hosts
from mien.fetching.source_log import SourceRecord, write_sources


def moods(
    num_images: int = 60, *, names: tuple[str, ...] = ("happy", "sad"), **by_class: tuple[object, ...]
) -> Dataset:
    """Return images whose facts are chance, but for those given for each class."""
    rng = np.random.default_rng(0)
    records: list[ImageRecord] = []
    for place, name in enumerate(names):
        for number in range(num_images):
            facts = {
                "num_bytes": int(rng.integers(10_000, 90_000)),
                "width": int(rng.integers(200, 900)),
                "height": int(rng.integers(200, 900)),
                "brightness": float(rng.random()),
                "colour": float(rng.random()),
            }
            given = {key: values[place] for key, values in by_class.items()}
            records.append(record(f"{name}/{number}.jpg", **(facts | given)))
    return dataset_of(*records)


def test_a_fact_that_tells_the_classes_apart_is_named_with_its_direction() -> None:
    found = find_shortcuts(moods(brightness=(0.7, 0.4)))
    assert {"brightness"} <= {shortcut.fact for shortcut in found} <= {"brightness", "all together"}
    (text,) = [shortcut.text for shortcut in found if shortcut.fact == "brightness"]
    assert (
        "'sad' images are darker (median 40% of full brightness) than 'happy' images (70% of full brightness)" in text
    )
    assert "brightness alone predicts the label with an accuracy of 100%" in text
    lines = "\n".join(describe_shortcuts(found))
    assert "Always guessing 'happy' gets 50%" in lines
    assert "What to do" in lines


def test_the_kind_of_file_is_a_fact_too() -> None:
    found = find_shortcuts(moods(format=("JPEG", "PNG")))
    assert any("100% of the 'happy' images are JPEG, but 0% of the 'sad' images" in shortcut.text for shortcut in found)


def test_three_classes_are_told_apart() -> None:
    found = find_shortcuts(moods(names=("calm", "happy", "sad"), num_bytes=(30_000, 9_000, 60_000)))
    (text,) = [shortcut.text for shortcut in found if shortcut.fact == "file size"]
    assert text.startswith("'happy' images are smaller files (median 8.8 KB) than 'sad' images (59 KB)")
    assert found[0].accuracy.value == 1
    assert found[0].baseline.value == pytest.approx(1 / 3)


def test_a_crooked_relation_is_found_as_well() -> None:
    dataset = moods()
    rng = np.random.default_rng(1)
    ends = [replace(r, colour=0.5 if r.label == "sad" else float(rng.choice([0.1, 0.9]))) for r in dataset.records]
    assert "colour" in {shortcut.fact for shortcut in find_shortcuts(dataset.with_records(ends))}


@pytest.mark.medium
def test_chance_is_seldom_called_a_shortcut() -> None:
    dataset = moods(40)
    alarms = 0
    for seed in range(40):
        labels = np.random.default_rng(seed).permutation([r.label for r in dataset.records]).tolist()
        records = [replace(r, label=label) for r, label in zip(dataset.records, labels, strict=True)]
        alarms += bool(find_shortcuts(dataset.with_records(records), seed=seed))
    # 5% of 40 are 2; more than 6 would come once in three hundred times.
    assert alarms <= 6


@pytest.mark.parametrize(
    "dataset",
    [
        dataset_of(record("happy/1.jpg"), record("sad/1.jpg")),
        dataset_of(*(record(f"happy/{number}.jpg") for number in range(40)), record("sad/1.jpg", used=False)),
        dataset_of(*(record(f"{name}/{number}.jpg") for name in ("happy", "sad") for number in range(40))),
    ],
    ids=["too few", "one class", "all alike"],
)
def test_nothing_is_said_where_nothing_can_be(dataset: Dataset) -> None:
    assert find_shortcuts(dataset) == ()
    assert describe_shortcuts(()) == []


def test_near_copies_count_once() -> None:
    copies = [record(f"sad/copy{number}.jpg", group=1, colour=0.987, brightness=0.5) for number in range(60)]
    dataset = moods()
    assert find_shortcuts(dataset_of(*dataset.records, *copies)) == ()


def test_the_host_that_images_came_from_is_a_fact_where_it_is_known(tmp_path: Path) -> None:
    dataset = replace(moods(), root=tmp_path)
    urls = [f"https://{r.label}.example.org/{number}.jpg" for number, r in enumerate(dataset.records)]
    rows = [
        SourceRecord(r.path, url, "2026-01-31", "ok", r.sha256) for r, url in zip(dataset.records, urls, strict=True)
    ]
    write_sources(tmp_path, rows)
    (found,) = [shortcut for shortcut in find_shortcuts(dataset) if shortcut.fact == "source host"]
    assert "100% of the 'happy' images are from happy.example.org, but 0% of the 'sad' images" in found.text


@pytest.mark.parametrize(
    "content", ["", "path\nx", "a,b\n1,2\n", "path,url\nx,http://[bad\n", "\0\0\0", "path,url\nonly\n"]
)
def test_a_damaged_list_of_sources_is_one_fact_less(tmp_path: Path, content: str) -> None:
    (tmp_path / "sources.csv").write_text(content)
    assert load_hosts(tmp_path) == {}
    assert load_hosts(tmp_path / "gone") == {}


def test_a_scan_sees_what_is_dark_and_grey(tmp_path: Path) -> None:
    draw_folder(tmp_path / "data", 12)
    for number in range(12):
        dark = draw_image(500 + number).convert("L").convert("RGB").point(lambda level: level // 4)
        save_image(tmp_path / "data" / "sad" / f"{number:02}.jpg", dark)
    facts = {shortcut.fact for shortcut in find_shortcuts(clean(scan(tmp_path / "data")))}
    assert {"brightness", "colour"} <= facts


@pytest.mark.medium
def test_of_very_many_images_a_thousand_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []

    def counted(rows: NDArray[np.float64], labels: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
        looked_at.append(len(rows))
        return _num_right(rows, labels, num_classes)

    monkeypatch.setattr("mien.data.shortcuts._num_right", counted)
    find_shortcuts(moods(10_000))
    assert set(looked_at) == {1000}


def test_the_size_of_a_png_file_is_said_to_depend_on_what_it_shows() -> None:
    for kind, is_said in (("PNG", True), ("JPEG", False)):
        found = find_shortcuts(moods(num_bytes=(9_000, 60_000), format=(kind, kind)))
        (text,) = [shortcut.text for shortcut in found if shortcut.fact == "file size"]
        assert text.endswith("(in PNG files, this also depends on what the images show)") == is_said
