"""Kinds: an image is called what anybody would call it, and rare is what hardly any training image is."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image
from drawn_faces import portrait
from mien.config import ScanConfig
from mien.core.inputs import Inputs, inputs_of
from mien.core.kinds import count_kinds, kinds_of, rarity

COUNTS = {"in colour, bright": 180, "in grey, bright": 18, "in grey, very dark": 2}


def kinds(rgb: Image.Image) -> tuple[str, ...]:
    return kinds_of(inputs_of(rgb, ScanConfig(faces="off")), faces=False)[0]


def test_colour_and_brightness_are_told() -> None:
    rgb = draw_image(1)
    assert kinds(rgb)[0] == "in colour"
    assert kinds(rgb.convert("L").convert("RGB"))[0] == "in grey"
    levels = (20, 70, 128, 200, 250)
    told = [kinds(Image.new("RGB", (64, 64), (level,) * 3))[1] for level in levels]
    assert told == ["very dark", "dark", "neither dark nor bright", "bright", "very bright"]


def test_a_blurred_image_is_told_from_a_sharp_one() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    assert kinds(noise)[2] == "sharp"
    assert kinds(noise.resize((8, 8)).resize((64, 64), Image.Resampling.BICUBIC))[2] == "blurred"


def test_a_face_is_told_by_how_much_of_the_image_it_fills() -> None:
    inputs = inputs_of(portrait(), ScanConfig(faces="on"))
    near = replace(inputs, face_places=inputs.face_places * np.float32(0.8 / inputs.face_boxes[0, 0, 3]))
    several = (inputs, near, Inputs.of(inputs.images))
    told = [kinds_of(each, faces=True)[0][-1] for each in several]
    assert told == ["of a face further away", "of a face close up", "without a face"]


def test_what_hardly_any_training_image_is_is_rare() -> None:
    assert rarity(("in colour", "bright"), COUNTS) == ""
    assert rarity(("in grey", "bright"), COUNTS) == ""
    assert rarity(("in grey", "very dark"), COUNTS) == "only 2 of 200 training images are very dark"
    assert rarity(("in colour", "dark"), COUNTS) == "none of the training images is dark"


def test_two_striking_facts_may_be_rare_together() -> None:
    counts = {"in colour, blurred": 50, "in grey, sharp": 50, "in colour, sharp": 100}
    assert rarity(("in grey", "blurred"), counts) == "none of the training images is in grey and blurred"


@pytest.mark.parametrize("counts", [{}, {"in grey, dark": 49}, {"in colour, bright": 300}])
def test_nothing_is_rare_where_nothing_is_known_or_all_are_alike(counts: dict[str, int]) -> None:
    assert rarity(("in colour", "bright"), counts) == ""


def test_kinds_are_counted() -> None:
    assert count_kinds([("in grey", "dark"), ("in grey", "dark"), ("in colour", "dark")]) == {
        "in grey, dark": 2,
        "in colour, dark": 1,
    }
    assert kinds_of(Inputs.of(np.zeros((0, 8, 8, 3), np.uint8)), faces=True) == []
