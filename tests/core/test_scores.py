"""Scores: intervals as their authors give them."""

import numpy as np
import pytest

from mien.core.scores import Score, class_scores, f1_score, wilson_score


@pytest.mark.parametrize(
    ("num_right", "num_images", "low", "high"),
    [
        (30, 30, 0.886, 1.0),
        (29, 30, 0.833, 0.994),
        (27, 30, 0.744, 0.965),
        (57, 60, 0.863, 0.983),
        (0, 30, 0.0, 0.114),
        (1, 1, 0.207, 1.0),
    ],
)
def test_the_interval_is_wilsons(num_right: int, num_images: int, low: float, high: float) -> None:
    score = wilson_score(num_right, num_images)
    assert score.value == num_right / num_images
    assert (round(score.low, 3), round(score.high, 3)) == (low, high)
    assert score.num_images == num_images


def test_where_nothing_was_counted_nothing_is_known() -> None:
    assert wilson_score(0, 0) == Score(None, 0.0, 1.0, 0)
    assert f1_score(0, 0, 0) == Score(None, 0.0, 1.0, 0)
    assert str(wilson_score(0, 0)) == "none"


def test_a_score_is_said_with_its_interval() -> None:
    assert str(wilson_score(57, 60)) == "95% (95% interval 86% to 98%, n = 60)"


@pytest.mark.parametrize("num_images", [1, 5, 30, 1000])
def test_an_interval_holds_its_score_and_stays_between_0_and_1(num_images: int) -> None:
    for num_right in range(num_images + 1):
        score = wilson_score(num_right, num_images)
        assert score.value is not None
        assert 0 <= score.low <= score.value + 1e-12 and score.value - 1e-12 <= score.high <= 1
        assert score.low < score.high


@pytest.mark.parametrize(("right", "false", "missed"), [(8, 2, 3), (1, 0, 9), (30, 0, 0), (0, 4, 4), (17, 17, 1)])
def test_f1_is_the_harmonic_mean_of_precision_and_recall(right: int, false: int, missed: int) -> None:
    precision, recall = right / (right + false), right / (right + missed)
    expected = 2 * precision * recall / (precision + recall) if right else 0.0
    score = f1_score(right, false, missed)
    assert score.value == pytest.approx(expected)
    assert 0 <= score.low <= expected <= score.high + 1e-12 and score.high <= 1


def values(score: Score) -> tuple[float | None, int]:
    return (None if score.value is None else round(score.value, 4), score.num_images)


def test_scores_of_each_class_are_those_counted_by_hand() -> None:
    confusion = np.array([[8, 2, 0], [1, 4, 0], [5, 0, 0]])
    labels, answers = (np.repeat(numbers.ravel(), confusion.ravel()) for numbers in np.indices((3, 3)))
    happy, sad, calm = class_scores(("happy", "sad", "calm"), labels, answers)
    assert [c.label for c in (happy, sad, calm)] == ["happy", "sad", "calm"]
    assert (values(happy.precision), values(happy.recall)) == ((round(8 / 14, 4), 14), (0.8, 10))
    assert values(happy.f1) == (round(16 / 24, 4), 16)
    assert (values(sad.precision), values(sad.recall)) == ((round(4 / 6, 4), 6), (0.8, 5))
    assert (values(calm.precision), values(calm.recall), values(calm.f1)) == ((None, 0), (0.0, 5), (0.0, 5))


@pytest.mark.parametrize(("num_folds", "inflation"), [(2, 3.0), (5, 2.25), (10, 1 + 10 / 9)])
def test_the_interval_of_folds_is_that_of_fewer_images(num_folds: int, inflation: float) -> None:
    score = wilson_score(90, 180, num_folds=num_folds)
    as_if = wilson_score(45, 90)
    share = 180 / inflation
    middle, half = score.low + score.high, score.high - score.low
    assert middle == pytest.approx(1)
    assert half == pytest.approx((as_if.high - as_if.low) * ((90 + 3.8415) / (share + 3.8415)) ** 0.5, rel=1e-3)
    assert score.num_images == 180 and f"{num_folds} folds" in score.method


def test_the_interval_of_grouped_images_is_that_of_as_many_images_as_there_are_groups() -> None:
    groups = np.repeat(np.arange(20), 5)
    score = wilson_score(90, 100, groups=groups)
    as_if = wilson_score(18, 20)
    assert (score.low, score.high) == pytest.approx((as_if.low, as_if.high))
    assert str(score) == f"90% (95% interval {as_if.low:.0%} to {as_if.high:.0%}, 100 images of 20 groups)"
    uneven = wilson_score(90, 100, groups=np.repeat([0, *range(1, 21)], [80, *[1] * 20]))
    assert uneven.low < score.low
    assert wilson_score(0, 0, groups=np.zeros(0, np.int64)).value is None


def test_the_interval_of_groups_that_are_answered_alike_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    groups, held = np.repeat(np.arange(40), 8), 0
    for _ in range(200):
        right = np.repeat(rng.random(40) < 0.7, 8)
        score = wilson_score(int(right.sum()), len(right), groups=groups)
        held += score.low <= 0.7 <= score.high
    assert held >= 180
