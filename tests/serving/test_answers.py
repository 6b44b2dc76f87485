"""Predictions: those of `mien predict`, and heat maps that are those of `mien explain`."""

import base64
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image, encoded
from http_asking import JPEG
from mien.errors import ImageError
from mien.model.classifier import Classifier
from mien.model.explanation import explain, overlay
from mien.model.prediction import predict_image
from mien.serving.answers import Answer, answer, refused
from mien.serving.limits import DecodingRoom
from mien.serving.metrics import ServiceMetrics
from mien.serving.uploads import Upload
from onnx_models import COLOUR_FACTS as FACTS
from onnx_models import colour_classifier

ROOM = DecodingRoom(10**6)
METRICS = ServiceMetrics(FACTS.class_names)
WIDE = draw_image(0, width=400, height=300)


@pytest.fixture(params=[None, "map"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    return colour_classifier(replace(FACTS, resize_mode="crop"), heat=request.param)


def test_the_answer_is_the_prediction(classifier: Classifier) -> None:
    content = encoded(WIDE, "PNG")
    found = answer(classifier, Upload("wide.png", content), classifier.facts.scan_config(), room=ROOM, metrics=METRICS)
    assert found == Answer(predict_image(classifier, classifier.prepare(content), source="wide.png"))
    assert found.to_dict() == found.prediction.to_dict()


def test_the_heat_map_is_that_of_the_whole_image(classifier: Classifier) -> None:
    upload = Upload("wide.png", encoded(WIDE, "PNG"))
    found = answer(classifier, upload, classifier.facts.scan_config(), room=ROOM, metrics=METRICS, explain=True)
    expected = explain(classifier, np.asarray(WIDE))
    assert found.heat_map is not None
    assert (found.heat_map["label"], found.heat_map["method"]) == (expected.label, expected.method)
    kind, _, text = found.heat_map["image"].partition(",")
    drawn = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (kind, drawn.format) == ("data:image/png;base64", "PNG")
    assert np.array_equal(np.asarray(drawn), overlay(np.asarray(WIDE), expected))
    assert found.to_dict(explain=True)["heat_map"] == found.heat_map


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "empty"), (b"<html>", "not_an_image"), (JPEG[:-100], "unreadable")]
)
def test_what_is_no_image_is_told(classifier: Classifier, content: bytes, problem: str) -> None:
    found = answer(
        classifier, Upload("x", content), classifier.facts.scan_config(), room=ROOM, metrics=METRICS, explain=True
    )
    assert isinstance(found.refusal, ImageError) and found.refusal.problem == problem
    assert found == refused("x", found.refusal)
    told: dict[str, object] = {
        "source": "x",
        "label": None,
        "probs": {},
        "error": str(found.refusal),
        "out_of_distribution": False,
        "unlike": "",
    }
    assert found.to_dict(explain=True) == {**told, "heat_map": None}


@pytest.mark.parametrize("content", [b"<html>", JPEG[:-100], JPEG])
def test_no_answer_keeps_the_file_in_memory(classifier: Classifier, content: bytes) -> None:
    kept = bytes(bytearray(content))
    num_holders = sys.getrefcount(kept)
    found = answer(classifier, Upload("x", kept), classifier.facts.scan_config(), room=ROOM, metrics=METRICS)
    assert found.prediction.source == "x" and sys.getrefcount(kept) == num_holders
