"""Decoding: bytes -> uint8 (H, W, 3), in the same way for check, train, predict and serve."""

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

# Hashes come from images with at least this side, so they do not depend on the training size.
HASH_SIDE = 256
# Measured peak memory of decoding, including the RGB copy; some decoders keep two or three copies of their own.
_BYTES_PER_PIXEL = {
    **{"JPEG": 8, "PNG": 12, "BMP": 12, "GIF": 12, "TIFF": 16, "AVIF": 20, "WEBP": 20},
    **{"HEIF": 20, "PPM": 16, "TGA": 12},
}
_SHADES_SIDE = 32
# An image is nearly invisible if it uses less than 1/16 of the range or goes more than 4 times beyond it.
_DARK, _BRIGHT = 16, 4
# Weights of red, green and blue in brightness, as in JPEG (ITU-R BT.601).
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
    """Properties of an image that call for one rule for the whole folder.

    Attributes:
        extent: Its lowest and highest value if it has more than 8 bits, else None.
        lost_on: The backgrounds on which it would be nearly invisible if it is transparent, else None.
    """

    extent: Levels | None
    lost_on: frozenset[str] | None

    def fit(self, config: ScanConfig) -> bool:
        """Return whether an image decoded on its own would look the same with these settings."""
        levels = None if self.extent is None else range_of([self.extent])
        ground = "auto" if self.lost_on is None else ground_for([self.lost_on])
        return levels in (None, config.levels) and ground in ("auto", config.ground)

    def hidden_by(self, config: ScanConfig) -> str:
        """Return why an image decoded with these settings is nearly invisible, or "" if it is not."""
        if self.lost_on and config.ground in self.lost_on:
            return f"nearly invisible on {config.ground}, the background for transparent images"
        if self.extent is None or config.levels is None:
            return ""
        (lowest, highest), (black, white) = self.extent, config.levels
        values = f"its values range from {in_words(lowest)} to {in_words(highest)}"
        if highest - black <= (white - black) / _DARK:
            return f"{values}, but white is {in_words(white)}, so it is nearly black"
        if highest > black + _BRIGHT * (white - black):
            return f"{values}, but everything from {in_words(white)} up is white"
        return ""


@dataclass(frozen=True)
class DecodedImage:
    """One decoded image.

    Attributes:
        rgb: Upright, mode RGB, sRGB. A JPEG may be decoded at a fraction of its size.
        format: One of FORMATS, detected from the content.
        width: Width in pixels of the original file, upright.
        height: Height in pixels of the original file, upright.
        traits: Properties that call for a rule for the whole folder, or None.
        lacks_end: Whether the file lacks its end marker, although all pixels are there.
    """

    rgb: Image.Image
    format: str
    width: int
    height: int
    traits: Traits | None = None
    lacks_end: bool = False

    def hidden_by(self, config: ScanConfig) -> str:
        """Return why it is nearly invisible if it was decoded with these settings, or "" if it is not."""
        return self.traits.hidden_by(config) if self.traits else ""


def read(path: Path) -> bytes:
    """Return the content of an image file of any kind, without decoding it.

    Raises:
        ImageError: It cannot be read, is not a regular file, or is too large.
    """
    try:
        return files.read_regular(path, max_bytes=MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError("unreadable", f"cannot be opened: {files.reason_of(error)}") from error


def decode(content: bytes, config: ScanConfig) -> DecodedImage:
    """Decode an image file to upright RGB without alpha, using the first frame of an animation.

    Args:
        content: The file, whole.
        config: Images with more than `max_pixels` are refused before decoding. JPEGs are decoded at the smallest scale
            that covers `image_size` and still allows face detection. `levels` and `ground` apply to images with more
            than 8 bits and to transparent ones.

    Raises:
        ImageError: It is not an image, damaged, or too large; `problem` says which.
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
    """Convert a Pillow image to what `decode` returns for a file; its format is empty.

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
    """Fill in the levels and the background that suit the images of a folder, unless the settings fix them.

    Args:
        config: The settings. Anything that no image calls for stays open.
        found: Properties of the images.
    """
    every = list(found)
    levels = common_range(traits.extent for traits in every if traits.extent is not None)
    transparent = [traits.lost_on for traits in every if traits.lost_on is not None]
    ground = ground_for(transparent) if transparent and config.ground == "auto" else config.ground
    return replace(config, levels=config.levels or levels, ground=cast(Ground, ground))


def decoding_bytes(content: bytes, config: ScanConfig) -> int:
    """Return the approximate peak memory of `decode` for an image file, in bytes, excluding the file itself.

    Raises:
        ImageError: It is not an image, its header is damaged, or it is too large.
    """
    image, size = _opened(content, config)
    per_pixel = _BYTES_PER_PIXEL[str(image.format)]
    if lacks_end(content):
        # Then it is decoded twice at full size.
        return bytes_kept(image, size) + size[0] * size[1] * 2 * per_pixel
    return bytes_kept(image, size) + image.width * image.height * (3 if is_deep(image) else 1) * per_pixel


def resize(rgb: Image.Image, config: ScanConfig) -> NDArray[np.uint8]:
    """Resize an image to the training size.

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
    """Return the brightness and colourfulness of an image, each 0 to 1, from a grid of its pixels.

    Brightness is the mean luma. Colourfulness is the mean difference between the strongest and the weakest of red,
    green and blue, which is 0 for grey.
    """
    pixels = np.asarray(rgb.resize((_SHADES_SIDE, _SHADES_SIDE), Image.Resampling.NEAREST))
    strongest, weakest = extremes(pixels)
    brightness, colour = pixels.mean(axis=(0, 1)) @ LUMA / 255, (strongest - weakest).mean() / 255
    return round(float(brightness), 4), round(float(colour), 4)


def extremes(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the strongest and the weakest of red, green and blue, (H, W) each, for pixels (H, W, 3)."""
    # Many times faster than max and min along an axis of three.
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def to_array(content: bytes, config: ScanConfig) -> NDArray[np.uint8]:
    """Decode and resize an image file: uint8, shape (height, width, 3).

    Raises:
        ImageError: It is not an image, damaged, or too large.
    """
    return resize(decode(content, config).rgb, config)


def room_for(shape: tuple[int, ...], config: ScanConfig) -> NDArray[np.uint8]:
    """Allocate an array for pixels, uint8: in memory, or in a temporary file if it is too large.

    Raises:
        OutputError: The disk has no room for the temporary file.
    """
    num_bytes = int(np.prod(shape))
    if num_bytes <= config.max_memory_mb * 1024**2:
        return np.empty(shape, np.uint8)
    with files.temporary_file(num_bytes) as file:
        return np.memmap(file, np.uint8, "r+", shape=shape)


def _opened(content: bytes, config: ScanConfig) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    return open_image(content, config.max_pixels, lambda size: _least_size(size, config))


def _least_size(size: tuple[int, int], config: ScanConfig) -> tuple[int, int]:
    """Return the smallest size at which a JPEG of some size may be decoded."""
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
        # Damaged EXIF says nothing about the pixels, so use the image as it is.
        return 1


def _decoded(
    image: Image.Image, config: ScanConfig, again: Callable[[], ImageFile.ImageFile] | None = None
) -> DecodedImage:
    """Return the pixels of an open image, and its properties that call for a rule."""
    deep, extent, lost = in_eight_bits(image, config.levels, again), None, None
    image.load()
    # Decoding may rotate the image and update its metadata.
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
