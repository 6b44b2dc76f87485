"""Evaluation: the scores of known answers."""

import json

import numpy as np
import pytest

import mien
from conftest import evaluation_of
from mien.core.probabilities import mean_auc, softmax
from mien.errors import SettingsError
from mien.scoring.results import evaluation_from_dict


def test_scores_are_those_of_the_answers() -> None:
    evaluation = evaluation_of([[2, 1], [1, 1]])
    assert evaluation.confusion == ((2, 1), (1, 1))
    assert evaluation.accuracy.value == pytest.approx(3 / 5)
    assert evaluation.baseline.value == pytest.approx(3 / 5)
    happy, sad = evaluation.classes
    assert [happy.precision.value, happy.recall.value, happy.f1.value] == pytest.approx([2 / 3] * 3)
    assert [sad.precision.value, sad.recall.value, sad.f1.value] == pytest.approx([0.5] * 3)
    assert evaluation.loss == pytest.approx(-(3 * np.log(0.9) + 2 * np.log(0.1)) / 5, rel=1e-6)


def test_the_baseline_is_the_class_that_one_does_best_to_say_always() -> None:
    evaluation = evaluation_of([[1, 0], [0, 3]])
    assert (evaluation.baseline_label, evaluation.baseline.value) == ("sad", 0.75)
    even = evaluation_of([[1, 1], [0, 2]])
    assert (even.baseline_label, even.baseline.value) == ("happy", 0.5)


def test_answers_of_folds_count_for_less_than_answers_of_one_classifier() -> None:
    alone, folds = evaluation_of([[80, 20], [20, 80]]), evaluation_of([[80, 20], [20, 80]], num_folds=5)
    assert folds.accuracy.value == alone.accuracy.value and folds.num_folds == 5
    for wider, narrower in (
        (folds.accuracy, alone.accuracy),
        (folds.classes[0].recall, alone.classes[0].recall),
        (folds.classes[1].f1, alone.classes[1].f1),
        (folds.coverage[0].accuracy, alone.coverage[0].accuracy),
    ):
        assert wider.low < narrower.low and wider.high > narrower.high
        assert "5 folds" in wider.method and narrower.method == "Wilson"


@pytest.mark.parametrize("value", [50.0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_score_that_cannot_be_is_refused(value: object) -> None:
    document = json.loads(json.dumps(evaluation_of([[8, 2], [1, 9]]).to_dict()))
    document["accuracy"]["high"] = value
    with pytest.raises(ValueError, match=r"score|high"):
        evaluation_from_dict(document)


def test_an_evaluation_comes_back_from_json() -> None:
    for evaluation in (evaluation_of([[8, 2], [1, 9]], num_folds=5), evaluation_of([[8, 2], [1, 9]])):
        assert evaluation_from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation


@pytest.mark.parametrize(
    "counts",
    [
        [[8, 2], [1, 9]],
        [[90, 0], [9, 1]],
        [[8, 2, 0], [1, 9, 1], [0, 0, 5]],
        # A class without images that was predicted, and one that was not.
        [[8, 2, 1], [1, 9, 0], [0, 0, 0]],
        [[8, 2, 0], [1, 9, 0], [0, 0, 0]],
        # A class that was never predicted.
        [[8, 2, 0], [1, 9, 0], [3, 0, 0]],
    ],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_and_macro_f1_are_those_of_scikit_learn(counts: list[list[int]]) -> None:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    evaluation = evaluation_of(counts, ("a", "b", "c")[: len(counts)])
    labels, answers = np.repeat(np.indices((len(counts),) * 2).reshape(2, -1), np.ravel(counts), axis=1)
    assert evaluation.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, answers))
    assert evaluation.macro_f1 == pytest.approx(f1_score(labels, answers, average="macro"))


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("decimals", [1, 7])
def test_the_auc_is_that_of_scikit_learn(num_classes: int, decimals: int) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(num_classes)
    labels = rng.integers(num_classes, size=200)
    probs = softmax(rng.normal(size=(200, num_classes)) + np.eye(num_classes)[labels]).round(decimals)
    # With one decimal, many are equal, and the rows need not sum to 1.
    expected = np.mean([roc_auc_score(labels == number, probs[:, number]) for number in range(num_classes)])
    assert mean_auc(probs, labels) == pytest.approx(expected)
    if decimals == 7 and num_classes == 2:
        assert mean_auc(probs, labels) == pytest.approx(roc_auc_score(labels, probs[:, 1]))


def test_the_auc_is_of_the_classes_that_have_images() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert mean_auc(probs, np.array([0, 0, 1])) == 1
    assert mean_auc(probs, np.array([1, 1, 0])) == 0
    assert mean_auc(np.full((4, 2), 0.5), np.array([0, 1, 1, 1])) == 0.5
    assert mean_auc(probs, np.array([1, 1, 1])) is None


def test_the_json_of_an_evaluation_says_its_means_and_may_lack_them() -> None:
    evaluation = evaluation_of([[8, 2], [1, 9]])
    document = json.loads(json.dumps(evaluation.to_dict()))
    assert document.pop("balanced_accuracy") == pytest.approx(0.85)
    assert document.pop("macro_f1") == evaluation.macro_f1
    assert evaluation_from_dict(document) == evaluation


def test_a_run_and_a_folder_are_refused_with_what_scores_them() -> None:
    with pytest.raises(SettingsError, match=r"a Dataset, not str and str\. To score .*, use mien\.evaluate_run"):
        mien.evaluate("runs/train", "data")  # type: ignore[arg-type]
