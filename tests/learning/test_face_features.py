"""Face features: an expression network joined to a backbone and to a classifier."""

from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from drawn_faces import make_portraits, portrait, reference_crops
from mien.config import PRESETS, BackboneConfig, ScanConfig, TrainConfig
from mien.core.inference import Graph
from mien.core.inputs import Inputs, inputs_of, joined
from mien.core.probabilities import softmax
from mien.errors import ModelFileError, SettingsError
from mien.learning.backbone import Backbone, load_backbone
from mien.learning.exporting import facts_of, join
from mien.learning.face_features import NUM_FACE_FEATURES, with_faces
from mien.learning.fitting import scan_config
from mien.learning.heads import Head
from mien.learning.out_of_distribution import fit_distribution
from mien.model.classifier import FACE_EVIDENCE, Classifier
from onnx_models import pooling_network

LITE0 = load_backbone(BackboneConfig(), (224, 224))
BOTH = with_faces(LITE0)
ON = ScanConfig(faces="on")


def expressions(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = Graph(package_files("mien.learning").joinpath("face_expression.onnx").read_bytes())
    return network.run(["logits"], {"crops": crops})[0]


def shown() -> Inputs:
    """Return five images of noise: with a face, with three, with none, with the second and the third, with one."""
    rng = np.random.default_rng(0)
    inputs = Inputs.of(rng.integers(0, 256, (5, 224, 224, 3), np.uint8))
    weights = np.array([[0.7, 0, 0], [0.5, 0.25, 0.1], [0, 0, 0], [0, 0.3, 0.6], [1e-4, 0, 0]], np.float32)
    faces = np.stack([np.roll(reference_crops(), shift, axis=0)[:3] for shift in range(5)])
    return replace(inputs, faces=faces, face_weights=weights)


def own_backbone(path: Path, opset: int) -> Backbone:
    path.write_bytes(pooling_network(shape=["N", 3, 32, 32], opset=opset))
    return load_backbone(BackboneConfig(str(path)), (224, 224))


def head_of(of_faces: NDArray[np.float32] | None = None, num_classes: int = 3) -> Head:
    rng = np.random.default_rng(1)
    of_images = rng.normal(0, 0.01, (1984, num_classes)).astype(np.float32)
    rows = np.zeros((NUM_FACE_FEATURES, num_classes), np.float32) if of_faces is None else of_faces
    return Head(np.vstack([of_images, rows]), np.arange(num_classes, dtype=np.float32), 1.0, 1.0)


def joined_with(of_faces: NDArray[np.float32] | None = None, num_classes: int = 3) -> Classifier:
    features = np.random.default_rng(2).normal(1, 1, (20, 1984)).astype(np.float32)
    class_names = tuple(f"class {number:03}" for number in range(num_classes))
    dataset = mien.Dataset(Path("data"), class_names, (), ON)
    return join(LITE0, head_of(of_faces, num_classes), fit_distribution(features, groups=range(20)), facts_of(dataset))


def test_the_features_of_faces_are_the_weighted_mean_of_their_expressions_and_a_flag() -> None:
    inputs = shown()
    found = BOTH.features(inputs)
    assert found.shape == (5, 1984 + NUM_FACE_FEATURES)
    np.testing.assert_allclose(found[:, :1984], LITE0.features(inputs), rtol=1e-6)
    for row, crops, weights in zip(found[:, 1984:], inputs.faces, inputs.face_weights, strict=True):
        if not weights.any():
            assert row.tolist() == [0] * NUM_FACE_FEATURES
        else:
            expected = weights @ expressions(crops) / weights.sum()
            np.testing.assert_allclose(row, [*expected, 1], rtol=1e-3, atol=1e-4)


def test_what_a_crop_of_no_weight_shows_does_not_matter() -> None:
    inputs = shown()
    other = replace(inputs, faces=np.where(inputs.face_weights[..., None, None] > 0, inputs.faces, 77).astype(np.uint8))
    np.testing.assert_array_equal(BOTH.features(inputs), BOTH.features(other))


def test_a_classifier_adds_what_faces_say_to_what_the_whole_image_says() -> None:
    of_faces = np.random.default_rng(3).normal(0, 0.5, (NUM_FACE_FEATURES, 3)).astype(np.float32)
    classifier, inputs = joined_with(of_faces), shown()
    assert classifier.looks_at_faces and classifier.facts.faces == "on"
    expected = softmax(BOTH.features(inputs) @ head_of(of_faces).weights + np.arange(3))
    np.testing.assert_allclose(classifier.probs(inputs), expected, atol=1e-5)
    for place in range(len(inputs)):
        one = inputs[place : place + 1]
        heat, evidence = classifier.heat(one), classifier.face_evidence(one)
        assert heat is not None and heat.shape == (3, 14, 14) and evidence is not None and evidence.shape == (3, 3)
        logits = heat.mean(axis=(1, 2)) + evidence.sum(axis=0)
        np.testing.assert_allclose(softmax(logits[None]), expected[place : place + 1], atol=1e-4)
        assert (evidence.any(axis=1) == (one.face_weights[0] > 0)).all()


def test_a_head_that_gives_faces_no_weight_makes_a_classifier_with_one_input() -> None:
    classifier, inputs = joined_with(), shown()
    assert not classifier.looks_at_faces and classifier.face_evidence(inputs[:1]) is None
    np.testing.assert_allclose(classifier.probs(inputs), head_of().probs(BOTH.features(inputs)), atol=1e-5)
    assert classifier.facts.scan_config().faces == "on", "the training decoded its images at the size for faces"
    assert classifier.facts.faces == "unused" and not classifier.inputs_of(portrait()).face_weights.any()


def test_without_a_face_the_answer_is_that_of_the_whole_image() -> None:
    of_faces = np.ones((NUM_FACE_FEATURES, 3), np.float32) * [1, 2, 3]
    inputs = Inputs.of(shown().images)
    np.testing.assert_allclose(
        joined_with(of_faces.astype(np.float32)).probs(inputs), joined_with().probs(inputs), atol=1e-6
    )


def test_very_many_classes_may_look_at_faces_too() -> None:
    of_faces = np.random.default_rng(3).normal(0, 0.5, (NUM_FACE_FEATURES, 70)).astype(np.float32)
    classifier, inputs = joined_with(of_faces, 70), shown()
    assert classifier.heat(inputs[:1]) is None
    np.testing.assert_allclose(classifier.probs(inputs), head_of(of_faces, 70).probs(BOTH.features(inputs)), atol=1e-5)


@pytest.mark.parametrize("missing", ["face_weights", FACE_EVIDENCE])
def test_a_classifier_with_half_of_what_faces_need_is_refused(missing: str) -> None:
    of_faces = np.ones((NUM_FACE_FEATURES, 3), np.float32)
    model = onnx.load_from_string(joined_with(of_faces)._content)
    for ends in (model.graph.input, model.graph.output):
        for end in [end for end in ends if end.name == missing]:
            ends.remove(end)
    if missing == "face_weights":
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 3), np.float32), missing))
    with pytest.raises(ModelFileError, match="uses faces, but"):
        Classifier(model.SerializeToString())


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 21])
def test_a_backbone_of_any_newer_version_of_onnx_looks_at_faces(tmp_path: Path, opset: int) -> None:
    backbone = own_backbone(tmp_path / "own.onnx", opset)
    assert backbone.takes_faces
    inputs = joined([inputs_of(portrait(), replace(ON, image_size=backbone.image_size))] * 2, ON)
    found = with_faces(backbone).features(inputs)
    np.testing.assert_allclose(
        found[0, -NUM_FACE_FEATURES:-1], expressions(inputs.faces[0, :1])[0], rtol=1e-3, atol=1e-3
    )
    assert found[0, -1] == 1


