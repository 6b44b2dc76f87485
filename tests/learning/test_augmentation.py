from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import draw_image
from mien.config import AugmentConfig
from mien.learning.augmentation import augment

STILL = AugmentConfig(augment=True, rotation=0, shift=0, zoom=0, flip=False, brightness=0, contrast=0)
IMAGES = np.stack([np.asarray(draw_image(seed, width=60, height=40)) for seed in range(24)])
WHITE = np.full((24, 40, 60, 3), 255, np.uint8)


def varied(images: NDArray[np.uint8], **limits: Any) -> NDArray[np.uint8]:
    return augment(images, replace(STILL, **limits), np.random.default_rng(0))


def test_shape_and_type_stay_and_the_images_given_do_too() -> None:
    given = IMAGES.copy()
    found = augment(given, AugmentConfig(augment=True), np.random.default_rng(0))
    assert found.shape == IMAGES.shape and found.dtype == np.uint8
    assert np.array_equal(given, IMAGES)
    assert augment(IMAGES[:0], AugmentConfig(), np.random.default_rng(0)).shape == (0, 40, 60, 3)


def test_images_that_may_not_be_written_to_are_varied_too() -> None:
    given = IMAGES.copy()
    given.flags.writeable = False
    assert varied(given, rotation=30).shape == IMAGES.shape


def test_the_same_chance_gives_the_same_images() -> None:
    first, again, other = (augment(IMAGES, AugmentConfig(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_limits_nothing_changes() -> None:
    assert np.array_equal(varied(IMAGES), IMAGES)


def test_flipping_mirrors_about_half_of_the_images_exactly() -> None:
    found = varied(IMAGES, flip=True)
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(found, IMAGES, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(found, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 6 <= sum(mirrored) <= 18


@pytest.mark.parametrize("limits", [{"rotation": 180}, {"shift": 0.9}, {"zoom": 0.9}, {"rotation": 45, "shift": 0.5}])
def test_what_a_move_lays_bare_is_filled_from_the_edge(limits: dict[str, float]) -> None:
    assert varied(WHITE, **limits).min() == 255
    assert not np.array_equal(varied(IMAGES, **limits), IMAGES)


@pytest.mark.parametrize("limit", ["rotation", "shift", "zoom", "brightness", "contrast"])
def test_every_setting_varies_every_image_in_its_own_way(limit: str) -> None:
    one = np.repeat(IMAGES[:1], 8, axis=0)
    found = varied(one, **{limit: 0.3 if limit != "rotation" else 30.0})
    # Two may come to the same whole level of brightness.
    assert len({image.tobytes() for image in found}) >= 6


def test_a_shift_moves_by_no_more_than_its_limit() -> None:
    dot = np.zeros((200, 40, 60, 3), np.uint8)
    dot[:, 20, 30] = 255
    found = varied(dot, shift=0.25)
    places = np.array([np.unravel_index(image[..., 0].argmax(), (40, 60)) for image in found])
    down, across = (places - (20, 30)).T
    assert np.abs(down).max() <= 10 and np.abs(across).max() <= 15
    assert np.abs(down).max() >= 8 and np.abs(across).max() >= 12
    assert len(set(down.tolist())) > 10 and down.min() < 0 < down.max()


def test_brightness_stays_within_its_limit_and_in_range() -> None:
    grey = np.full((200, 4, 4, 3), 100, np.uint8)
    found = varied(grey, brightness=0.2)
    assert 49 <= found.min() < 60 and 140 < found.max() <= 151
    assert varied(WHITE, brightness=0.9).max() == 255
    assert varied(np.zeros_like(WHITE), brightness=0.9).min() == 0


def test_contrast_stretches_about_the_middle() -> None:
    levels = np.broadcast_to(np.array([[[28], [128], [228]]], np.uint8), (200, 1, 3, 3)).copy()
    dark, middle, light = varied(levels, contrast=0.5)[:, 0, :, 0].astype(int).T
    assert np.abs(middle - 128).max() <= 1
    assert np.abs((dark - 128) + (light - 128)).max() <= 3
    assert light.max() == 255 or light.max() > 250
    assert light.min() < 185
