"""The results as JSON."""

import json
from typing import Any

from conftest import evaluation_of
from mien.model.prediction import Prediction
from mien.scoring.results import Scores


def test_results_become_json() -> None:
    evaluation = evaluation_of([[14, 1], [2, 13]])
    found: dict[str, Any] = json.loads(json.dumps(evaluation.to_dict()))
    score = evaluation.accuracy
    assert found["accuracy"] == {
        "value": 0.9,
        "low": score.low,
        "high": score.high,
        "num_images": 30,
        "method": "Wilson",
        "num_groups": None,
    }
    assert found["confusion"] == [[14, 1], [2, 13]]
    assert found["classes"][1]["label"] == "sad"
    prediction = Prediction("a.jpg", "sad", {"happy": 0.25, "sad": 0.75})
    expected = {
        "source": "a.jpg",
        "label": "sad",
        "probs": {"happy": 0.25, "sad": 0.75},
        "error": None,
        "out_of_distribution": False,
        "unlike": "",
    }
    assert json.loads(json.dumps(prediction.to_dict())) == expected


def test_results_are_shown_in_a_line() -> None:
    evaluation = evaluation_of([[14, 1], [2, 13]])
    assert repr(evaluation) == "Evaluation(90% (95% interval 74% to 97%, n = 30), 2 classes)"
    assert repr(Scores(evaluation)) == f"Scores(test: {evaluation})"
    assert repr(Scores(evaluation, evaluation)) == f"Scores(out_of_fold: {evaluation}, test: {evaluation})"


def test_the_most_frequent_mistakes_come_first() -> None:
    evaluation = evaluation_of([[9, 1, 0], [4, 8, 0], [0, 2, 7]], ("a", "b", "c"))
    assert evaluation.most_confused(2) == [("b", "a", 4), ("c", "b", 2)]
    assert evaluation.most_confused(9) == [("b", "a", 4), ("c", "b", 2), ("a", "b", 1)]


def test_the_weakest_classes_come_first() -> None:
    evaluation = evaluation_of([[9, 1, 0], [4, 8, 0], [0, 2, 7]], ("a", "b", "c"))
    assert [scores.label for scores in evaluation.weakest(2)] == ["b", "a"]