def test_a_backbone_of_an_old_version_of_onnx_is_used_without_faces(tmp_path: Path) -> None:
    config, backbone = TrainConfig(), own_backbone(tmp_path / "own.onnx", 11)
    assert scan_config(config, backbone).faces == "off"
    with pytest.raises(SettingsError, match=r"--faces on cannot be used: .* opset 13"):
        scan_config(replace(config, scan=ON), backbone)


def test_the_presets_that_look_at_whole_images_alone_say_so() -> None:
    classic = PRESETS["classic"]
    assert scan_config(classic, None).faces == "off"
    with pytest.raises(SettingsError, match="the method cnn uses only whole images"):
        scan_config(classic.changed(faces="on"), None)


@pytest.mark.medium
def test_faces_tell_what_the_whole_image_does_not(tmp_path: Path) -> None:
    data = make_portraits(tmp_path / "data", 30)
    dataset = mien.split(mien.clean(mien.scan(data, keep_images=True)))
    assert dataset.config.faces == "on"
    classifier = mien.fit(dataset, mien.PRESETS["fast"].changed(may_matter="all")).classifier
    assert classifier.looks_at_faces
    fresh = make_portraits(tmp_path / "fresh", 10)
    for label in ("happy", "sad"):
        predictions = list(mien.predict(classifier, [fresh / label]))
        assert [prediction.label for prediction in predictions] == [label] * 10
    # One image gets one answer, whichever way it comes.
    path = fresh / "happy" / "0.jpg"
    rgb = np.asarray(Image.open(path).convert("RGB"))
    heat_map = mien.explain(classifier, rgb)
    assert heat_map.label == "happy" and len(heat_map.faces) == 1 and heat_map.faces[0].log_odds > 1
    left, top, right, bottom = heat_map.faces[0].box
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    probs = classifier.probs(classifier.prepare(path.read_bytes()))[0]
    total = heat_map.values.mean() + heat_map.faces[0].log_odds
    assert total == pytest.approx(float(np.log(probs[0] / probs[1])), abs=0.02)
    assert mien.overlay(rgb, heat_map).shape == rgb.shape
