"""Evaluation: the scores of known answers."""

import json

import numpy as np
import pytest

import mien
from conftest import evaluation_of
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


def test_a_run_and_a_folder_are_refused_with_what_scores_them() -> None:
    with pytest.raises(SettingsError, match=r"a Dataset, not str and str\. To score .*, use mien\.evaluate_run"):
        mien.evaluate("runs/train", "data")  # type: ignore[arg-type]
