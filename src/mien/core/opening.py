"""Opening: the bytes of an image file -> an open image of Pillow, not yet decoded; what is hostile is refused.

Pillow's own `Image.open` is not used: it has a limit on pixels of its own, which knows nothing of JPEGs that are
decoded at an eighth of their size, and it tries kinds of files that nobody allowed.
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

# Run-length coding puts at most 255 pixels into two bytes; Pillow fills up what a file lacks, slowly.
_MAX_BMP_PIXELS_PER_BYTE = 128
# A file of 32 MB can hold millions of remarks, each of which Pillow reads and keeps; real ones need some hundred reads
# before their pixels. Each KB counts as a read more, as of some kinds the pieces are appended to a growing whole.
_MAX_READS_OF_HEADER = 20_000
_BLOCK_BYTES, _MAX_BLOCKS = 1024, 64
# With the pixels: PNG comes in pieces of 8 KB as a rule, and TIFF in rows.
_MAX_READS, _MIN_BYTES_PER_READ = 500_000, 64


class Content(io.BytesIO):
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


def open_image(
    content: bytes, max_pixels: int, least_size: Callable[[tuple[int, int]], tuple[int, int]]
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    """Return an image file as an open image of Pillow, ready to be decoded, and how large the file says that it is.

    Args:
        content: The file, whole.
        max_pixels: An image with more is refused; of a JPEG those count that are decoded.
        least_size: Returns for a JPEG of some size below which size it is not decoded, both as (width, height).

    Raises:
        ImageError: Not an image, damaged in its first bytes, or too large.
    """
    image = as_it_is(content)
    size = needed = image.size
    if isinstance(image, JpegImageFile):
        jpeg.refuse_many_passes(content, size)
        image.draft(None, least_size(size))
        # Where it comes in several passes, all of it is kept.
        needed = size if bytes_kept(image, size) else image.size
    num_pixels = needed[0] * needed[1]
    if num_pixels > max_pixels:
        told = f"{size[0]} x {size[1]} pixels; at most {max_pixels} are decoded"
        raise ImageError("too_many_pixels", told, f"--max-pixels {num_pixels} allows it")
    return image, size


def bytes_kept(image: Image.Image, size: tuple[int, int]) -> int:
    """Return how much of a JPEG is kept while it is decoded, at its full size, because it comes in several passes."""
    if not isinstance(image, JpegImageFile):
        return 0
    # Opening it ends with the first pass, which begins with how many of the colours are in it.
    in_one_pass = cast(Content, image.fp).start_of_last_read == bytes([image.layers])
    if in_one_pass and "progressive" not in image.info:
        return 0
    return 2 * image.layers * size[0] * size[1]


def why(error: Exception) -> ImageError:
    """Say what is wrong with an image that cannot be decoded.

    On hostile files Pillow raises whatever its decoders happen upon, RuntimeError and KeyError among them, and that
    changes from version to version: each means an image that cannot be used, and none is a reason to stop.
    """
    if isinstance(error, ImageError):
        return error
    if "unknown pixel mode" in str(error):
        return ImageError("not_an_image", tiff.UNCOMMON)
    if isinstance(error, MemoryError):
        return ImageError("too_many_pixels", "there is no memory for it")
    reason = " ".join(str(error).split()) or type(error).__name__
    if reason == "not identified by this driver":
        reason = "it begins like an image, but goes on otherwise"
    return ImageError("unreadable", f"damaged: {reason}")


def as_it_is(content: bytes) -> ImageFile.ImageFile:
    """Open an image file of an allowed kind, whatever its size.

    Raises:
        ImageError: It is none, or damaged in its first bytes.
    """
    if not content:
        raise ImageError("empty", "0 bytes")
    format_ = format_of(content[:HEAD_BYTES])
    if format_ is None:
        raise ImageError("not_an_image", describe_other(content))
    if format_ == "JPEG" and (kind := jpeg.uncommon_kind(content)):
        raise ImageError("not_an_image", f"a {kind} JPEG, which mien does not read: save it as 16-bit PNG")
    if format_ in ("HEIF", "AVIF") and _is_cut(content):
        raise ImageError("unreadable", "damaged: it is cut off")
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
        raise ImageError("unreadable", f"{width} x {height} pixels cannot be in {len(content)} bytes")
    return cast(ImageFile.ImageFile, image)


def _plugin_of(format_: str) -> Callable[[Content], Any]:
    """Return what opens files of a kind, without looking at what they are."""
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
    """Say whether a HEIC or an AVIF ends within one of its main parts: tiles that are missing would just be black."""
    place = 0
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if length == 1:
            length = int.from_bytes(content[place + 8 : place + 16], "big")
        if kind in (b"mdat", b"meta") and place + length > len(content):
            return True
        if length < 8:
            # The last part, up to the end; or what is none.
            return False
        place += length
    return False
