"""Figures: they are returned and not shown, and odd names break nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.figures import save_figure
from mien.recording import Epoch
from mien.results import Evaluation, class_scores, wilson_score

ODD_NAMES = ("$\\frac{1}", "😀 \u202e right to left", "a\nb\x00", "x" * 255)


def make_evaluation(class_names: tuple[str, ...]) -> Evaluation:
    confusion = np.eye(len(class_names), dtype=np.int64) * 3 + 1
    scores = class_scores(class_names, confusion)
    rows = tuple(map(tuple, confusion.tolist()))
    return Evaluation(class_names, rows, wilson_score(4, 5), wilson_score(2, 5), class_names[0], 0.5, scores)


def test_samples_show_as_many_of_each_class_with_their_labels(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    figure = mien.plot_samples(dataset, num_images=8)
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["happy"] * 4 + ["sad"] * 4


def test_curves_mark_the_epoch_that_was_kept() -> None:
    history = [Epoch(number, 1 / number, 0.5, abs(number - 2) + 0.1, 0.5, 1.0) for number in (1, 2, 3)]
    loss, accuracy = mien.plot_history(history).axes
    assert (loss.get_title(), accuracy.get_title()) == ("Loss", "Accuracy")
    assert [line.get_label() for line in loss.lines] == ["training", "validation", "kept: epoch 2"]


def test_the_confusion_matrix_has_the_truth_down_and_the_answer_across() -> None:
    evaluation = replace(make_evaluation(("happy", "sad")), confusion=((5, 2), (0, 7)))
    (axes,) = mien.plot_confusion(evaluation).axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "5",
        (1, 0): "2",
        (0, 1): "0",
        (1, 1): "7",
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer", "truth")


@pytest.mark.parametrize("num_classes", [2, 40])
def test_any_number_of_classes_and_odd_names_are_drawn(tmp_path: Path, num_classes: int) -> None:
    names = tuple(f"{ODD_NAMES[number % 4]}{number}" for number in range(num_classes))
    save_figure(mien.plot_confusion(make_evaluation(names)), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        image.load()
        assert max(image.size) < 3000
