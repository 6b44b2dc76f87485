"""Calibration: the error is found where there is one, and only there; a threshold keeps its word."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.scoring.calibration import choose_threshold, measure_calibration, measure_coverage, try_thresholds


def draw(num_images: int, seed: int, *, sharper: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw probabilities and labels; the probabilities are what they should be, or sharper."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, num_images)
    labels = (rng.random(num_images) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    second = 1 / (1 + np.exp(-logits * sharper))
    return np.stack([1 - second, second], axis=1).astype(np.float32), labels


@pytest.mark.slow
@pytest.mark.parametrize("num_images", [60, 240])
def test_probabilities_that_hold_what_they_say_are_not_blamed(num_images: int) -> None:
    blamed = [measure_calibration(*draw(num_images, seed)).error.low > 0 for seed in range(60)]
    assert sum(blamed) <= 8


@pytest.mark.slow
@pytest.mark.parametrize(("sharper", "error"), [(2.0, 0.102), (0.5, 0.096)])
def test_the_interval_holds_the_true_error(sharper: float, error: float) -> None:
    found = [measure_calibration(*draw(240, seed, sharper=sharper)).error for seed in range(60)]
    assert sum(score.low <= error <= score.high for score in found) >= 52
    assert np.mean([score.value for score in found]) == pytest.approx(error, abs=0.02)


def test_bins_hold_as_many_images_each_and_run_from_unsure_to_sure() -> None:
    probs, labels = draw(1000, 0)
    calibration = measure_calibration(probs, labels)
    assert [item.accuracy.num_images for item in calibration.bins] == [100] * 10
    confidences = [item.confidence for item in calibration.bins]
    assert confidences == sorted(confidences)
    assert calibration.confidence == pytest.approx(float(probs.max(axis=1).mean()), abs=1e-6)


def test_one_image_is_enough_to_be_measured() -> None:
    calibration = measure_calibration(np.array([[0.25, 0.75]], np.float32), np.array([1]))
    assert len(calibration.bins) == 1
    assert calibration.error.value == pytest.approx(0.25)


def test_the_same_answers_give_the_same_interval() -> None:
    assert measure_calibration(*draw(100, 3)) == measure_calibration(*draw(100, 3))


def test_coverage_counts_what_is_answered_and_what_of_that_is_right() -> None:
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)
    rows = {row.threshold: row for row in measure_coverage(probs, np.array([0, 0, 1, 1]), threshold=0.63)}
    assert (rows[0].answered.value, rows[0].accuracy.value) == (1, 0.5)
    assert (rows[0.63].answered.value, rows[0.63].accuracy.value) == (0.5, 1)
    assert (rows[0.85].answered.value, rows[0.85].accuracy.num_images) == (0.25, 1)
    assert rows[0.95].accuracy.value is None
    assert 0.5 not in rows


def test_thresholds_below_chance_are_left_out_for_many_classes_too() -> None:
    rows = measure_coverage(np.full((3, 10), 0.1, np.float32), np.zeros(3, np.int64))
    assert [row.threshold for row in rows][:3] == [0, 0.125, 0.15]


def test_a_threshold_is_not_chosen_by_a_handful_of_answers() -> None:
    sure = np.tile(np.array([[0.02, 0.98]], np.float32), (9, 1))
    probs = np.concatenate([sure, np.tile(np.array([[0.3, 0.7]], np.float32), (20, 1))])
    labels = np.array([1] * 9 + [0, 1] * 10)
    assert choose_threshold(measure_coverage(probs, labels), 0.9) is None
    chosen = choose_threshold(measure_coverage(np.repeat(probs, 2, axis=0), np.repeat(labels, 2)), 0.9)
    assert chosen is not None and chosen.threshold == 0.725


def test_a_threshold_is_tried_on_images_that_it_was_not_chosen_by() -> None:
    # Probabilities without meaning: what seems right above some threshold is chance, and no more than that elsewhere.
    chosen_on: list[float] = []
    tried: list[float] = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.5, 1, 60).astype(np.float32)
        probs, labels = np.stack([confidence, 1 - confidence], 1), (rng.random(60) > 0.7).astype(np.int64)
        row = choose_threshold(measure_coverage(probs, labels), 0.8)
        _, accuracy = try_thresholds(probs, labels, 0.8)
        chosen_on += [] if row is None else [row.accuracy.value or 0]
        tried += [] if accuracy.value is None else [accuracy.value]
    assert len(chosen_on) > 15 and len(tried) > 50
    assert np.mean(chosen_on) > 0.79 and abs(np.mean(tried) - 0.7) < 0.03


def test_a_threshold_that_means_something_holds_on_other_images() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 2000).astype(np.float32)
    probs, labels = np.stack([confidence, 1 - confidence], 1), (rng.random(2000) > confidence).astype(np.int64)
    for groups in (None, np.arange(2000) // 4):
        answered, accuracy = try_thresholds(probs, labels, 0.85, groups=groups)
        assert accuracy.low < 0.85 < accuracy.high and 0.4 < (answered.value or 0) < 0.8
    assert try_thresholds(probs[:1], labels[:1], 0.85)[0].num_images == 1
