"""Copies: what was saved again is proved to be a copy, and what only looks alike is none."""

import errno
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from conftest import bits_apart
from mien.data import copies
from mien.data.copies import Copy, find_copies
from mien.data.dataset import ImageRecord
from mien.data.looks import in_file, look_of, save_looks, with_looks
from mien.data.near_copies import FLIPS, bits_between, perceptual_hash
from mien.errors import SourceNotFoundError

pytestmark = pytest.mark.medium

NEAR_BITS = 16


def painted(number: int, side: int = 256) -> Image.Image:
    """Paint blots of many sizes and colours; each number gives another image."""
    rng = np.random.default_rng(number)
    image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y, width, height = rng.integers(0, side, 4)
        box = (int(x), int(y), int(x + width // 3), int(y + height // 3))
        draw.ellipse(box, tuple(int(level) for level in rng.integers(0, 256, 3)))
    return image


def shot(number: int, *, scratched: bool) -> Image.Image:
    """Draw what a fixed camera over a belt sees: a disc, not always in the same place, with or without a scratch."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (320, 240), (120, 118, 115))
    draw = ImageDraw.Draw(image)
    x, y = 160 + rng.normal(0, 6), 120 + rng.normal(0, 6)
    draw.ellipse((x - 70, y - 70, x + 70, y + 70), (185, 185, 190), (90, 90, 95), 4)
    if scratched:
        angle = rng.uniform(0, 6)
        draw.line((x, y, x + 40 * np.cos(angle), y + 40 * np.sin(angle)), (60, 55, 55), 3)
    levels = np.asarray(image) * rng.uniform(0.96, 1.04) + rng.normal(0, 4, (240, 320, 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def record_of(image: Image.Image, path: str) -> ImageRecord:
    return ImageRecord(
        path,
        path.split("/")[0],
        sha256=path,
        phash=perceptual_hash(image),
        width=image.width,
        height=image.height,
        look=look_of(image),
    )


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    margin = round(image.width * share / 2)
    return image.crop((margin, margin, image.width - margin, image.height - margin))


def captioned(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text((image.width * 0.6, image.height * 0.9), "example.org", "white", font_size=14)
    return marked


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "compressed": lambda image: saved(image, 30),
    "small": lambda image: image.resize((64, 64)),
    "narrow": lambda image: image.resize((256, 180)),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "cropped": lambda image: cropped(image, 0.05),
    "framed": lambda image: ImageOps.expand(image, 4, "black"),
    "turned": lambda image: image.rotate(1, Image.Resampling.BILINEAR),
    "captioned": captioned,
}


@pytest.mark.parametrize("kind", COPIES)
def test_what_was_saved_again_is_a_copy(kind: str) -> None:
    images = [painted(number) for number in range(12)]
    records = [record_of(image, f"sad/{number}") for number, image in enumerate(images)]
    changed = [record_of(COPIES[kind](image), f"sad/copy {number}") for number, image in enumerate(images)]
    found = find_copies([*records, *changed], NEAR_BITS)
    assert found[:12] == [None] * 12
    near = [n for n in range(12) if bits_apart(records[n].phash, changed[n].phash) <= NEAR_BITS]
    assert len(near) >= 9
    assert sum(found[12 + number] is not None for number in near) >= len(near) - 1
    assert all(copy is None or copy.of == number for number, copy in enumerate(found[12:]))


def test_copies_under_two_classes_are_found() -> None:
    image = painted(1)
    found = find_copies([record_of(image, "happy/a"), record_of(saved(image, 50), "sad/b")], NEAR_BITS)
    assert found[1] is not None and found[1].of == 0 and not found[1].flip


@pytest.mark.parametrize("flip", FLIPS)
def test_a_flipped_image_is_a_copy_in_its_class_alone(flip: str) -> None:
    ways = {"mirrored": Image.Transpose.FLIP_LEFT_RIGHT, "upside down": Image.Transpose.FLIP_TOP_BOTTOM}
    turned = painted(2).transpose(ways.get(flip, Image.Transpose.ROTATE_180))
    first = record_of(painted(2), "sad/a")
    found = find_copies([first, record_of(turned, "sad/b")], NEAR_BITS, flips=FLIPS)
    assert found[1] is not None and (found[1].of, found[1].flip) == (0, flip)
    assert find_copies([first, record_of(turned, "happy/b")], NEAR_BITS, flips=FLIPS) == [None, None]
    assert find_copies([first, record_of(turned, "sad/b")], NEAR_BITS, flips=()) == [None, None]


def belt() -> list[ImageRecord]:
    kinds = [("good", False), ("bad", True)]
    return [record_of(shot(n, scratched=bad), f"{name}/{n}") for name, bad in kinds for n in range(len(name), 140, 2)]


def test_shots_of_a_fixed_camera_are_no_copies_though_their_hashes_are_near() -> None:
    records = belt()
    words = [int(record.phash, 16) for record in records]
    near = [(a ^ b).bit_count() <= NEAR_BITS for place, a in enumerate(words) for b in words[:place]]
    assert sum(near) > 500
    assert sum(copy is not None for copy in find_copies(records, NEAR_BITS)) <= 1


def test_among_the_shots_of_a_fixed_camera_what_was_saved_again_is_still_a_copy() -> None:
    originals = [shot(number, scratched=bool(number % 2)) for number in range(60)]
    records = [record_of(image, f"{number % 2}/{number}") for number, image in enumerate(originals)]
    again = [record_of(saved(originals[number], 90), f"{number % 2}/copy {number}") for number in range(10)]
    found = find_copies([*records, *again], NEAR_BITS)[60:]
    assert [copy.of if copy else None for copy in found].count(None) <= 2
    assert all(copy is None or copy.of == number for number, copy in enumerate(found))


def test_the_photos_beside_a_fixed_camera_are_judged_by_their_own_class() -> None:
    photos = [record_of(painted(number), f"photo/{number}") for number in range(6)]
    brighter = [record_of(ImageEnhance.Brightness(painted(n)).enhance(0.8), f"photo/darker {n}") for n in range(6)]
    found = find_copies([*belt(), *photos, *brighter], NEAR_BITS)[-6:]
    assert [copy is not None for copy in found].count(True) >= 5


def test_each_is_held_against_what_is_kept_and_never_against_a_copy() -> None:
    image = painted(3)
    chain = [record_of(cropped(image, share), f"sad/{share}") for share in (0, 0.04, 0.08, 0.12, 0.16)]
    for copy in find_copies(chain, NEAR_BITS):
        assert copy is None or find_copies(chain, NEAR_BITS)[copy.of] is None


def test_the_same_image_a_thousand_times_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    between = bits_between

    def counted(first: list[str], second: list[str], flip: str = "") -> NDArray[np.uint8]:
        sizes.append(len(first))
        return between(first, second, flip)

    monkeypatch.setattr(copies, "bits_between", counted)
    first = record_of(painted(4), "sad/0")
    records = [replace(first, path=f"sad/{number}") for number in range(1000)]
    assert find_copies(records, NEAR_BITS)[1:] == [Copy(0, "", 0)] * 999
    assert sizes == []


def test_of_very_many_near_images_those_that_are_the_same_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_MAX_CHAIN", 30)
    records = belt()
    again = [replace(record, path=f"{record.path} again", label=record.label + "2") for record in records]
    found = find_copies([*records, *again], NEAR_BITS)
    assert sum(copy is not None and copy.of == place for place, copy in enumerate(found[len(records) :])) >= 0.95 * 136
    assert all(copy is None or found[copy.of] is None for copy in found)


def test_blank_images_are_copies_if_they_are_of_one_grey() -> None:
    greys = [record_of(Image.new("RGB", (64, 64), (level,) * 3), f"sad/{level}") for level in (0, 0, 128, 255)]
    found = find_copies(greys, NEAR_BITS)
    assert [copy and copy.of for copy in found] == [None, 0, None, None]


def test_copies_are_found_as_well_where_the_looks_are_in_a_file() -> None:
    drawn = [painted(number) for number in range(4)]
    records = [record_of(image, f"sad/{number}") for number, image in enumerate([*drawn, *drawn])]
    records.append(ImageRecord("sad/no image", "sad", phash=records[0].phash))
    stored = in_file(records)
    assert [bytes(record.look) for record in stored] == [bytes(record.look).ljust(1152, b"\0") for record in records]
    assert not any(isinstance(record.look, bytes) for record in stored)
    assert [type(record.look) for record in pickle.loads(pickle.dumps(stored))] == [bytes] * len(stored)
    assert find_copies(stored, NEAR_BITS) == find_copies(records, NEAR_BITS)


def test_looks_stay_in_memory_where_the_disk_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    records = [record_of(painted(5), "sad/a")]
    assert in_file(records) is records


def test_looks_are_read_back_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    records = [record_of(painted(5), "sad/a"), ImageRecord("sad/no image", "sad")]
    save_looks(tmp_path / "looks.npy", records)
    bare = [replace(record, look=b"") for record in records]
    assert [record.look for record in with_looks(tmp_path / "looks.npy", bare)] == [records[0].look, bytes(1152)]
    with pytest.raises(SourceNotFoundError, match="damaged, or from another version"):
        with_looks(tmp_path / "looks.npy", bare[:1])
    (tmp_path / "looks.npy").write_bytes(b"no numbers")
    with pytest.raises(SourceNotFoundError, match="which holds thumbnails of the training images"):
        with_looks(tmp_path / "looks.npy", bare)
