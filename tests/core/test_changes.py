"""Changes: each does what it says, and leaves alone what it does not name."""

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image
from drawn_faces import portrait
from mien.config import ASPECTS, ScanConfig
from mien.core.changes import CHANGES, Change, changes_but
from mien.core.inputs import Inputs, inputs_of
from mien.errors import SettingsError

CONFIG = ScanConfig(image_size=(64, 64), faces="on")
BY_NAME = {change.name: change for change in CHANGES}
NO_FACE = np.zeros((3, 4), np.float32)


def changed(name: str, rgb: Image.Image, config: ScanConfig = CONFIG) -> Inputs:
    return BY_NAME[name].inputs_of(rgb, inputs_of(rgb, config), config)


def test_names_are_distinct_and_aspects_are_those_that_may_matter() -> None:
    assert len(BY_NAME) == len(CHANGES)
    assert {aspect for change in CHANGES for aspect in change.aspects} == set(ASPECTS)


def test_what_may_matter_is_left_as_it_is() -> None:
    assert changes_but(()) == CHANGES
    assert {change.name for change in CHANGES} - {change.name for change in changes_but(("colour",))} == {
        "grey",
        "grey_close_up",
    }
    assert changes_but(ASPECTS) == ()
    with pytest.raises(SettingsError, match="some of colour, brightness"):
        changes_but(["color"])


def test_a_tone_changes_what_it_names() -> None:
    rgb = draw_image(1)
    plain = inputs_of(rgb, CONFIG).images[0].astype(float)
    grey = changed("grey", rgb).images[0]
    assert (grey.max(axis=-1) == grey.min(axis=-1)).all()
    assert np.abs(changed("darker", rgb).images[0] - plain / 2).max() <= 2
    assert np.abs(changed("brighter", rgb).images[0] - np.minimum(plain * 1.5, 255)).mean() <= 2
    assert np.array_equal(changed("mirrored", rgb).images[0], inputs_of(rgb, CONFIG).images[0][:, ::-1])


@pytest.mark.parametrize("name", ["blurred", "recompressed"])
def test_fine_detail_goes_and_the_rest_stays(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    worse = changed(name, Image.fromarray(noise).resize((256, 256), Image.Resampling.NEAREST)).images[0]
    assert np.abs(np.diff(worse.astype(int), axis=1)).mean() < 0.9 * np.abs(np.diff(noise.astype(int), axis=1)).mean()
    assert np.abs(worse.mean(axis=(0, 1)) - noise.mean(axis=(0, 1))).max() < 6


def test_the_middle_has_two_thirds_of_each_side() -> None:
    rgb = Image.new("RGB", (90, 60), "black")
    rgb.paste("white", (15, 10, 75, 50))
    assert (changed("middle", rgb).images == 255).all()


def test_a_close_up_is_filled_by_the_largest_face() -> None:
    rgb = portrait()
    unchanged, close = inputs_of(rgb, CONFIG), changed("close_up", rgb)
    assert close.face_weights[0, 0] > 1.3 * unchanged.face_weights[0, 0]
    assert close.face_boxes[0, 0, 2:].max() > 0.6
    grey = changed("grey_close_up", rgb).images[0]
    assert (grey.max(axis=-1) == grey.min(axis=-1)).all()


def test_there_is_no_close_up_without_a_face_nor_of_a_close_up() -> None:
    close_up = BY_NAME["close_up"]
    face = NO_FACE.copy()
    face[0] = 0.4, 0.4, 0.2, 0.2
    filling = NO_FACE.copy()
    filling[0] = 0.1, 0.1, 0.8, 0.8
    tiny = NO_FACE.copy()
    tiny[0] = 0.5, 0.5, 0.005, 0.005
    asked = [close_up.applies_to(boxes, 1.5) for boxes in (NO_FACE, face, filling, tiny)]
    assert asked == [False, True, False, False]
    assert all(change.applies_to(NO_FACE, 1.5) for change in CHANGES if "close_up" not in change.name)


def test_faces_stay_where_they_are_and_are_mirrored_with_the_image() -> None:
    rgb = portrait()
    unchanged, darker, mirrored = inputs_of(rgb, CONFIG), changed("darker", rgb), changed("mirrored", rgb)
    assert np.array_equal(darker.face_places, unchanged.face_places)
    assert darker.faces[0, 0].mean() == pytest.approx(unchanged.faces[0, 0].mean() / 2, abs=2)
    (left, _, width, _), (other_left, _, other_width, _) = unchanged.face_boxes[0, 0], mirrored.face_boxes[0, 0]
    assert other_width == pytest.approx(width) and other_left == pytest.approx(1 - left - width, abs=1e-6)
    difference = mirrored.faces[0, 0].astype(int) - unchanged.faces[0, 0][:, ::-1]
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3000, 2000)])
@pytest.mark.parametrize("change", CHANGES, ids=BY_NAME)
def test_any_shape_can_be_changed(change: Change, size: tuple[int, int]) -> None:
    rgb, config = Image.new("RGB", size, "red"), ScanConfig(image_size=(32, 48), faces="off")
    unchanged = inputs_of(rgb, config)
    if change.applies_to(unchanged.face_boxes[0], size[0] / size[1]):
        assert change.inputs_of(rgb, unchanged, config).images.shape == (1, 32, 48, 3)
