import io
import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from conftest import bits_apart, draw_image, encoded
from mien.config import ScanConfig
from mien.core.images import decode
from mien.data.near_copies import (
    FLIPS,
    flipped,
    group_near,
    members_by_group,
    perceptual_hash,
)

NEAR_BITS = 16
SEEDS = range(12)


def distance(first: Image.Image, second: Image.Image) -> int:
    return bits_apart(perceptual_hash(first), perceptual_hash(second))


def recompressed(image: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=30))).convert("RGB")


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 3, image.height // 3), Image.Resampling.LANCZOS)


def larger(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)


def of_another_shape(image: Image.Image) -> Image.Image:
    return image.resize((image.width, image.height * 3 // 4))


def brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.1)


def stamped(image: Image.Image) -> Image.Image:
    edited = image.copy()
    ImageDraw.Draw(edited).rectangle((image.width - 30, image.height - 12, image.width - 4, image.height - 4), "white")
    return edited


@pytest.mark.parametrize("edit", [recompressed, smaller, larger, of_another_shape, brighter, stamped])
def test_an_edited_copy_is_near(edit: Callable[[Image.Image], Image.Image]) -> None:
    for seed in SEEDS:
        image = draw_image(seed, width=240, height=200)
        assert distance(image, edit(image)) <= NEAR_BITS, seed


@pytest.mark.medium
def test_distinct_images_are_not_near() -> None:
    images = [draw_image(seed, width=240, height=200) for seed in range(40)]
    assert min(distance(a, b) for a, b in itertools.combinations(images, 2)) > NEAR_BITS


def test_the_hash_hardly_depends_on_the_size_that_is_trained_on() -> None:
    content = encoded(draw_image(5, width=1800, height=1200), "JPEG")
    sizes = ((32, 32), (256, 256), (1100, 900))
    small, middle, large = (perceptual_hash(decode(content, ScanConfig(image_size=size)).rgb) for size in sizes)
    assert small == middle
    assert bits_apart(middle, large) <= 4


def test_a_mirrored_image_is_another_image() -> None:
    image = draw_image(1)
    assert distance(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > NEAR_BITS


def test_a_hash_is_128_bits_as_hex_digits() -> None:
    found = perceptual_hash(draw_image(1))
    assert len(found) == 32 and int(found, 16).bit_length() <= 128


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (9, 8), (7, 7)])
def test_images_of_any_shape_have_a_hash(size: tuple[int, int]) -> None:
    assert len(perceptual_hash(draw_image(1, width=size[0], height=size[1]))) == 32


def with_flipped(hash_: str, num_bits: int, chance: random.Random) -> str:
    bits = int(hash_, 16)
    for place in chance.sample(range(128), num_bits):
        bits ^= 1 << place
    return f"{bits:032x}"


def reference_groups(hashes: list[str], near_bits: int) -> list[int | None]:
    """Colour the graph of near pairs, one image after another."""
    numbers: list[int | None] = [None] * len(hashes)
    next_number = 0
    for start in range(len(hashes)):
        if numbers[start] is not None:
            continue
        members, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            for other in range(len(hashes)):
                if other not in members and bits_apart(hashes[here], hashes[other]) <= near_bits:
                    members.add(other)
                    waiting.append(other)
        if len(members) > 1:
            for member in members:
                numbers[member] = next_number
            next_number += 1
    return numbers


def test_copies_are_near_up_to_the_limit_and_not_beyond() -> None:
    chance = random.Random(1)
    for _ in range(50):
        first = chance.randbytes(16).hex()
        assert group_near([first, with_flipped(first, 16, chance)], 16) == [0, 0]
        assert group_near([first, with_flipped(first, 17, chance)], 16) == [None, None]


@pytest.mark.parametrize("near_bits", [0, 1, 7, 16, 17, 31, 40])
def test_groups_are_those_of_a_plain_search(near_bits: int) -> None:
    chance = random.Random(near_bits)
    hashes = [chance.randbytes(16).hex() for _ in range(120)]
    for _ in range(60):
        distances = (0, 1, 2, max(near_bits - 1, 0), near_bits, near_bits + 1, near_bits + 2)
        hashes.append(with_flipped(chance.choice(hashes), chance.choice(distances), chance))
    chance.shuffle(hashes)
    found = group_near(hashes, near_bits)
    assert found == reference_groups(hashes, near_bits)
    assert any(number is not None for number in found) and None in found


