"""Decoding: bytes -> uint8 (H, W, 3), in the one way that check, train, predict and serve share."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from mien.config import ScanConfig
from mien.core import files
from mien.core.faces import LONGEST_SIDE
from mien.core.formats import FORMATS, MAX_FILE_BYTES, begins_like_an_image, describe_other
from mien.errors import ImageError

# Hashes are taken from images of at least this side, so that they do not depend on the size that is trained on.
_HASH_SIDE = 256
# A JPEG of 100 KB can ask for ten thousand passes over its pixels, and minutes of work; real ones have about ten.
# https://bugzilla.redhat.com/show_bug.cgi?id=1344214
_MAX_PASSES = 500
_MAX_PASSED_PIXELS = 2 * 10**9
_PASS_MARKER = b"\xff\xda"
# Run-length coding puts at most 255 pixels into two bytes; Pillow fills up what a file lacks, slowly.
_MAX_BMP_PIXELS_PER_BYTE = 128
# A file of 32 MB can hold millions of remarks, each of which Pillow reads and keeps; real ones need some hundred reads
# before their pixels. Each KB counts as a read more, as of some kinds the pieces are appended to a growing whole.
_MAX_READS_OF_HEADER = 20_000
_BLOCK_BYTES, _MAX_BLOCKS = 1024, 64
# With the pixels: PNG comes in pieces of 8 KB as a rule, and TIFF in rows.
_MAX_READS, _MIN_BYTES_PER_READ = 500_000, 64
# What decoding takes at most, with the copy that is RGB, by measurement: some decoders keep two or three of their own.
_BYTES_PER_PIXEL = {"JPEG": 8, "MPO": 8, "PNG": 12, "BMP": 12, "GIF": 12, "TIFF": 16, "AVIF": 20, "WEBP": 20}
_SHADES_SIDE = 32
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
class DecodedImage:
    """One decoded image.

    Attributes:
        rgb: Upright, in mode RGB; a JPEG may be decoded at a fraction of its size.
        format: One of FORMATS, told by the content.
        width: Pixels across, of the file itself, upright.
        height: Pixels down, likewise.
    """

    rgb: Image.Image
    format: str
    width: int
    height: int


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
    """Decode an image file: upright, without alpha (on white), in RGB; the first frame of an animation.

    Args:
        content: The file, whole.
        config: An image with more pixels than its `max_pixels` is refused before it is decoded; a JPEG is decoded
            at the smallest fraction that still covers its `image_size`, and that faces can be found in.

    Raises:
        ImageError: Not an image, damaged, or too large; `problem` tells which.
    """
    image = _opened(content, config.max_pixels)
    width, height = image.size
    try:
        image.draft(None, _least_size(image, config))
        cast(_Content, image.fp).allow_pixels()
        image.load()
        rgb = in_rgb(image)
    except Exception as error:  # See _why.
        raise _why(error) from error
    if 5 <= _orientation(image) <= 8:
        width, height = height, width
    return DecodedImage(rgb, "JPEG" if image.format == "MPO" else str(image.format), width, height)


def in_rgb(image: Image.Image) -> Image.Image:
    """Return an open image upright, without alpha (on white), in RGB."""
    rgb, orientation = _rgb(image), _orientation(image)
    return rgb.transpose(_TURNED[orientation]) if orientation in _TURNED else rgb


def decoding_bytes(content: bytes, config: ScanConfig) -> int:
    """Return about how much memory `decode` takes for an image file, at most: beside the file, and as RGB.

    Raises:
        ImageError: Not an image, damaged in its first bytes, or too large.
    """
    image = _opened(content, config.max_pixels)
    num_bytes = _bytes_of_passes(image)
    try:
        image.draft(None, _least_size(image, config))
    except Exception as error:  # See _why.
        raise _why(error) from error
    return num_bytes + image.width * image.height * _BYTES_PER_PIXEL[str(image.format)]


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


class _Content(io.BytesIO):
    """An image file that is not read without end: whatever its format, Pillow goes through its pieces in Python."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._num_bytes = len(content)
        self._num_reads_left = _MAX_READS_OF_HEADER
        self.start_of_last_read = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on.

        Raises:
            OSError: There were too many reads before.
        """
        self._num_reads_left -= 1 + min((size or 0) // _BLOCK_BYTES, _MAX_BLOCKS)
        if self._num_reads_left < 0:
            raise OSError("it is in far more pieces than real images are")
        piece = super().read(size)
        self.start_of_last_read = piece[:1]
        return piece

    def allow_pixels(self) -> None:
        """Allow as many reads as the pixels of real images need."""
        self._num_reads_left = _MAX_READS + self._num_bytes // _MIN_BYTES_PER_READ


def _least_size(image: Image.Image, config: ScanConfig) -> tuple[int, int]:
    """Return the size below which a JPEG is not decoded."""
    min_side = max(*config.image_size, _HASH_SIDE)
    scale = LONGEST_SIDE / max(image.size) if config.faces == "on" else 0
    return max(min_side, math.ceil(scale * image.width)), max(min_side, math.ceil(scale * image.height))


def _opened(content: bytes, max_pixels: int) -> ImageFile.ImageFile:
    if not content:
        raise ImageError("empty", "0 bytes")
    try:
        image = Image.open(_Content(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        if begins_like_an_image(content[:32]) and b"hei" not in content[:32]:
            raise ImageError("unreadable", "damaged: it begins like an image, but goes on otherwise") from error
        raise ImageError("not_an_image", describe_other(content)) from error
    except Exception as error:  # See _why.
        raise _why(error) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height} pixels; at most {max_pixels} are decoded")
    if image.format == "BMP" and width * height > _MAX_BMP_PIXELS_PER_BYTE * len(content):
        raise ImageError("unreadable", f"{width} x {height} pixels cannot be in {len(content)} bytes")
    if image.format in ("JPEG", "MPO"):
        max_passes = min(_MAX_PASSES, _MAX_PASSED_PIXELS // (width * height))
        if content.count(_PASS_MARKER) > max_passes:
            reason = f"more than {max_passes} passes over {width} x {height} pixels; real images have about ten"
            raise ImageError("unreadable", reason)
    return image


def _why(error: Exception) -> ImageError:
    """Say what is wrong with an image that Pillow cannot decode.

    On hostile files Pillow raises whatever its decoders happen upon, RuntimeError and KeyError among them, and that
    changes from version to version: each means an image that cannot be used, and none is a reason to stop.
    """
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return ImageError("too_many_pixels", reason)
    return ImageError("unreadable", f"damaged: {reason}")


def _bytes_of_passes(image: Image.Image) -> int:
    """Return how much of a JPEG is kept, at its full size, because it comes in several passes."""
    if not isinstance(image, JpegImageFile):
        return 0
    # Opening it ends with the first pass, which begins with how many of the colours are in it.
    in_one_pass = cast(_Content, image.fp).start_of_last_read == bytes([image.layers])
    if in_one_pass and "progressive" not in image.info:
        return 0
    return 2 * image.layers * image.width * image.height


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Damaged EXIF says nothing about the pixels: the image is used as it stands.
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        image = Image.fromarray(_eight_bits(np.array(image, np.float32)))
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    rgb = Image.new("RGB", image.size, "white")
    rgb.paste(image, mask=image)
    return rgb


def _eight_bits(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale to 0..255 by the range that the values point to: 0..1, 8 bits or 16 bits. Spoils its input."""
    np.nan_to_num(levels, copy=False)
    highest = levels.max()
    np.clip(levels, 0, 65535, out=levels)
    levels *= 255 if highest <= 1 else 1 if highest <= 255 else 1 / 257
    return levels.astype(np.uint8)
