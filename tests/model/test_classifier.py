"""The Classifier: a file with everything in it, and a loader that hostile files cannot fool."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from PIL import Image

import mien
from mien.core.inputs import Inputs
from mien.errors import ImageError, ModelFileError, SettingsError, SourceNotFoundError
from mien.model.classifier import FORMAT_VERSION, Classifier, Provenance, load, with_facts
from mien.schema import built
from onnx_models import FACTS, PROVENANCE, make_graph


def with_metadata(change: Callable[[dict[str, object]], object]) -> bytes:
    model = onnx.load_from_string(with_facts(make_graph(), FACTS))
    document = json.loads(model.metadata_props[0].value)
    change(document)
    model.metadata_props[0].value = json.dumps(document)
    return bytes(model.SerializeToString())


def with_text(text: str) -> bytes:
    model = onnx.load_from_string(with_facts(make_graph(), FACTS))
    model.metadata_props[0].value = text
    return bytes(model.SerializeToString())


def test_a_classifier_comes_back_whole_from_its_file(tmp_path: Path) -> None:
    Classifier(with_facts(make_graph(), FACTS)).save(tmp_path / "model.onnx")
    for path in (tmp_path, tmp_path / "model.onnx", str(tmp_path)):
        classifier = mien.load(path)
        assert classifier.facts == FACTS
        assert classifier.facts.format_version == FORMAT_VERSION
        assert classifier.class_names == ("happy", "sad")
    probs = classifier.probs(Inputs.of(np.zeros((3, 32, 48, 3), np.uint8)))
    np.testing.assert_allclose(probs, [[0.75, 0.25]] * 3)


def test_a_file_from_before_provenance_still_loads() -> None:
    assert Classifier(with_metadata(lambda d: d.pop("provenance"))).facts == FACTS


def test_a_classifier_is_shown_by_its_classes_and_its_size() -> None:
    classifier = Classifier(with_facts(make_graph(), FACTS))
    assert repr(classifier) == "Classifier(2 classes: happy, sad; 32 x 48)"
    digits = replace(FACTS, class_names=tuple("0123456789"), largest_class="0")
    assert repr(Classifier(with_facts(make_graph(), digits))) == "Classifier(10 classes: 0, 1, 2, and 7 more; 32 x 48)"


def test_an_image_in_the_place_of_inputs_is_refused_with_what_takes_it() -> None:
    classifier = Classifier(with_facts(make_graph(), FACTS))
    for method in (classifier.predict, classifier.probs):
        with pytest.raises(SettingsError, match=r"not Image. For images and files, use mien\.predict"):
            method(Image.new("RGB", (10, 10)))  # type: ignore[arg-type]


def test_images_are_prepared_as_the_file_says(tmp_path: Path) -> None:
    classifier = Classifier(with_facts(make_graph(), FACTS))
    Image.new("RGB", (10, 90), "black").save(tmp_path / "tall.png")
    prepared = classifier.prepare((tmp_path / "tall.png").read_bytes()).images[0]
    assert prepared.shape == (32, 48, 3)
    assert prepared[16, 0].tolist() == [255, 255, 255]
    assert prepared[16, 24].tolist() == [0, 0, 0]
    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    content = (tmp_path / "large.png").read_bytes()
    with pytest.raises(ImageError, match="exceed the limit of 10000"):
        classifier.prepare(content, max_pixels=10_000)
    assert len(classifier.prepare(content)) == 1


def test_scores_are_put_in_the_place_of_the_old_ones() -> None:
    classifier = (
        Classifier(with_facts(make_graph(), FACTS)).telling(scores={"accuracy": 1}).telling(scores={"accuracy": 2})
    )
    assert classifier.facts.scores == {"accuracy": 2}


def test_no_image_is_unlike_those_of_the_training_where_the_file_does_not_say_what_these_were_like() -> None:
    probs, reasons = Classifier(with_facts(make_graph(), FACTS)).predict(Inputs.of(np.zeros((2, 32, 48, 3), np.uint8)))
    np.testing.assert_allclose(probs, [[0.75, 0.25]] * 2)
    assert reasons == ["", ""]


def test_a_network_with_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    many = with_metadata(lambda d: d.update(class_names=["happy", "sad", "calm"]))
    with pytest.raises(ModelFileError, match="for 3 classes"):
        Classifier(many).probs(Inputs.of(np.zeros((1, 32, 48, 3), np.uint8)))


def test_a_missing_file_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="Name a run folder"):
        load(tmp_path / "nothing")
    with pytest.raises(SourceNotFoundError, match=r"has no model\.onnx"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a complete ONNX file"),
        (b"hello", "not a complete ONNX file"),
        (b"\x80\x04\x95pickle", "not a complete ONNX file"),
        (make_graph()[:-20], "not a complete ONNX file"),
        (make_graph(), "but not a mien classifier"),
        (with_facts(make_graph(input_name="x"), FACTS), "but not a mien classifier"),
        (with_metadata(lambda d: d.update(format_version=FORMAT_VERSION + 1)), "is too new for this version"),
        (with_metadata(lambda d: d.update(format_version=2)), "is too old for this version. Train it again"),
        (with_metadata(lambda d: d.update(format_version="1")), "damaged"),
        (with_metadata(lambda d: d.update(image_size=[10**6, 10**6])), "damaged"),
        (with_metadata(lambda d: d.update(image_size="big")), "damaged"),
        (with_metadata(lambda d: d.update(surprise=1)), "damaged"),
        (with_metadata(lambda d: d.pop("class_names")), "damaged"),
        (with_metadata(lambda d: d.update(class_names=["only one"])), "damaged"),
        (with_metadata(lambda d: d.update(class_names=[1, 2])), "damaged"),
        (with_metadata(lambda d: d.update(provenance={"seed": 42})), "damaged"),
        (with_metadata(lambda d: d.update(provenance=[1])), "damaged"),
        (with_metadata(lambda d: d.update(class_names=["same", "same"])), "damaged"),
        (with_metadata(lambda d: d.update(largest_class="neither")), "damaged"),
        (with_metadata(lambda d: d.update(resize_mode="squeeze")), "damaged"),
        (with_metadata(lambda d: d.update(ground="green")), "damaged"),
        (with_metadata(lambda d: d.update(levels=[1])), "damaged"),
        (with_metadata(lambda d: d.update(levels=[4095, 0])), "damaged"),
        (with_metadata(lambda d: d.update(threshold="high")), "damaged"),
        (with_metadata(lambda d: d.update(threshold=float("nan"))), "damaged"),
        (with_metadata(lambda d: d.update(threshold=-5)), "damaged"),
        (with_metadata(lambda d: d.update(max_distance=10**400)), "damaged"),
        (with_metadata(lambda d: d.update(data_fingerprint=7)), "damaged"),
        (with_metadata(lambda d: d.update(scores=[])), "damaged"),
        (with_text("[" * 200_000), "damaged"),
        (with_metadata(lambda d: d.update(max_distance=[])), "damaged"),
        (with_metadata(lambda d: d.update(max_distance=0.5)), "no output 'distance'"),
    ],
)
def test_a_file_that_is_no_classifier_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=reason) as refused:
        load(path)
    assert "model.onnx" in str(refused.value)


def test_a_file_can_name_no_other_file_as_its_weights(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8))
    model = onnx.load_from_string(with_facts(make_graph(), FACTS))
    (row,) = [constant for constant in model.graph.initializer if constant.name == "row"]
    row.ClearField("float_data")
    row.data_location = TensorProto.EXTERNAL
    row.external_data.add(key="location", value="secret")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError):
        load(tmp_path / "model.onnx")


def test_a_provenance_comes_back_whole_from_json() -> None:
    assert built(Provenance, json.loads(json.dumps(asdict(PROVENANCE)))) == PROVENANCE


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("limits"),
        lambda d: d.update(surprise=1),
        lambda d: d.update(seed="42"),
        lambda d: d.update(limits=[1]),
        lambda d: d.update(split={"happy": 3}),
        lambda d: d.update(split={"happy": {"train": "7"}}),
        lambda d: d.update(versions={"python": 3}),
        lambda d: d.update(left_out={"empty": float("nan")}),
        lambda d: d.update(settings=None),
    ],
)
def test_a_damaged_provenance_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(json.dumps(asdict(PROVENANCE)))
    change(document)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        built(Provenance, document)
