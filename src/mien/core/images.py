"""Decoding: bytes -> uint8 (H, W, 3), in the one way that check, train, predict and serve share."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from mien.config import Ground, ScanConfig
from mien.core import files
from mien.core.faces import LONGEST_SIDE
from mien.core.formats import MAX_FILE_BYTES
from mien.core.grounds import ground_for, lost_on, on_ground
from mien.core.jpeg import completed, lacks_end
from mien.core.levels import Levels, common_range, in_eight_bits, in_words, is_deep, range_of
from mien.core.opening import Content, as_it_is, bytes_kept, open_image, why
from mien.core.profiles import in_srgb
from mien.errors import ImageError

# Hashes are taken from images of at least this side, so that they do not depend on the size that is trained on.
HASH_SIDE = 256
# What decoding takes at most, with the copy that is RGB, by measurement: some decoders keep two or three of their own.
_BYTES_PER_PIXEL = {
    **{"JPEG": 8, "PNG": 12, "BMP": 12, "GIF": 12, "TIFF": 16, "AVIF": 20, "WEBP": 20},
    **{"HEIF": 20, "PPM": 16, "TGA": 12},
}
_SHADES_SIDE = 32
# Of an image that uses so small a share of the range, or goes so many times beyond it, hardly anything is seen.
_DARK, _BRIGHT = 16, 4
# Weights of red, green and blue in brightness, as JPEG has them (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_ORIENTATION_TAG = 0x0112
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Traits:
    """What in an image asks for a rule that is the same for all images of a folder.

    Attributes:
        extent: The lowest and the highest of its values, where these have more than 8 bits; else None.
        lost_on: The grounds on which it would hardly be seen, where it is transparent; else None.
    """

    extent: Levels | None
    lost_on: frozenset[str] | None

    def fit(self, config: ScanConfig) -> bool:
        """Say whether an image that was decoded by a rule of its own would be the same by these settings."""
        levels = None if self.extent is None else range_of([self.extent])
        ground = "auto" if self.lost_on is None else ground_for([self.lost_on])
        return levels in (None, config.levels) and ground in ("auto", config.ground)

    def hidden_by(self, config: ScanConfig) -> str:
        """Say why hardly anything is seen of an image that is decoded by these settings; nothing where much is."""
        if self.lost_on and config.ground in self.lost_on:
            return f"hardly anything of it is seen on {config.ground}, which transparent images are put on"
        if self.extent is None or config.levels is None:
            return ""
        (lowest, highest), (black, white) = self.extent, config.levels
        values = f"its values are from {in_words(lowest)} to {in_words(highest)}"
        if highest - black <= (white - black) / _DARK:
            return f"{values}, and {in_words(white)} is white: it is nearly black"
        if highest > black + _BRIGHT * (white - black):
            return f"{values}, and from {in_words(white)} on all is white"
        return ""


@dataclass(frozen=True)
class DecodedImage:
    """One decoded image.

    Attributes:
        rgb: Upright, in mode RGB, in sRGB; a JPEG may be decoded at a fraction of its size.
        format: One of FORMATS, told by the content.
        width: Pixels across, of the file itself, upright.
        height: Pixels down, likewise.
        traits: What in it asks for a rule; None where nothing does.
        lacks_end: Whether its file ends before the mark that says so, with all of its pixels there.
    """

    rgb: Image.Image
    format: str
    width: int
    height: int
    traits: Traits | None = None
    lacks_end: bool = False

    def hidden_by(self, config: ScanConfig) -> str:
        """Say why hardly anything is seen of it, where it was decoded by these settings; nothing where much is."""
        return self.traits.hidden_by(config) if self.traits else ""


def read(path: Path) -> bytes:
    """Return the content of an image file, whatever it is; nothing is decoded.

    Raises:
        ImageError: It cannot be read, is not a regular file, or is enormous.
    """
    try:
        return files.read_regular(path, max_bytes=MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError("unreadable", f"cannot be opened: {files.reason_of(error)}") from error


def decode(content: bytes, config: ScanConfig) -> DecodedImage:
    """Decode an image file: upright, in RGB, without alpha; the first frame of an animation.

    Args:
        content: The file, whole.
        config: An image with more pixels than its `max_pixels` is refused before it is decoded; a JPEG is decoded
            at the smallest fraction that still covers its `image_size`, and that faces can be found in. Its `levels`
            and `ground` say what becomes of images of more than 8 bits and of transparent ones.

    Raises:
        ImageError: Not an image, damaged, or too large; `problem` tells which.
    """
    image, (width, height) = _opened(content, config)
    is_cut = lacks_end(content)
    if is_cut:
        content = completed(content, lambda other: _whole_pixels(other, config.max_pixels))
        image, _ = _opened(content, config)
    format_ = str(image.format)
    try:
        cast(Content, image.fp).allow_pixels()
        decoded = _decoded(image, config, lambda: _again(content))
    except Exception as error:  # See why.
        raise why(error) from error
    if 5 <= _orientation(image) <= 8:
        width, height = height, width
    return replace(decoded, format=format_, width=width, height=height, lacks_end=is_cut)


def of_pillow(image: Image.Image, config: ScanConfig) -> DecodedImage:
    """Return an image of Pillow as `decode` returns one of a file; its format is empty.

    Raises:
        ImageError: It cannot be decoded.
    """
    again = None
    if isinstance(image, ImageFile.ImageFile) and is_deep(image) and image.fp is not None:
        image.fp.seek(0)
        content = image.fp.read()
        image, again = _again(content), lambda: _again(content)
    try:
        return _decoded(image, config, again)
    except Exception as error:  # See why.
        raise why(error) from error


def settled(config: ScanConfig, found: Iterable[Traits]) -> ScanConfig:
    """Return settings with the levels and the ground that fit the images of a folder, where they leave that open.

    Args:
        config: The settings. What no image asks for stays open.
        found: What the images ask for.
    """
    every = list(found)
    levels = common_range(traits.extent for traits in every if traits.extent is not None)
    transparent = [traits.lost_on for traits in every if traits.lost_on is not None]
    ground = ground_for(transparent) if transparent and config.ground == "auto" else config.ground
    return replace(config, levels=config.levels or levels, ground=cast(Ground, ground))


def decoding_bytes(content: bytes, config: ScanConfig) -> int:
    """Return about how much memory `decode` takes for an image file, at most: beside the file, and as RGB.

    Raises:
        ImageError: Not an image, damaged in its first bytes, or too large.
    """
    image, size = _opened(content, config)
    per_pixel = _BYTES_PER_PIXEL[str(image.format)]
    if lacks_end(content):
        # Then all of it is decoded, twice.
        return bytes_kept(image, size) + size[0] * size[1] * 2 * per_pixel
    return bytes_kept(image, size) + image.width * image.height * (3 if is_deep(image) else 1) * per_pixel


def resize(rgb: Image.Image, config: ScanConfig) -> NDArray[np.uint8]:
    """Bring an image of any size to the size that is trained on.

    Args:
        rgb: Any size, mode RGB.
        config: `image_size` and `resize_mode` of it.

    Returns:
        uint8, shape (height, width, 3).
    """
    height, width = config.image_size
    size, filter_ = (width, height), Image.Resampling.BILINEAR
    if config.resize_mode == "crop":
        rgb = ImageOps.fit(rgb, size, filter_)
    elif config.resize_mode == "pad":
        rgb = ImageOps.pad(rgb, size, filter_, color="white")
    else:
        rgb = rgb.resize(size, filter_, reducing_gap=2.0)
    return np.asarray(rgb)


def shades(rgb: Image.Image) -> tuple[float, float]:
    """Return how bright and how colourful an image is, from 0 to 1, by a grid of its pixels.

    The brightness is the mean luma; the colour is the mean distance of the strongest from the weakest of red, green and
    blue, which is 0 for grey.
    """
    pixels = np.asarray(rgb.resize((_SHADES_SIDE, _SHADES_SIDE), Image.Resampling.NEAREST))
    strongest, weakest = extremes(pixels)
    brightness, colour = pixels.mean(axis=(0, 1)) @ LUMA / 255, (strongest - weakest).mean() / 255
    return round(float(brightness), 4), round(float(colour), 4)


def extremes(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the strongest and the weakest of red, green and blue, (H, W) each, of pixels (H, W, 3)."""
    # Many times as fast as max and min along an axis of three.
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def to_array(content: bytes, config: ScanConfig) -> NDArray[np.uint8]:
    """Decode an image file and bring it to size: uint8, shape (height, width, 3).

    Raises:
        ImageError: Not an image, damaged, or too large.
    """
    return resize(decode(content, config).rgb, config)


