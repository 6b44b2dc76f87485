"""Figures: they are returned and not shown, and odd names break nothing."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import classifier_of, evaluation_of
from mien.core.progress import Epoch
from mien.runs.figures import save_figure
from mien.scoring.evaluation import score
from mien.scoring.results import Evaluation

pytestmark = pytest.mark.medium

ODD_NAMES = ("$\\frac{1}", "😀 \u202e right to left", "a\nb\x00", "x" * 255)


def make_evaluation(class_names: tuple[str, ...]) -> Evaluation:
    return evaluation_of((np.eye(len(class_names), dtype=np.int64) * 3 + 1).tolist(), class_names)


def test_curves_mark_the_epoch_of_the_lowest_validation_loss_in_a_legend_that_hides_none_of_them() -> None:
    history = [Epoch(number, 1 / number, 0.5, abs(number - 2) + 0.1, 0.5, 1.0) for number in (1, 2, 3)]
    figure = mien.plot_history(history)
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("Loss", "Accuracy")
    assert [line.get_label() for line in loss.lines] == [
        "training",
        "validation",
        "lowest validation loss: epoch 2",
    ]
    figure.png()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert all(box.y1 <= place.get_window_extent().y0 for place in (loss, accuracy))


def test_the_confusion_matrix_has_the_truth_down_and_the_answer_across() -> None:
    evaluation = replace(make_evaluation(("happy", "sad")), confusion=((5, 2), (0, 7)))
    (axes,) = mien.plot_confusion(evaluation).axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "5",
        (1, 0): "2",
        (0, 1): "0",
        (1, 1): "7",
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "truth")


def test_reliability_shows_each_bin_and_each_threshold_with_its_interval() -> None:
    evaluation = evaluation_of([[40, 10], [10, 40]], sure=0.8)
    sure, left = mien.plot_reliability(evaluation).axes
    points, shares = (np.array(place.lines[1].get_xydata()) for place in (sure, left))
    assert points.round(6).tolist() == [[0.8, 0.8]]
    assert shares[0].tolist() == [1, 0.8]
    assert len(sure.collections) == len(left.collections) == 1


def test_thresholds_stand_apart_and_above_the_frame() -> None:
    probs = np.linspace(0.51, 0.999, 300)
    predictions = mien.Predictions(
        np.arange(300),
        np.arange(300) % 7 // 6,
        np.stack([probs, 1 - probs], 1).astype(np.float32),
        class_names=("happy", "sad"),
    )
    figure = mien.plot_reliability(score(classifier_of(("happy", "sad")), predictions))
    figure.png()
    left = figure.axes[1]
    boxes = [label.get_window_extent() for label in left.child_axes[0].get_xticklabels()]
    assert {label.get_text() for label in left.child_axes[0].get_xticklabels()} > {"55%", "95%"}
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.y0 > left.get_window_extent().y1 and box.x1 < figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize("num_classes", [2, 9, pytest.param(40, marks=pytest.mark.slow)])
def test_any_number_of_classes_and_odd_names_are_drawn(tmp_path: Path, num_classes: int) -> None:
    names = tuple(f"{ODD_NAMES[number % 4]}{number}" for number in range(num_classes))
    save_figure(mien.plot_confusion(make_evaluation(names)), tmp_path / "confusion.png")
    save_figure(mien.plot_reliability(make_evaluation(names)), tmp_path / "reliability.png")
    with Image.open(tmp_path / "confusion.png") as image:
        image.load()
        assert max(image.size) < 3000
