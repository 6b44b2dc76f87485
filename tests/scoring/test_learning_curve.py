"""The learning curve: it says that more helps where it does, and owns up where it cannot tell."""

import json

import numpy as np
import pytest

from conftest import evaluation_of
from mien.scoring.learning_curve import AnswersByShare, LearningCurve, measure_learning_curve
from mien.scoring.results import Scores, scores_from_dict
from mien.scoring.verdict import judge_learning_curve

SHARES = (0.2, 0.4, 0.6, 1.0)


def answers(accuracies: list[float], num_images: int, *, num_copies: int = 1, num_classes: int = 2) -> AnswersByShare:
    """Return answers of which the given shares are right: an image is right once enough was learnt from for it."""
    rng = np.random.default_rng(0)
    hardness = rng.permutation((np.arange(num_images) + 0.5) / num_images)
    right = np.repeat(hardness < np.array(accuracies)[:, None], num_copies, axis=1)
    groups = np.repeat(np.arange(num_images), num_copies)
    trained = tuple(round(0.8 * share * len(groups)) for share in SHARES)
    return AnswersByShare(SHARES, trained, right, groups % num_classes, groups)


def curve_of(accuracies: list[float], num_images: int, *, num_copies: int = 1, num_classes: int = 2) -> LearningCurve:
    given = answers(accuracies, num_images, num_copies=num_copies, num_classes=num_classes)
    names = tuple("abcdefghijkl"[:num_classes])
    return measure_learning_curve(given, class_names=names, num_folds=5, by_groups=num_copies > 1)


def kind_of(curve: LearningCurve) -> str:
    (finding,) = judge_learning_curve(curve)
    return finding.kind


def test_a_curve_that_rises_promises_less_than_the_last_doubling_brought() -> None:
    curve = curve_of([0.6, 0.7, 0.76, 0.83], 1000)
    assert kind_of(curve) == "more_images"
    last_doubling = 0.13 / np.log2(2.5)
    assert 0 < (curve.gain.value or 0) < last_doubling
    assert curve.gain.low < (curve.gain.value or 0) < curve.gain.high
    (finding,) = judge_learning_curve(curve)
    assert finding.text.startswith("Twice as many images like these would change the accuracy by about +6 points (")


def test_a_flat_curve_says_that_more_will_hardly_help() -> None:
    (finding,) = judge_learning_curve(curve_of([0.9, 0.95, 0.95, 0.95], 400))
    assert finding.kind == "enough_images"
    assert "hardly help" in finding.text and finding.advice.startswith("Look at the mistakes")


def test_where_nothing_is_wrong_nobody_is_sent_to_the_mistakes() -> None:
    (finding,) = judge_learning_curve(curve_of([0.9, 0.98, 1.0, 1.0], 400))
    assert finding.kind == "enough_images" and finding.advice.startswith("Try it on images from where")


def test_a_curve_that_falls_promises_nothing() -> None:
    curve = curve_of([0.9, 0.9, 0.89, 0.88], 400)
    assert curve.gain.value == 0
    assert kind_of(curve) != "more_images"


def test_a_steep_start_is_no_promise() -> None:
    assert kind_of(curve_of([0.5, 0.9, 0.9, 0.9], 1000)) == "enough_images"


def test_of_few_images_it_says_that_it_cannot_tell() -> None:
    assert kind_of(curve_of([0.6, 0.7, 0.76, 0.83], 60)) == "short_curve"
    short = curve_of([0.6, 0.7, 0.76, 0.83], 30)
    assert not short.is_long_enough
    assert kind_of(short) == "short_curve"


def test_twenty_images_that_are_all_right_are_not_enough() -> None:
    curve = curve_of([1.0] * 4, 20)
    assert kind_of(curve) == "short_curve"
    assert (curve.gain.value, curve.gain.high > 0.05) == (0, True)


def test_copies_of_images_tell_no_more_than_one_of_them() -> None:
    alone, copied = (curve_of([0.6, 0.7, 0.76, 0.83], 200, num_copies=count) for count in (1, 5))
    assert copied.gain.high - copied.gain.low > 0.95 * (alone.gain.high - alone.gain.low)


def test_the_gain_stays_within_what_is_left() -> None:
    curve = curve_of([0.1, 0.4, 0.7, 0.98], 500)
    assert (curve.gain.value or 0) <= 0.02 + 1e-9
    assert curve.gain.high <= 1 - curve.points[-1].accuracy.low


@pytest.mark.parametrize("num_classes", [2, 10])
def test_the_class_that_gains_more_than_the_others_is_named(num_classes: int) -> None:
    given = answers([0.8] * 4, 1000, num_classes=num_classes)
    right = given.right.copy()
    of_class = np.flatnonzero(given.labels == 1)
    for row, share in enumerate((0.3, 0.4, 0.5, 0.9)):
        right[row, of_class] = np.arange(len(of_class)) < share * len(of_class)
    names = tuple("abcdefghijkl"[:num_classes])
    changed = AnswersByShare(given.shares, given.num_trained, right, given.labels, given.groups)
    assert measure_learning_curve(changed, class_names=names, num_folds=5).gains_most == "b"
    assert measure_learning_curve(given, class_names=names, num_folds=5).gains_most == ""


def test_a_class_of_one_image_is_not_named() -> None:
    given = answers([0.6, 0.7, 0.76, 0.83], 300)
    labels = np.zeros(300, np.int64)
    labels[0] = 1
    curve = measure_learning_curve(
        AnswersByShare(SHARES, given.num_trained, given.right, labels, given.groups), class_names="ab", num_folds=5
    )
    assert curve.gains_most in ("", "a")


def test_a_curve_comes_back_from_json_and_scores_without_one_are_read_too() -> None:
    evaluation = evaluation_of([[14, 1], [2, 13]])
    for curve in (curve_of([0.6, 0.7, 0.76, 0.83], 100), None):
        scores = Scores(evaluation, learning_curve=curve)
        document = json.loads(json.dumps(scores.to_dict()))
        assert ("learning_curve" in document) == (curve is not None)
        assert scores_from_dict(document) == scores


def test_a_curve_without_points_is_refused() -> None:
    document = Scores(evaluation_of([[14, 1], [2, 13]]), learning_curve=curve_of([0.8] * 4, 100)).to_dict()
    document["learning_curve"]["points"] = []
    with pytest.raises(ValueError, match="learning curve"):
        scores_from_dict(document)


def test_without_a_curve_nothing_is_said() -> None:
    assert judge_learning_curve(None) == ()