def room_for(shape: tuple[int, ...], config: ScanConfig) -> NDArray[np.uint8]:
    """Return an array for pixels, uint8 of some shape: in memory, or in a temporary file if that is too much.

    Raises:
        OutputError: There is no room for the temporary file.
    """
    num_bytes = int(np.prod(shape))
    if num_bytes <= config.max_memory_mb * 1024**2:
        return np.empty(shape, np.uint8)
    with files.temporary_file(num_bytes) as file:
        return np.memmap(file, np.uint8, "r+", shape=shape)


def _opened(content: bytes, config: ScanConfig) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    return open_image(content, config.max_pixels, lambda size: _least_size(size, config))


def _least_size(size: tuple[int, int], config: ScanConfig) -> tuple[int, int]:
    """Return the size below which a JPEG of some size is not decoded."""
    (width, height), min_side = size, max(*config.image_size, HASH_SIDE)
    scale = LONGEST_SIDE / max(size) if config.faces == "on" else 0
    return max(min_side, math.ceil(scale * width)), max(min_side, math.ceil(scale * height))


def _whole_pixels(content: bytes, max_pixels: int) -> NDArray[Any]:
    """Decode an image at its full size."""
    image, _ = open_image(content, max_pixels, lambda size: size)
    try:
        cast(Content, image.fp).allow_pixels()
        return np.asarray(image)
    except Exception as error:  # See why.
        raise why(error) from error


def _again(content: bytes) -> ImageFile.ImageFile:
    image = as_it_is(content)
    cast(Content, image.fp).allow_pixels()
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Damaged EXIF says nothing about the pixels: the image is used as it stands.
        return 1


def _decoded(
    image: Image.Image, config: ScanConfig, again: Callable[[], ImageFile.ImageFile] | None = None
) -> DecodedImage:
    """Return the pixels of an open image, and what in it asks for a rule."""
    deep, extent, lost = in_eight_bits(image, config.levels, again), None, None
    image.load()
    # Decoding may turn it, and then say so.
    profile, orientation = image.info.get("icc_profile"), _orientation(image)
    if deep is not None:
        image, extent = deep
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if cast(tuple[int, int], image.getchannel("A").getextrema())[0] < 255:
            lost = lost_on(image)
        image = on_ground(image, ground_for([lost or frozenset()]) if config.ground == "auto" else config.ground)
    rgb = in_srgb(image.convert("RGB") if image.mode == "P" else image, profile).convert("RGB")
    rgb = rgb.transpose(_TURNED[orientation]) if orientation in _TURNED else rgb
    traits = Traits(extent, lost) if extent is not None or lost is not None else None
    return DecodedImage(rgb, "", *rgb.size, traits)
