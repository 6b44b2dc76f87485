"""Label issues: planted wrong labels are found, doubt is not invented, and nothing is removed."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import dataset_of, draw_folder, record
from mien.data.decisions import load_decisions
from mien.data.scanning import scan
from mien.runs.saving import describe_label_issues, save_label_issues
from mien.scoring.label_issues import confident_joint, find_label_issues, label_issue_rows, mark_label_issues
from mien.scoring.results import Predictions


def predictions(labels: list[int], chosen: list[int], *, sure: float = 0.9, num_classes: int = 2) -> Predictions:
    probs = np.full((len(labels), num_classes), (1 - sure) / (num_classes - 1), np.float32)
    probs[np.arange(len(labels)), chosen] = sure
    return Predictions(np.arange(len(labels)), np.array(labels), probs, class_names=tuple("abc")[:num_classes])


def flipped(num_classes: int) -> tuple[NDArray[np.int64], Predictions]:
    """Give 90 sure answers, and the rows whose label was moved to the next class."""
    truth = np.arange(90) % num_classes
    wrong = np.array([7, 30, 41, 62])
    labels = truth.copy()
    labels[wrong] = (labels[wrong] + 1) % num_classes
    return wrong, predictions(labels.tolist(), truth.tolist(), num_classes=num_classes)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_planted_wrong_labels_are_found_and_no_others(num_classes: int) -> None:
    wrong, given = flipped(num_classes)
    assert sorted(label_issue_rows(given.labels, given.probs)) == wrong.tolist()


def test_the_worst_comes_first() -> None:
    given = predictions([0] * 20 + [1] * 20, [0] * 17 + [1] * 23)
    given.probs[17:20, 1] = [0.92, 0.99, 0.95]
    given.probs[17:20, 0] = 1 - given.probs[17:20, 1]
    assert label_issue_rows(given.labels, given.probs).tolist() == [18, 19, 17]


def test_the_joint_counts_every_image_of_a_class_once() -> None:
    _, given = flipped(3)
    joint = confident_joint(given.labels, given.probs)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(given.labels))
    assert joint[1, 0] == pytest.approx(2, abs=1.5)


def test_sure_and_right_predictions_make_no_label_issue() -> None:
    given = predictions([0, 1] * 20, [0, 1] * 20)
    assert len(label_issue_rows(given.labels, given.probs)) == 0


def test_a_class_without_images_is_nobodys_suggestion() -> None:
    given = predictions([0, 1] * 10, [0, 1] * 10, num_classes=3)
    assert len(label_issue_rows(given.labels, given.probs)) == 0


def test_predictions_that_know_nothing_make_no_label_issue() -> None:
    dataset = dataset_of(*(record(f"{name}/{number}.jpg") for name in ("happy", "sad") for number in range(20)))
    rng = np.random.default_rng(0)
    assert find_label_issues(dataset, predictions([0] * 20 + [1] * 20, rng.integers(0, 2, 40).tolist())) == ()


def test_label_issues_are_marked_and_stay_in_use() -> None:
    dataset = dataset_of(*(record(f"{name}/{number}.jpg") for name in ("happy", "sad") for number in range(20)))
    label_issues = find_label_issues(dataset, predictions([0] * 20 + [1] * 20, [1] + [0] * 19 + [1] * 20))
    marked = mark_label_issues(dataset, label_issues)
    assert [(s.label, s.suggested) for s in label_issues] == [("happy", "sad")]
    assert [p.code for p in marked.records[0].problems] == ["label_issue"]
    assert marked.records[0].used
    assert marked.records[1:] == dataset.records[1:]


@pytest.mark.medium
def test_the_list_has_room_for_decisions_and_the_sheet_is_an_image(tmp_path: Path) -> None:
    dataset = scan(draw_folder(tmp_path / "data", 20), keep_images=True)
    label_issues = find_label_issues(dataset, predictions([0] * 20 + [1] * 20, [1] + [0] * 19 + [1] * 20))
    save_label_issues(tmp_path, dataset, label_issues, {})
    (row,) = csv.DictReader((tmp_path / "label_issues.csv").read_text("utf-8-sig").splitlines())
    assert (row["path"], row["label"], row["suggested"], row["rank"]) == ("happy/00.jpg", "happy", "sad", "1")
    assert row["decision"] == ""
    with Image.open(tmp_path / "label_issues.png") as image:
        image.load()
    decided = {dataset.records[0].path: "keep", dataset.records[5].path: "sad"}
    save_label_issues(tmp_path, dataset, label_issues, decided)
    assert load_decisions(tmp_path / "label_issues.csv") == {dataset.records[5].path: "sad"}
    assert "1 label may be wrong" in describe_label_issues(label_issues, tmp_path)


def test_nothing_is_written_where_there_is_no_label_issue(tmp_path: Path) -> None:
    save_label_issues(tmp_path, dataset_of(record("happy/1.jpg"), record("sad/1.jpg")), (), {})
    assert list(tmp_path.iterdir()) == []
    assert describe_label_issues((), tmp_path) == ""


def test_of_many_classes_a_guess_is_no_label_issue() -> None:
    labels, chosen = [0, 1, 2] * 30, [0, 1, 2] * 30
    chosen[0:2] = [1, 2]
    dataset = dataset_of(*(record(f"{'abc'[label]}/{number}.jpg") for number, label in enumerate(labels)))
    given = predictions(labels, chosen, num_classes=3)
    given.probs[0], given.probs[1] = [0.05, 0.9, 0.05], [0.2, 0.35, 0.45]
    assert [issue.index for issue in find_label_issues(dataset, given)] == [0]
