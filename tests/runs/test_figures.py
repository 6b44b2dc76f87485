"""Figures: they are returned and not shown, and odd names break nothing."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import classifier_of, draw_folder, evaluation_of
from mien.core.progress import Epoch
from mien.errors import SettingsError
from mien.runs.figures import plot_label_issues, save_figure
from mien.scoring.evaluation import score
from mien.scoring.results import Evaluation

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


def test_mistakes_come_with_truth_and_answer_the_surest_first(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    places = dataset.indexes()[[0, 1, 12, 13]]
    probs = np.array([[0.3, 0.7], [0.8, 0.2], [0.95, 0.05], [0.4, 0.6]], np.float32)
    predictions = mien.Predictions(places, np.array([0, 0, 1, 1]), probs, class_names=("happy", "sad"))
    (axes,) = mien.plot_mistakes(dataset, predictions).axes
    assert [text.get_text() for text in axes.texts] == [
        "happy 95%, not sad\nsad/00.jpg",
        "sad 70%, not happy\nhappy/00.jpg",
    ]
    (first,) = mien.plot_mistakes(dataset, predictions, num_images=1).axes
    assert [text.get_text() for text in first.texts] == ["happy 95%, not sad\nsad/00.jpg"]


def test_names_of_a_classifier_that_knows_more_classes_are_its_own(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    probs = np.array([[0.9, 0.0, 0.1]], np.float32)
    predictions = mien.Predictions(np.array([0]), np.array([1]), probs, class_names=("$x$", "happy", "sad"))
    (axes,) = mien.plot_mistakes(dataset, predictions).axes
    assert axes.texts[0].get_text().startswith("$x$ 90%, not happy")
    assert not axes.texts[0].get_parse_math()


def test_answers_about_other_images_and_odd_numbers_are_refused(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    probs = np.array([[0.9, 0.1]], np.float32)
    for place, label in ((0, 1), (10_000, 0)):
        predictions = mien.Predictions(np.array([place]), np.array([label]), probs, class_names=("happy", "sad"))
        with pytest.raises(SettingsError, match="other images"):
            mien.plot_mistakes(dataset, predictions)
    with pytest.raises(SettingsError, match="num_images is 0"):
        mien.plot_samples(dataset, num_images=0)
    with pytest.raises(SettingsError, match="seed is -1"):
        mien.plot_samples(dataset, seed=-1)


def test_where_nothing_was_answered_wrongly_that_is_said(data: Path) -> None:
    dataset = mien.clean(mien.scan(data))
    predictions = mien.Predictions(
        np.array([0]), np.array([0]), np.array([[0.9, 0.1]], np.float32), class_names=("happy", "sad")
    )
    (text,) = mien.plot_mistakes(dataset, predictions).texts
    assert text.get_text() == "No mistake among 1 answers"


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
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer", "truth")


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


def test_a_long_name_keeps_its_class_and_its_end_and_stays_within_its_image(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "data", 1)
    (folder / "sad" / "00.jpg").rename(folder / "sad" / f"{'Wide' * 50}-the-end.jpg")
    dataset = mien.clean(mien.scan(folder))
    (place,) = (figure := plot_label_issues(dataset, {0: "first", 1: "second"})).axes
    figure.png()
    assert (name := place.texts[1].get_text().split("\n")[1]).startswith("sad/Wide") and name.endswith("-the-end.jpg")
    first, second = (text.get_window_extent() for text in place.texts)
    assert second.x1 <= figure.bbox.x1 and not first.overlaps(second)


@pytest.mark.parametrize("num_classes", [2, 40])
def test_any_number_of_classes_and_odd_names_are_drawn(tmp_path: Path, num_classes: int) -> None:
    names = tuple(f"{ODD_NAMES[number % 4]}{number}" for number in range(num_classes))
    save_figure(mien.plot_confusion(make_evaluation(names)), tmp_path / "confusion.png")
    save_figure(mien.plot_reliability(make_evaluation(names)), tmp_path / "reliability.png")
    with Image.open(tmp_path / "confusion.png") as image:
        image.load()
        assert max(image.size) < 3000
