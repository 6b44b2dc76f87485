"""Levels: reduce pixels with more than 8 bits to 8, based on the range of values in an image or a whole folder.

A 12-bit instrument writes values up to 4095 into files that can hold 65535, and nothing in the file says so.
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
# If values use less than this share of a range, their own maximum becomes white.
_LEAST_USED = 0.25
# Pillow's name for the first byte of each 16-bit value; the opposite byte order gives the second. Pillow has no
# multi-channel images with more than 8 bits.
_RAW_MODE = re.compile(r"(RGB|RGBA|RGBX|LA);16([BLN])")
# Up to 1 in 10 images may come from another instrument, whose values go more than 4 times as far.
_ODD_IN, _FAR = 10, 4
_SIXTEEN_BITS = (0.0, 65535.0)
# First bytes from here on belong to values that do not fit into 14 bits.
_FIRST_OF_SIXTEEN = 64
Levels = tuple[float, float]


def range_of(found: Iterable[Levels]) -> Levels | None:
    """Return the values that become black and white for one image or for a folder, or None for no images.

    Args:
        found: The lowest and highest value of each image.
    """
    # An image that is 0 everywhere gives no hint of its range.
    every = [extent for extent in found if extent != (0, 0)]
    if not every:
        return None
    lowest, highest = min(low for low, _ in every), max(high for _, high in every)
    usual = next((limit for limit in _HIGHEST if highest <= limit), highest)
    if lowest < 0:
        return lowest, max(highest, lowest + 1)
    return 0.0, float(usual if highest > _LEAST_USED * usual else highest)


def common_range(found: Iterable[Levels]) -> Levels | None:
    """Return `range_of` the images of a folder, ignoring a few whose values go far beyond all others."""
    every = sorted(found, key=lambda extent: extent[1])
    for place in range(len(every) - len(every) // _ODD_IN, len(every)):
        if every[place][1] > _FAR * max(every[place - 1][1], 1):
            return range_of(every[:place])
    return range_of(every)


def extent_of(values: NDArray[Any]) -> Levels:
    """Return the lowest and highest finite value, or 0 and 0 if there is none."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def in_words(value: float) -> str:
    """Format a value for people."""
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def eight_bits(values: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    """Scale values of any type to 0-255, clipping those outside the range."""
    black, white = levels
    extent = white - black
    # 12 bits keep their first 8, as other programs do; floats from 0 to 1 are rounded.
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
    """Reduce an image with more than 8 bits a channel to 8, and return it with its lowest and highest value.

    Returns None for an image with 8 bits or fewer.

    Args:
        image: An open image. One with several channels must not be decoded yet.
        levels: The values that become black and white; by default taken from the image itself.
        again: Opens the same image a second time.
    """
    if image.mode[0] in "IF":
        values = np.asarray(image)
        # Pillow has only signed 32-bit integers.
        values = values.view(np.uint32) if values.dtype == np.int32 and not has_sign(image) else values
    else:
        raw_mode = _raw_mode(image)
        if again is None or raw_mode is None:
            return None
        image.load()
        high = np.asarray(image)[..., :3]
        if levels in (None, _SIXTEEN_BITS) and high.max() >= _FIRST_OF_SIXTEEN and not _has_particulars(image):
            # The first byte of each value is enough.
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
        # Some programs scale alpha like the colours, others to the full depth of the file.
        alpha = values[..., 3]
        made.putalpha(Image.fromarray(eight_bits(alpha, (0, levels[1] if 0 < alpha.max() <= levels[1] else 65535))))
    elif "transparency" in image.info:
        clear = np.asarray(image.info["transparency"])
        is_clear = (colours == clear).reshape(*colours.shape[:2], -1).all(axis=2)
        made.putalpha(Image.fromarray(np.where(is_clear, 0, 255).astype(np.uint8)))
    return made, extent


def _both_bytes(first: NDArray[np.uint8], other: ImageFile.ImageFile, raw_mode: re.Match[str]) -> NDArray[np.uint16]:
    """Complete 16-bit values whose first bytes are known by reading the second bytes from the same image."""
    # For grey with alpha, the four bytes of a pixel are read as its channels.
    in_bytes = "RGBA" if raw_mode[1] == "LA" else f"{raw_mode[1]};16{'L' if raw_mode[2] == 'B' else 'B'}"
    other.tile = [tile._replace(args=_with_raw_mode(tile.args, in_bytes)) for tile in other.tile]
    second = np.asarray(other)
    both: NDArray[np.uint16] = np.left_shift(first, 8, dtype=np.uint16)
    np.bitwise_or(both, second[..., (1, 1, 1, 3)] if raw_mode[1] == "LA" else second, out=both)
    return both


def _has_particulars(image: Image.Image) -> bool:
    """Return whether a 16-bit image names special values: the transparent one, or the one that is white."""
    return "transparency" in image.info or "highest" in image.info


def is_deep(image: Image.Image) -> bool:
    """Return whether an open image has more than 8 bits a channel; it need not be decoded."""
    return image.mode[0] in "IF" or _raw_mode(image) is not None


def _raw_mode(image: Image.Image) -> re.Match[str] | None:
    """Return Pillow's raw mode for a multi-channel 16-bit image, or None for other images."""
    for tile in getattr(image, "tile", ()):
        raw_mode = tile.args[0] if isinstance(tile.args, tuple) else tile.args
        return _RAW_MODE.fullmatch(raw_mode) if isinstance(raw_mode, str) else None
    return None


def _with_raw_mode(args: tuple[Any, ...] | str | None, raw_mode: str) -> tuple[Any, ...] | str:
    return (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