def test_a_chain_of_near_copies_is_one_group() -> None:
    chain = [f"{(1 << 16 * step) - 1:032x}" for step in range(6)]
    assert bits_apart(chain[0], chain[5]) == 80
    assert group_near(chain, 16) == [0] * 6
    assert group_near(chain[::2], 16) == [None] * 3


def test_groups_are_numbered_by_their_first_member() -> None:
    a, b, c = "00" * 16, "ff" * 16, "0f" * 16
    assert group_near([c, b, a, b, a, a], 16) == [None, 0, 1, 0, 1, 1]


def test_of_no_images_there_are_no_groups() -> None:
    assert group_near([], 16) == []
    assert group_near(["ab" * 16], 16) == [None]


@pytest.mark.parametrize(("first", "second"), [(0, 599), (255, 256), (256, 511), (511, 512), (100, 300), (598, 599)])
def test_copies_are_found_wherever_they_stand(first: int, second: int) -> None:
    chance = random.Random(3)
    hashes = [chance.randbytes(16).hex() for _ in range(600)]
    hashes[second] = with_flipped(hashes[first], 16, chance)
    found = group_near(hashes, 16)
    assert [place for place, number in enumerate(found) if number is not None] == [first, second]


def test_one_image_ten_thousand_times_is_one_group() -> None:
    assert group_near(["ab" * 16] * 10_000, 16) == [0] * 10_000


def test_the_hash_sees_shape_and_not_colour() -> None:
    grey = np.asarray(draw_image(4).convert("L"))
    tinted = np.stack([grey // 2 + 60, grey // 2 + 50, grey // 2 + 40], axis=2)
    assert distance(draw_image(4), Image.fromarray(tinted)) <= NEAR_BITS


FLIPPED = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned by 180 degrees": Image.Transpose.ROTATE_180,
}


@pytest.mark.parametrize("flip", FLIPS)
def test_the_hash_of_a_flipped_image_follows_from_that_of_the_image(flip: str) -> None:
    for seed in SEEDS:
        image = draw_image(seed, width=240, height=200)
        true = perceptual_hash(image.transpose(FLIPPED[flip]))
        assert bits_apart(flipped([perceptual_hash(image)], flip)[0], true) <= 8, seed
        assert bits_apart(perceptual_hash(image), true) > NEAR_BITS


def test_to_flip_twice_is_to_leave_as_it_is() -> None:
    chance = random.Random(5)
    hashes = [chance.randbytes(16).hex() for _ in range(50)]
    for flip in FLIPS:
        assert flipped(flipped(hashes, flip), flip) == hashes
    assert flipped(flipped(hashes, "mirrored"), "upside down") == flipped(hashes, "turned by 180 degrees")


def test_mirrored_images_are_of_one_group_within_a_class() -> None:
    chance = random.Random(6)
    hashes = [chance.randbytes(16).hex() for _ in range(40)]
    hashes[30:] = [with_flipped(mirrored, 16, chance) for mirrored in flipped(hashes[:10], "mirrored")]
    same, different = ["sad"] * 40, ["sad"] * 20 + ["happy"] * 20
    assert group_near(hashes, 16, class_names=same, flips=["mirrored"]) == [*range(10), *[None] * 20, *range(10)]
    assert group_near(hashes, 15, class_names=same, flips=["mirrored"]) == [None] * 40
    assert group_near(hashes, 16, class_names=different, flips=["mirrored"]) == [None] * 40
    assert group_near(hashes, 16) == [None] * 40


def test_a_mirrored_copy_in_its_class_and_a_copy_of_that_in_another_are_of_one_group() -> None:
    first = random.Random(7).randbytes(16).hex()
    (mirrored,) = flipped([first], "mirrored")
    names = ["sad", "sad", "happy", "happy"]
    assert group_near([first, mirrored, mirrored, "00" * 16], 16, class_names=names, flips=["mirrored"]) == [
        0,
        0,
        0,
        None,
    ]


def test_the_members_of_groups_keep_their_order_and_those_without_a_group_are_left_out() -> None:
    assert members_by_group("abcde", [2, None, 0, 2, None]) == {2: ["a", "d"], 0: ["c"]}
    assert members_by_group([1, 2], ["sad", "happy"]) == {"sad": [1], "happy": [2]}
    assert members_by_group([], []) == {}
