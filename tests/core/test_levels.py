"""What becomes black and what white where pixels have more than 8 bits."""

import numpy as np
import pytest
from PIL import Image

from conftest import draw_image, encoded
from mien.config import ScanConfig
from mien.core.images import decode
from mien.core.levels import Levels, common_range, eight_bits, extent_of, range_of

GREY = np.asarray(draw_image(1).convert("L")).astype(np.uint16)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0, 1000)], (0, 1023)),
        ([(0, 1000), (90, 3000)], (0, 4095)),
        ([(0, 4096)], (0, 16383)),
        ([(0, 65535)], (0, 65535)),
        ([(0, 200)], (0, 255)),
        ([(0, 5)], (0, 5)),
        ([(0, 1)], (0, 1)),
        ([(0.1, 0.7)], (0, 1)),
        ([(0, 0.2)], (0, 0.2)),
        ([(0, 1.001)], (0, 1.001)),
        ([(0, 3e9)], (0, 2**32 - 1)),
        ([(0, 1e12)], (0, 1e12)),
        ([(-1, 1)], (-1, 1)),
        ([(-1024, 50), (0, 3071)], (-1024, 3071)),
        ([(0, 0)], None),
        ([(0, 0), (0, 4000)], (0, 4095)),
        ([(-5, -5)], (-5, -4)),
        ([], None),
    ],
)
def test_a_range_is_what_all_the_values_point_to(found: list[Levels], expected: Levels | None) -> None:
    assert range_of(found) == expected


def test_of_more_bits_the_first_eight_are_kept() -> None:
    every = np.arange(256, dtype=np.uint16)
    for bits in (8, 10, 12, 14, 16):
        assert np.array_equal(eight_bits(every << (bits - 8), (0, 2**bits - 1)), every)
    assert np.array_equal(eight_bits((every << 4).astype(np.int32), (0, 4095)), every)
    assert np.array_equal(eight_bits((every / 255).astype(np.float32), (0, 1)), every)
    assert np.array_equal(eight_bits(every.astype(np.float32), (0, 255)), every)


def test_what_lies_beyond_a_range_is_black_or_white() -> None:
    values = np.array([-1e38, -1025, -1024, 3071, 9000, np.inf, -np.inf, np.nan], np.float32)
    assert eight_bits(values, (-1024, 3071)).tolist() == [0, 0, 0, 255, 255, 255, 0, 0]
    assert eight_bits(np.array([5000], np.uint16), (0, 4095)).tolist() == [255]


def test_what_is_no_number_has_no_part_in_the_range() -> None:
    assert extent_of(np.array([np.nan, np.inf, 0.5, 0.25], np.float32)) == (0.25, 0.5)
    assert extent_of(np.array([np.nan], np.float32)) == (0, 0)


def test_twelve_bits_in_sixteen_are_no_darkness() -> None:
    deep = decode(encoded(Image.fromarray(GREY * 16), "PNG"), ScanConfig())
    assert np.array_equal(np.asarray(deep.rgb)[..., 0], GREY)
    dark = decode(encoded(Image.fromarray(GREY * 16), "PNG"), ScanConfig(levels=(0, 65535)))
    assert np.array_equal(np.asarray(dark.rgb)[..., 0], GREY // 16)
    eight = decode(encoded(Image.fromarray(GREY.astype(np.uint8)), "PNG"), ScanConfig(levels=(0, 65535)))
    assert np.array_equal(np.asarray(eight.rgb)[..., 0], GREY)


def test_one_clear_value_of_sixteen_bits_is_clear() -> None:
    values = np.full((64, 64), 40_000, np.uint16)
    values[:, :32] = 1234
    content = encoded(Image.fromarray(values), "PNG", transparency=1234)
    found = np.asarray(decode(content, ScanConfig(ground="white")).rgb)
    assert found[0, 0].tolist() == [255, 255, 255] and found[0, 63].tolist() == [40_000 >> 8] * 3


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        ([4000] * 9 + [65535], (0, 4095)),
        ([4000] * 80 + [3e9], (0, 4095)),
        ([4000] * 8 + [65535], (0, 65535)),
        ([900] * 19 + [3000], (0, 4095)),
        ([4000] * 5 + [65535] * 5, (0, 65535)),
        ([0.5] * 19 + [1.0], (0, 1)),
        ([0] * 20, None),
        ([], None),
    ],
)
def test_a_few_images_of_another_instrument_do_not_blacken_the_others(
    highest: list[float], expected: Levels | None
) -> None:
    assert common_range((0, value) for value in highest) == expected
