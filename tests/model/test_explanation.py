"""Explanation: maps point at what the answer comes from, on the image as it is, for every resize mode."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

import mien
from mien.errors import ModelFileError, SettingsError
from mien.model.classifier import Classifier
from mien.model.explanation import COOL, WARM, HeatMap, _box, explain, overlay

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import explanation as planted
from mien.core.inputs import Inputs
from onnx_models import COLOUR_FACTS as FACTS
from onnx_models import colour_classifier

pytestmark = pytest.mark.medium

CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def image_with(colour: tuple[int, int, int], corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a black image with a patch of a colour, a quarter as wide, in one of its quarters."""
    image = np.zeros((*size, 3), np.uint8)
    (top, left), (down, across) = ((corner[axis] * size[axis] // 2 + size[axis] // 8 for axis in (0, 1)), size)
    image[top : top + down // 4, left : left + across // 4] = colour
    return image


def quarter_of_the_largest(values: NDArray[np.float32]) -> tuple[int, int]:
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row >= values.shape[0] / 2), int(column >= values.shape[1] / 2)


@pytest.mark.parametrize("heat", ["map", None])
@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("corner", CORNERS)
def test_a_map_points_at_its_cause_on_the_image_as_it_is(heat: str | None, rule: str, corner: tuple[int, int]) -> None:
    classifier = colour_classifier(replace(FACTS, resize_mode=rule), heat=heat)  # type: ignore[arg-type]
    image = image_with((255, 0, 0), corner, (120, 96))
    heat_map = explain(classifier, image, label="red")
    assert heat_map.method == ("class activation" if heat else "occlusion")
    values = heat_map.at(120, 96)
    assert quarter_of_the_largest(values) == corner
    # Green is not there, so nothing speaks for it; red is, and speaks against it.
    assert quarter_of_the_largest(-explain(classifier, image, label="green").at(120, 96)) == corner


def test_the_mean_of_an_exact_map_is_the_log_odds_of_the_label() -> None:
    classifier = colour_classifier()
    image = image_with((0, 200, 0), (0, 1), (32, 48))
    probs = classifier.probs(Inputs.of(image[None]))[0].astype(np.float64)
    heat_map = explain(classifier, image)
    assert heat_map.label == classifier.class_names[int(probs.argmax())]
    number = int(probs.argmax())
    others = np.delete(probs, number) / np.delete(probs, number).sum()
    log_odds = np.log(probs[number] / (1 - probs[number]))
    assert heat_map.values.mean() == pytest.approx(log_odds - (others * np.log(others)).sum(), abs=1e-4)


def test_a_class_that_is_not_there_is_refused_with_the_names() -> None:
    with pytest.raises(SettingsError, match=r"unknown class 'calm'\. Use one of 'dark', 'red', 'green'"):
        explain(colour_classifier(), np.zeros((9, 9, 3), np.uint8), label="calm")
    with pytest.raises(SettingsError, match="no class activation maps"):
        explain(colour_classifier(heat=None), np.zeros((9, 9, 3), np.uint8), method="class activation")


@pytest.mark.parametrize(
    "claimed",
    [
        np.array(1.0),
        np.zeros(3),
        np.zeros((1, 2, 4, 4)),
        np.zeros((1, 3, 0, 4)),
        np.zeros((1, 3, 33, 4)),
        np.zeros((2, 3, 4, 4)),
        np.full((1, 3, 4, 4), np.nan),
        np.full((1, 3, 4, 4), np.inf),
        np.full((1, 3, 4, 4), 3e38),
    ],
)
def test_a_file_whose_map_is_none_is_refused(claimed: NDArray[np.float64]) -> None:
    with pytest.raises(ModelFileError, match="damaged: its map"):
        explain(colour_classifier(heat=claimed), np.zeros((32, 48, 3), np.uint8))


def test_a_map_of_many_values_stays_in_range_and_colours_mean_for_and_against() -> None:
    grey = np.full((60, 80, 3), 120, np.uint8)
    drawn = overlay(grey, HeatMap("red", "occlusion", np.array([[5, 0, -5]], np.float32)))
    assert drawn.shape == grey.shape and drawn.dtype == np.uint8
    left, middle, right = (drawn[30, column].astype(int) for column in (5, 40, 75))
    np.testing.assert_allclose(middle, 120, atol=6)
    assert np.abs(left - WARM).sum() < np.abs(left - COOL).sum() and left[0] > left[2]
    assert np.abs(right - COOL).sum() < np.abs(right - WARM).sum() and right[2] > right[0]
    nothing = overlay(grey, HeatMap("red", "occlusion", np.zeros((3, 3), np.float32)))
    np.testing.assert_array_equal(nothing, grey)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
def test_thin_images_have_maps_too(size: tuple[int, int], rule: str) -> None:
    classifier = colour_classifier(replace(FACTS, resize_mode=rule))  # type: ignore[arg-type]
    image = np.full((*size, 3), 200, np.uint8)
    assert overlay(image, explain(classifier, image)).shape == image.shape


def test_a_file_whose_map_is_a_list_is_refused() -> None:
    model = onnx.load_from_string(colour_classifier()._content)
    model.graph.node[-1].CopyFrom(helper.make_node("SequenceConstruct", ["logit_map"], ["heat"]))
    model.graph.output[-1].CopyFrom(helper.make_tensor_sequence_value_info("heat", TensorProto.FLOAT, None))
    classifier = Classifier(model.SerializeToString())
    with pytest.raises(ModelFileError, match="damaged: output 'heat'"):
        explain(classifier, np.zeros((32, 48, 3), np.uint8))


def test_a_method_that_is_not_there_is_refused_with_the_names() -> None:
    with pytest.raises(SettingsError, match=r"unknown method 'nope'\. Use one of 'class activation', 'occlusion'"):
        explain(colour_classifier(), np.zeros((9, 9, 3), np.uint8), method="nope")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((9, 9), np.uint8), r"uint8 \(9, 9\)"),
        (np.zeros((9, 9, 4), np.uint8), r"uint8 \(9, 9, 4\)"),
        (np.zeros((0, 9, 3), np.uint8), r"uint8 \(0, 9, 3\)"),
        (np.zeros((9, 9, 3), np.float32), r"float32 \(9, 9, 3\)"),
        ("photo.jpg", "str"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_expected(image: Any, received: str) -> None:
    with pytest.raises(SettingsError, match=rf"the image is {received}; expected .*uint8 \(H, W, 3\)"):
        explain(colour_classifier(), image)
    with pytest.raises(SettingsError, match=rf"the image is {received}; expected .*uint8 \(H, W, 3\)"):
        overlay(image, HeatMap("red", "occlusion", np.zeros((3, 3), np.float32)))


@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(97, 61), (40, 300), (300, 40), (7, 7)])
def test_a_map_on_the_image_is_the_part_of_the_whole_map_that_lies_there(size: tuple[int, int], rule: str) -> None:
    height, width = size
    box = _box((width, height), replace(FACTS, resize_mode=rule).scan_config())  # type: ignore[arg-type]
    values = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    left, top, right, bottom = (round(share * side) for share, side in zip(box, (width, height) * 2, strict=True))
    drawn = Image.fromarray(values).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    whole = Image.new("F", (width, height))
    whole.paste(drawn, (left, top))
    found = HeatMap("red", "occlusion", values, box).at(height, width)
    np.testing.assert_allclose(found, np.asarray(whole), atol=1e-4)


@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("shape", [(1, 4_000_000), (4_000_000, 1)])
def test_the_map_of_a_very_thin_image_takes_no_more_room_than_the_image(shape: tuple[int, int], rule: str) -> None:
    box = _box(shape[::-1], replace(FACTS, resize_mode=rule).scan_config())  # type: ignore[arg-type]
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = HeatMap("red", "occlusion", values, box).at(*shape)
    assert found.shape == shape and found.max() > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("preset", "num_images"), [("fast", 60)])
def test_maps_find_a_planted_patch_and_those_of_shuffled_weights_do_not(
    preset: str, num_images: int, tmp_path: Path
) -> None:
    photos = planted.draw_folder(tmp_path / "data", planted.NUM_TRAINED)
    classifier = planted.train(photos, preset, tmp_path / "run")
    found = planted.distances(classifier, num_images)
    lost = planted.distances(planted.shuffled(classifier), num_images)
    shares = [np.mean([distance <= planted.MARGIN for distance in some]) for some in (found, lost)]
    assert shares[0] >= 0.9 and shares[1] <= 0.5
    assert mien.load(tmp_path / "run").class_names == planted.CLASSES
