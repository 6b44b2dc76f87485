"""Opening: turn the bytes of an image file into an open Pillow image, not yet decoded, and refuse hostile files.

`Image.open` is not used: its pixel limit ignores that large JPEGs are decoded at 1/8 scale, and it tries formats that
are not on our allow-list.
"""

import io
from collections.abc import Callable
from typing import Any, cast

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from mien.core import jpeg, tiff
from mien.core.formats import HEAD_BYTES, describe_other, format_of
from mien.core.heif import HeifImageFile
from mien.core.portable_maps import PortableMap
from mien.errors import ImageError

# Run-length coding packs at most 255 pixels into two bytes, and Pillow slowly fills in whatever a file lacks.
_MAX_BMP_PIXELS_PER_BYTE = 128
# A 32 MB file can hold millions of comments, all of which Pillow reads and keeps; real files need a few hundred reads
# before their pixels. Each KB counts as another read, because some formats append each piece to a growing buffer.
_MAX_READS_OF_HEADER = 20_000
_BLOCK_BYTES, _MAX_BLOCKS = 1024, 64
# Including the pixels: PNG usually comes in 8 KB pieces, TIFF in rows.
_MAX_READS, _MIN_BYTES_PER_READ = 500_000, 64


class Content(io.BytesIO):
    """An image file with a read limit: Pillow loops over the pieces of any format in Python."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._num_bytes = len(content)
        self._num_reads_left = _MAX_READS_OF_HEADER
        self.start_of_last_read = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the file.

        Raises:
            OSError: The read limit is exceeded.
        """
        self._num_reads_left -= 1 + min((size or 0) // _BLOCK_BYTES, _MAX_BLOCKS)
        if self._num_reads_left < 0:
            raise OSError("it has far more pieces than real images have")
        piece = super().read(size)
        self.start_of_last_read = piece[:1]
        return piece

    def allow_pixels(self) -> None:
        """Allow as many reads as the pixels of a real image need."""
        self._num_reads_left = _MAX_READS + self._num_bytes // _MIN_BYTES_PER_READ


def open_image(
    content: bytes, max_pixels: int, least_size: Callable[[tuple[int, int]], tuple[int, int]]
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    """Open an image file with Pillow, ready to be decoded.

    Args:
        content: The complete file.
        max_pixels: Refuse images with more pixels than this. For JPEGs, only the decoded pixels count.
        least_size: Given a JPEG's (width, height), returns the smallest size to decode it at.

    Returns:
        (image, size): the open image, and the (width, height) that the file states.

    Raises:
        ImageError: Not an image, damaged in its first bytes, or too large.
    """
    image = as_it_is(content)
    size = needed = image.size
    if isinstance(image, JpegImageFile):
        jpeg.refuse_many_passes(content, size)
        image.draft(None, least_size(size))
        # A multi-pass JPEG is kept whole while it is decoded.
        needed = size if bytes_kept(image, size) else image.size
    num_pixels = needed[0] * needed[1]
    if num_pixels > max_pixels:
        told = f"{size[0]} x {size[1]} pixels exceed the limit of {max_pixels}"
        raise ImageError("too_many_pixels", told, f"raise it with --max-pixels {num_pixels}")
    return image, size


def bytes_kept(image: Image.Image, size: tuple[int, int]) -> int:
    """Return how many bytes of a multi-pass JPEG are kept at full size during decoding, or 0."""
    if not isinstance(image, JpegImageFile):
        return 0
    # Opening stops at the first pass, which starts with the number of colour channels in it.
    in_one_pass = cast(Content, image.fp).start_of_last_read == bytes([image.layers])
    if in_one_pass and "progressive" not in image.info:
        return 0
    return 2 * image.layers * size[0] * size[1]


def why(error: Exception) -> ImageError:
    """Return the ImageError for an exception raised while decoding.

    On hostile files Pillow raises whatever its decoders run into, even RuntimeError and KeyError, and this differs
    between versions. Each of them means that the image is unusable; none should stop the job.
    """
    if isinstance(error, ImageError):
        return error
    if "unknown pixel mode" in str(error):
        return ImageError("not_an_image", tiff.UNCOMMON)
    if isinstance(error, MemoryError):
        return ImageError("too_many_pixels", "not enough memory to decode it")
    reason = " ".join(str(error).split()) or type(error).__name__
    if reason == "not identified by this driver":
        reason = "it starts like an image, but the rest is not one"
    return ImageError("unreadable", f"damaged: {reason}")


def as_it_is(content: bytes) -> ImageFile.ImageFile:
    """Open an image file of a supported format, at any size.

    Raises:
        ImageError: It is not a supported image, or its header is damaged.
    """
    if not content:
        raise ImageError("empty", "0 bytes")
    format_ = format_of(content[:HEAD_BYTES])
    if format_ is None:
        raise ImageError("not_an_image", describe_other(content))
    if format_ == "JPEG" and (kind := jpeg.uncommon_kind(content)):
        raise ImageError("not_an_image", f"a {kind} JPEG, which mien cannot read: save it as 16-bit PNG")
    if format_ in ("HEIF", "AVIF") and _is_cut(content):
        raise ImageError("unreadable", "damaged: the file is truncated")
    if format_ == "TIFF":
        tiff.refuse_pieces(content)
    try:
        image = _plugin_of(format_)(Content(content))
        if isinstance(image, TiffImageFile):
            tiff.prepare(image, content)
    except Exception as error:  # See why.
        raise why(error) from error
    width, height = image.size
    if format_ == "BMP" and width * height > _MAX_BMP_PIXELS_PER_BYTE * len(content):
        raise ImageError("unreadable", f"damaged: {len(content)} bytes cannot hold {width} x {height} pixels")
    return cast(ImageFile.ImageFile, image)


def _plugin_of(format_: str) -> Callable[[Content], Any]:
    """Return the class that opens files of a format without checking the format again."""
    if format_ == "JPEG":
        return JpegImageFile
    if format_ == "PPM":
        return PortableMap
    if format_ == "HEIF":
        return HeifImageFile
    Image.preinit()
    if format_ not in Image.OPEN:
        Image.init()
    return cast(Callable[[Content], Any], Image.OPEN[format_][0])


def _is_cut(content: bytes) -> bool:
    """Return whether a HEIC or AVIF file ends inside a main part; missing tiles would simply be black."""
    place = 0
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if length == 1:
            length = int.from_bytes(content[place + 8 : place + 16], "big")
        if kind in (b"mdat", b"meta") and place + length > len(content):
            return True
        if length < 8:
            # The last part, which runs to the end, or garbage.
            return False
        place += length
    return False
