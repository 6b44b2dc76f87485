"""What transparent images are put on."""

import pytest
from PIL import Image, ImageDraw

from conftest import encoded
from mien.config import Ground, ScanConfig
from mien.core.grounds import ground_for, lost_on
from mien.core.images import decode


def drawing(colour: str, *, clear: bool = True) -> Image.Image:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0) if clear else "white")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), colour)
    return image


@pytest.mark.parametrize(
    ("colour", "lost"),
    [
        ("white", {"white"}),
        ("#eeeeee", {"white"}),
        ("black", {"black"}),
        ("#808080", {"grey"}),
        ("yellow", set()),
        ("red", set()),
    ],
)
def test_a_drawing_is_lost_on_its_own_colour(colour: str, lost: set[str]) -> None:
    assert lost_on(drawing(colour)) == lost


def test_what_is_hardly_clear_or_all_clear_is_lost_nowhere() -> None:
    corner = Image.new("RGBA", (64, 64), "white")
    corner.paste((0, 0, 0, 0), (0, 0, 8, 8))
    assert lost_on(corner) == lost_on(Image.new("RGBA", (64, 64))) == frozenset()


WHITE, BLACK, NOWHERE = frozenset({"white"}), frozenset({"black"}), frozenset[str]()


@pytest.mark.parametrize(
    ("found", "ground"),
    [
        ([], "white"),
        ([WHITE], "black"),
        ([BLACK], "white"),
        ([WHITE] * 3 + [BLACK] * 3, "grey"),
        ([WHITE] + [NOWHERE] * 19, "white"),
        ([WHITE] + [NOWHERE] * 18, "black"),
        ([frozenset({"white", "black", "grey"})], "white"),
    ],
)
def test_white_is_left_where_too_many_would_be_lost_on_it(found: list[frozenset[str]], ground: str) -> None:
    assert ground_for(found) == ground


@pytest.mark.parametrize(
    ("asked", "expected"), [("auto", (0, 0, 0)), ("white", (255, 255, 255)), ("grey", (128, 128, 128))]
)
def test_an_image_alone_is_seen_and_a_ground_that_is_asked_for_is_taken(
    asked: Ground, expected: tuple[int, int, int]
) -> None:
    image = decode(encoded(drawing("white"), "PNG"), ScanConfig(ground=asked))
    assert image.rgb.getpixel((0, 0)) == expected and image.rgb.getpixel((32, 32)) == (255, 255, 255)
    assert image.traits is not None and image.traits.lost_on == frozenset({"white"})


def test_what_has_an_alpha_channel_and_is_not_transparent_asks_for_no_ground() -> None:
    assert decode(encoded(drawing("white", clear=False), "PNG"), ScanConfig()).traits is None
