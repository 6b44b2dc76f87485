"""Figures: they are returned and not shown, and odd names break nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import evaluation_of
from mien.figures import save_figure
from mien.recording import Epoch
from mien.results import Evaluation

ODD_NAMES = ("$\\frac{1}", "😀 \u202e right to left", "a\nb\x00", "x" * 255)


def make_evaluation(class_names: tuple[str, ...]) -> Evaluation:
    return evaluation_of((np.eye(len(class_names), dtype=np.int64) * 3 + 1).tolist(), class_names)


def test_samples_show_as_many_of_each_class_with_their_labels(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    figure = mien.plot_samples(dataset, num_images=8)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["happy"] * 4 + ["sad"] * 4
    paper = np.array(axes.images[0].get_array())
    middle, bottom = (round(value) for value in axes.texts[4].get_position())
    shown = paper[bottom + 20 : bottom + 140, middle - 60 : middle + 60].astype(int)
    places = dataset.indexes()[dataset.labels(dataset.indexes()) == 1]
    shrunk = [np.array(Image.fromarray(image).resize((161, 161))) for image in dataset.pixels(places)]
    assert min(np.abs(shown - image[18:138, 20:140].astype(int)).mean() for image in shrunk) < 12


def test_curves_mark_the_epoch_that_was_kept() -> None:
    history = [Epoch(number, 1 / number, 0.5, abs(number - 2) + 0.1, 0.5, 1.0) for number in (1, 2, 3)]
    loss, accuracy = mien.plot_history(history).axes
    assert (loss.get_title(), accuracy.get_title()) == ("Loss", "Accuracy")
    assert [line.get_label() for line in loss.lines] == [
        "training",
        "validation",
        "kept: epoch 2, of the lowest validation loss",
    ]


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


def test_reliability_shows_each_bin_and_each_threshold_with_its_interval() -> None:
    evaluation = evaluation_of([[40, 10], [10, 40]], sure=0.8)
    sure, left = mien.plot_reliability(evaluation).axes
    points, shares = (np.array(place.lines[1].get_xydata()) for place in (sure, left))
    assert points.round(6).tolist() == [[0.8, 0.8]]
    assert shares[0].tolist() == [1, 0.8]
    assert len(sure.collections) == len(left.collections) == 1


@pytest.mark.parametrize("num_classes", [2, 40])
def test_any_number_of_classes_and_odd_names_are_drawn(tmp_path: Path, num_classes: int) -> None:
    names = tuple(f"{ODD_NAMES[number % 4]}{number}" for number in range(num_classes))
    save_figure(mien.plot_confusion(make_evaluation(names)), tmp_path / "confusion.png")
    save_figure(mien.plot_reliability(make_evaluation(names)), tmp_path / "reliability.png")
    with Image.open(tmp_path / "confusion.png") as image:
        image.load()
        assert max(image.size) < 3000
