"""The document that describes the classifier: classes, accuracy, what it is not for, and limits."""

from dataclasses import replace
from typing import Any

from mien.config import ServeConfig
from mien.errors import ModelFileError
from mien.model.classifier import Classifier, ModelFacts
from mien.model.prediction import threshold_in_force
from mien.scoring.model_card import limits, model_card, scores_of
from mien.scoring.results import Scores
from mien.scoring.stress import weakness_of
from mien.serving.markdown import to_html


def model_document(classifier: Classifier, config: ServeConfig, *, needs_key: bool = False) -> dict[str, Any]:
    """Return the response of GET /model, as JSON values.

    Args:
        classifier: Result of `load`.
        config: Limits.
        needs_key: Whether requests need an API key.

    Raises:
        SettingsError: The threshold is not between 0 and 1, or a class is named "unsure".
    """
    facts, scores = _readable(classifier.facts)
    # Clients of a server do not have the model file, so leave out how to use it.
    card = model_card(facts, use=False)
    return {
        "class_names": list(facts.class_names),
        "image_size": list(facts.image_size),
        "resize_mode": facts.resize_mode,
        "faces": facts.faces == "on",
        "threshold": threshold_in_force(classifier, config.threshold),
        "data_fingerprint": facts.data_fingerprint,
        "model_sha256": classifier.sha256,
        "mien_version": facts.mien_version,
        "accuracy": _accuracy(scores) if scores else None,
        "evaluations": scores.to_dict() if scores else {},
        "weakness": weakness_of(scores.stressed) if scores else "",
        "not_for": list(limits(facts)),
        "model_card": card,
        "model_card_html": to_html(card),
        "limits": {
            "max_files": config.max_files,
            "max_file_bytes": config.max_file_bytes,
            "max_pixels": config.max_pixels,
        },
        "allows_urls": config.allow_urls,
        "explains": config.explain,
        "needs_key": needs_key,
    }


def _readable(facts: ModelFacts) -> tuple[ModelFacts, Scores | None]:
    """Return the facts and their scores. Scores in another version's format count as missing."""
    try:
        return facts, scores_of(facts)
    except ModelFileError:
        return replace(facts, scores={}), None


def _accuracy(scores: Scores) -> dict[str, Any]:
    """Return the headline accuracy."""
    score = scores.judged.accuracy
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "num_images": score.num_images,
        "judged_by": "cross-validation" if scores.out_of_fold else "test split",
    }
