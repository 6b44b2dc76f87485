"""Levels: pixels of more than 8 bits -> 8, by the range that their values, or those of a whole folder, point to.

An instrument of 12 bits writes values up to 4095 into files that can hold 65535, and nothing in them says so.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mien.core.tiff import has_sign, is_inverted

# The highest values of floats, and of 8, 10, 12, 14, 16, 24 and 32 bits.
_HIGHEST = (1, *(2**bits - 1 for bits in (8, 10, 12, 14, 16, 24, 32)))
# Of a range that is used by less, the values themselves are the range.
_LEAST_USED = 0.25
# What Pillow calls the first byte of each value of 16 bits; in the other order it takes the second. It has no images of
# several channels with more than 8 bits.
_RAW_MODE = re.compile(r"(RGB|RGBA|RGBX|LA);16([BLN])")
# One in so many images may be another instrument's, whose values go so many times as far.
_ODD_IN, _FAR = 10, 4
_SIXTEEN_BITS = (0.0, 65535.0)
# The first bytes of values that 14 bits do not hold begin with this.
_FIRST_OF_SIXTEEN = 64
Levels = tuple[float, float]


def range_of(found: Iterable[Levels]) -> Levels | None:
    """Return the values that are to become black and white, of one image or of all in a folder; None for no image.

    Args:
        found: The lowest and the highest value of each image.
    """
    # Nothing but 0 points to no range.
    every = [extent for extent in found if extent != (0, 0)]
    if not every:
        return None
    lowest, highest = min(low for low, _ in every), max(high for _, high in every)
    usual = next((limit for limit in _HIGHEST if highest <= limit), highest)
    if lowest < 0:
        return lowest, max(highest, lowest + 1)
    return 0.0, float(usual if highest > _LEAST_USED * usual else highest)


def common_range(found: Iterable[Levels]) -> Levels | None:
    """Return `range_of` all images of a folder, but for a few whose values go far beyond those of all others."""
    every = sorted(found, key=lambda extent: extent[1])
    for place in range(len(every) - len(every) // _ODD_IN, len(every)):
        if every[place][1] > _FAR * max(every[place - 1][1], 1):
            return range_of(every[:place])
    return range_of(every)


def extent_of(values: NDArray[Any]) -> Levels:
    """Return the lowest and the highest value that are numbers; 0 and 0 where none is."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def in_words(value: float) -> str:
    """Write a value as a person would."""
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def eight_bits(values: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    """Return values of any type as 0 to 255, of the same shape; what lies outside of the range is black or white."""
    black, white = levels
    extent = white - black
    # Of 12 bits the first 8 are kept, as others do it; of floats from 0 to 1 the nearest.
    scale, shift = (256 / (extent + 1), 0.0) if extent >= 255 else (255 / extent, 0.5)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        table: NDArray[np.uint8] = np.clip((np.arange(65536) - black) * scale + shift, 0, 255).astype(np.uint8)
        found: NDArray[np.uint8] = table[values]
        return found
    scaled = values.astype(np.float32)
    np.nan_to_num(scaled, copy=False, nan=black)
    np.clip(scaled, black, white, out=scaled)
    scaled -= black
    scaled *= scale
    scaled += shift
    return np.minimum(scaled, 255, out=scaled).astype(np.uint8)


def in_eight_bits(
    image: Image.Image, levels: Levels | None, again: Callable[[], ImageFile.ImageFile] | None = None
) -> tuple[Image.Image, Levels] | None:
    """Return an image that has more than 8 bits a channel with 8, and its lowest and highest value; None of another.

    Args:
        image: An open image; of several channels one that is not decoded yet.
        levels: The values that become black and white; None for those that its own values point to.
        again: Opens the same image a second time.
    """
    if image.mode[0] in "IF":
        values = np.asarray(image)
        # Pillow has 32 bits with a sign alone.
        values = values.view(np.uint32) if values.dtype == np.int32 and not has_sign(image) else values
    else:
        raw_mode = _raw_mode(image)
        if again is None or raw_mode is None:
            return None
        image.load()
        high = np.asarray(image)[..., :3]
        if levels in (None, _SIXTEEN_BITS) and high.max() >= _FIRST_OF_SIXTEEN and not _has_particulars(image):
            # Then the first byte of each value says it all.
            return image, (float(high.min()) * 256, float(high.max()) * 256 + 255)
        values = _both_bytes(np.asarray(image), again(), raw_mode)
    if highest := image.info.get("highest"):
        values = (values.astype(np.uint32) * 65535 // highest).astype(np.uint16)
    colours = values[..., :3] if values.ndim == 3 else values
    extent = extent_of(colours)
    levels = levels or range_of([extent]) or _SIXTEEN_BITS
    shown = eight_bits(colours, levels)
    made = Image.fromarray(255 - shown if is_inverted(image) else shown)
    if values.shape[2:] == (4,):
        # Some write it by the depth of the colours, and some by that of the file.
        alpha = values[..., 3]
        made.putalpha(Image.fromarray(eight_bits(alpha, (0, levels[1] if 0 < alpha.max() <= levels[1] else 65535))))
    elif "transparency" in image.info:
        clear = np.asarray(image.info["transparency"])
        is_clear = (colours == clear).reshape(*colours.shape[:2], -1).all(axis=2)
        made.putalpha(Image.fromarray(np.where(is_clear, 0, 255).astype(np.uint8)))
    return made, extent


def _both_bytes(first: NDArray[np.uint8], other: ImageFile.ImageFile, raw_mode: re.Match[str]) -> NDArray[np.uint16]:
    """Return the values of 16 bits of which the first byte is known, by taking the second from the same image."""
    # Of grey with alpha, all four bytes of a pixel stand for its channels.
    in_bytes = "RGBA" if raw_mode[1] == "LA" else f"{raw_mode[1]};16{'L' if raw_mode[2] == 'B' else 'B'}"
    other.tile = [tile._replace(args=_with_raw_mode(tile.args, in_bytes)) for tile in other.tile]
    second = np.asarray(other)
    both: NDArray[np.uint16] = np.left_shift(first, 8, dtype=np.uint16)
    np.bitwise_or(both, second[..., (1, 1, 1, 3)] if raw_mode[1] == "LA" else second, out=both)
    return both


def _has_particulars(image: Image.Image) -> bool:
    """Say whether an image names values, of 16 bits: the one that is clear, or the one that is white."""
    return "transparency" in image.info or "highest" in image.info


def is_deep(image: Image.Image) -> bool:
    """Say whether an open image has more than 8 bits a channel; it need not be decoded."""
    return image.mode[0] in "IF" or _raw_mode(image) is not None


def _raw_mode(image: Image.Image) -> re.Match[str] | None:
    """Return how Pillow takes the pixels of an image of several channels of 16 bits; None of another."""
    for tile in getattr(image, "tile", ()):
        raw_mode = tile.args[0] if isinstance(tile.args, tuple) else tile.args
        return _RAW_MODE.fullmatch(raw_mode) if isinstance(raw_mode, str) else None
    return None


def _with_raw_mode(args: tuple[Any, ...] | str | None, raw_mode: str) -> tuple[Any, ...] | str:
    return (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
