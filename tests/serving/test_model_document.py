"""What the server tells of its classifier: what it is, what it scored, and what may be sent."""

import json
from typing import TYPE_CHECKING

import mien
from http_asking import ask
from mien.config import ServeConfig
from mien.scoring.model_card import model_card
from mien.serving.app import create_app
from onnx_models import colour_classifier

if TYPE_CHECKING:
    from mien.runs.run import Run


def test_the_model_is_described(run: "Run") -> None:
    classifier = mien.load(run.path)
    told = ask(create_app(classifier, ServeConfig(max_file_mb=2, explain=False)), "GET", "/model").json()
    score = run.scores.judged.accuracy
    assert told["accuracy"] == {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "num_images": 22,
        "judged_by": "cross-validation",
    }
    assert told["class_names"] == ["happy", "sad"] and told["image_size"] == [224, 224]
    assert told["model_sha256"] == classifier.sha256 and len(told["model_sha256"]) == 64
    # Who asks has no file to use.
    assert told["model_card"] == model_card(classifier.facts, use=False)
    assert "mien predict" not in told["model_card"]
    assert told["evaluations"]["test"] == json.loads(json.dumps(run.scores.test.to_dict()))
    assert told["limits"] == {"max_files": 64, "max_file_bytes": 2 * 1024**2, "max_pixels": 50_000_000}
    assert (told["allows_urls"], told["explains"], told["needs_key"]) == (False, False, False)
    assert any("A smile is not an emotion" in text for text in told["not_for"])


def test_a_classifier_whose_scores_are_none_or_cannot_be_read_is_served_without_them() -> None:
    for scores in ({}, {"test": {"accuracy": 2}}):
        told = ask(create_app(colour_classifier().telling(scores=scores)), "GET", "/model").json()
        assert (told["accuracy"], told["evaluations"]) == (None, {})
        assert "The file contains no scores" in told["model_card"]
