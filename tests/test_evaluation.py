"""Evaluation and the verdict: scores of known answers, and the right words for each kind of trouble."""

from collections.abc import Sequence

import numpy as np
import pytest

from mien.evaluation import Answers, score, verdict
from mien.recording import Epoch
from mien.results import Evaluation, class_scores, wilson_score


class Facts:
    largest_class = "happy"


class FakeClassifier:
    class_names = ("happy", "sad")
    facts = Facts()


def make_answers(labels: Sequence[int], chosen: Sequence[int]) -> Answers:
    probs = np.where(np.array(chosen)[:, None] == np.arange(2), 0.9, 0.1).astype(np.float32)
    return Answers(np.arange(len(labels)), np.array(labels), probs)


def make_evaluation(num_right: int, num_images: int) -> Evaluation:
    half = num_images // 2
    confusion = np.array([[num_right - num_right // 2, 0], [0, num_right // 2]])
    return Evaluation(
        class_names=("happy", "sad"),
        confusion=tuple(map(tuple, confusion.tolist())),
        accuracy=wilson_score(num_right, num_images),
        baseline=wilson_score(half, num_images),
        baseline_label="happy",
        loss=0.5,
        classes=class_scores(("happy", "sad"), confusion),
    )


def make_history(*epochs: tuple[float, float, float, float]) -> list[Epoch]:
    return [Epoch(number, *figures, 1.0) for number, figures in enumerate(epochs, start=1)]


GOOD_CURVES = make_history((0.7, 0.5, 0.7, 0.5), (0.4, 0.85, 0.4, 0.85), (0.3, 0.9, 0.35, 0.88))


def test_scores_are_those_of_the_answers() -> None:
    evaluation = score(FakeClassifier(), make_answers([0, 0, 0, 1, 1], [0, 0, 1, 1, 0]))  # type: ignore[arg-type]
    assert evaluation.confusion == ((2, 1), (1, 1))
    assert evaluation.accuracy.value == pytest.approx(3 / 5)
    assert evaluation.baseline.value == pytest.approx(3 / 5)
    happy, sad = evaluation.classes
    assert [happy.precision.value, happy.recall.value, happy.f1.value] == pytest.approx([2 / 3] * 3)
    assert [sad.precision.value, sad.recall.value, sad.f1.value] == pytest.approx([0.5] * 3)
    assert evaluation.loss == pytest.approx(-(3 * np.log(0.9) + 2 * np.log(0.1)) / 5, rel=1e-6)


def test_the_baseline_is_the_class_that_one_does_best_to_say_always() -> None:
    evaluation = score(FakeClassifier(), make_answers([1, 1, 1, 0], [1, 1, 1, 0]))  # type: ignore[arg-type]
    assert (evaluation.baseline_label, evaluation.baseline.value) == ("sad", 0.75)
    even = score(FakeClassifier(), make_answers([1, 1, 0, 0], [1, 1, 1, 0]))  # type: ignore[arg-type]
    assert (even.baseline_label, even.baseline.value) == ("happy", 0.5)


def kinds(num_right: int, num_images: int, history: Sequence[Epoch] = ()) -> list[str]:
    return [finding.kind for finding in verdict(make_evaluation(num_right, num_images), history)]


def test_good_scores_on_many_pictures_are_fine() -> None:
    assert kinds(180, 200, GOOD_CURVES) == ["fine"]


def test_few_test_pictures_are_too_little_to_tell() -> None:
    assert kinds(27, 30, GOOD_CURVES) == ["too_little_data"]
    (finding,) = verdict(make_evaluation(27, 30))
    assert "74% to 97%" in finding.text


def test_a_score_that_may_be_the_baseline_is_too_little_to_tell() -> None:
    findings = verdict(make_evaluation(108, 200), GOOD_CURVES)
    assert [finding.kind for finding in findings] == ["too_little_data"]
    assert "always saying 'happy' gets 50%" in findings[0].text


def test_a_network_that_never_learns_its_own_pictures_is_underfitting() -> None:
    assert kinds(110, 200, make_history((0.7, 0.5, 0.7, 0.5), (0.69, 0.55, 0.69, 0.5)))[0] == "underfitting"


def test_a_validation_loss_that_rises_again_is_overfitting_from_the_epoch_after_the_best() -> None:
    history = make_history((0.7, 0.6, 0.7, 0.6), (0.4, 0.85, 0.5, 0.8), (0.2, 0.95, 0.6, 0.8), (0.1, 1.0, 0.9, 0.79))
    finding, _ = verdict(make_evaluation(180, 200), history)
    assert finding.kind == "overfitting"
    assert "Overfitting from epoch 3" in finding.text
    assert "epoch 2 were kept" in finding.text


def test_a_gap_between_training_and_validation_is_overfitting_though_the_loss_still_falls() -> None:
    history = make_history((0.7, 0.6, 0.69, 0.6), (0.3, 0.9, 0.66, 0.65), (0.05, 1.0, 0.65, 0.65))
    finding, _ = verdict(make_evaluation(180, 200), history)
    assert finding.kind == "overfitting"
    assert "from epoch 2" in finding.text


def test_every_finding_says_what_to_do_next() -> None:
    for history in (GOOD_CURVES, make_history((0.7, 0.5, 0.7, 0.5)), ()):
        for finding in verdict(make_evaluation(20, 30), history):
            assert len(finding.advice) > 20
