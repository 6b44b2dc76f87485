"""Opening: the bytes of an image file -> an open image of Pillow, not yet decoded; what is hostile is refused.

Pillow's own `Image.open` is not used: it has a limit on pixels of its own, which knows nothing of JPEGs that are
decoded at an eighth of their size, and it tries kinds of files that nobody allowed.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PpmImagePlugin import PpmImageFile

from mien.core.formats import HEAD_BYTES, describe_other, format_of, raw_photo
from mien.errors import ImageError

# A JPEG of 100 KB can ask for ten thousand passes over its pixels, and minutes of work; real ones have about ten.
# https://bugzilla.redhat.com/show_bug.cgi?id=1344214
_MAX_PASSES = 500
_MAX_PASSED_PIXELS = 2 * 10**9
_PASS_MARKER, _END_MARKER = b"\xff\xda", b"\xff\xd9"
# Within the pixels of a JPEG some are no markers: a byte that happens to be 255, filling, and places to restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# What follows pixels that are whole is not looked at; where some are missing, it is taken for them.
_FILLING = bytes(37 * place % 255 for place in range(1, 65))
# Of the marker that begins the image: kinds that nearly no program reads.
_UNCOMMON_FRAMES = dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless") | dict.fromkeys(
    (0xC5, 0xC6, 0xCD, 0xCE), "layered"
)
# Of the same numbers, but other markers.
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
# Run-length coding puts at most 255 pixels into two bytes; Pillow fills up what a file lacks, slowly.
_MAX_BMP_PIXELS_PER_BYTE = 128
# A file of 32 MB can hold millions of remarks, each of which Pillow reads and keeps; real ones need some hundred reads
# before their pixels. Each KB counts as a read more, as of some kinds the pieces are appended to a growing whole.
_MAX_READS_OF_HEADER = 20_000
_BLOCK_BYTES, _MAX_BLOCKS = 1024, 64
# With the pixels: PNG comes in pieces of 8 KB as a rule, and TIFF in rows.
_MAX_READS, _MIN_BYTES_PER_READ = 500_000, 64
# Of portable maps in words.
_REMARK = re.compile(rb"#[^\r\n]*")
_UNKNOWN_PIXELS = "a TIFF of an uncommon kind, such as of floats in colour or of more than four channels"
# Tags of TIFF: whether its first image is a small copy of another; where others are; and what makes it a RAW photo.
_KIND_OF_IMAGE, _OTHER_IMAGES, _DNG_VERSION = 254, 330, 50706


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


class _PortableMap(PpmImageFile):
    """A PPM, PGM or PBM whose pixels are taken all at once; Pillow goes through most of them one by one, in Python."""

    _num_bands = 0

    def _open(self) -> None:
        super()._open()
        (tile,) = self.tile
        if tile.codec_name == "raw":
            return
        # Of bits there is no highest value.
        raw_mode, highest = (self.mode, 1) if self.mode == "1" else cast(tuple[str, int], tile.args)
        place = tile.offset
        if tile.codec_name == "ppm_plain":
            self._num_bands, self._start, self._highest, place = len(self.getbands()), tile.offset, highest, 0
        if self.mode == "I":
            self._mode, raw_mode = "I;16", "I;16B"
        elif highest > 255:
            raw_mode = f"{raw_mode};16B"
        elif self.mode == "1":
            raw_mode = "1;8"
        elif highest < 255:
            self.info["highest"] = highest
        self.tile = [tile._replace(codec_name="raw", offset=place, args=raw_mode)]

    def load(self) -> Any:
        """Decode the pixels; first of all turn numbers in words into bytes."""
        if self._num_bands:
            cast(Content, self.fp).seek(self._start)
            self.fp = Content(self._in_binary(cast(Content, self.fp).getvalue()[self._start :]))
            self._num_bands = 0
        return super().load()

    def _in_binary(self, text: bytes) -> bytes:
        text, num_values = _REMARK.sub(b"", text), self.width * self.height * self._num_bands
        if self.mode == "1":
            # No blanks need stand between bits, and 1 is black.
            bits = b"".join(text.split())[:num_values]
            if len(bits) < num_values or bits.translate(None, b"01"):
                raise ValueError("its pixels are cut off, or none")
            return bits.translate(bytes.maketrans(b"01", b"\xff\0"))
        if num_values > len(text):
            raise ValueError("its pixels are cut off")
        with warnings.catch_warnings(action="error"):
            values = np.fromstring(text, np.int32, num_values, sep=" ")
        if len(values) < num_values or values.min() < 0 or values.max() > self._highest:
            raise ValueError(f"its pixels are cut off, or not from 0 to {self._highest}")
        return values.astype(">u2" if self._highest > 255 else "u1").tobytes()


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
        _refuse_many_passes(content, size)
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


def lacks_end(content: bytes) -> bool:
    """Say whether a JPEG ends before the marker that says so."""
    if not content.startswith(b"\xff\xd8") or content.endswith(_END_MARKER):
        return False
    return content.find(_END_MARKER, max(content.rfind(_PASS_MARKER), 0)) < 0


def completed(content: bytes, max_pixels: int) -> bytes:
    """Return a JPEG that ends too soon with its end, where no pixel is missing.

    Raises:
        ImageError: More than the end is missing; or it is no JPEG, damaged or too large.
    """
    whole = content.rstrip(b"\xff")
    # What follows the last pixel is not looked at: where that changes pixels, some were still to come. What follows
    # a place to restart is not looked at either, but for the next such place.
    rests = [b"", _FILLING, _next_restart(whole) + _FILLING]
    pixels = [_pixels(whole + rest + _END_MARKER, max_pixels) for rest in rests] if _has_all_passes(whole) else []
    if not pixels or any(not np.array_equal(pixels[0], others) for others in pixels[1:]):
        raise ImageError("unreadable", "damaged: it is cut off")
    return whole + _END_MARKER


def why(error: Exception) -> ImageError:
    """Say what is wrong with an image that cannot be decoded.

    On hostile files Pillow raises whatever its decoders happen upon, RuntimeError and KeyError among them, and that
    changes from version to version: each means an image that cannot be used, and none is a reason to stop.
    """
    if isinstance(error, ImageError):
        return error
    if "unknown pixel mode" in str(error):
        return ImageError("not_an_image", f"{_UNKNOWN_PIXELS}, which mien does not read: save it with 8 or 16 bits")
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
    if format_ == "JPEG" and (kind := _uncommon_kind(content)):
        raise ImageError("not_an_image", f"a {kind} JPEG, which mien does not read: save it as 16-bit PNG")
    if format_ in ("HEIF", "AVIF") and _is_cut(content):
        raise ImageError("unreadable", "damaged: it is cut off")
    try:
        image = _plugin_of(format_)(Content(content))
        if format_ == "TIFF" and _is_raw_photo(content, image.tag_v2):
            raise ImageError("not_an_image", raw_photo())
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
        return _PortableMap
    if format_ == "HEIF":
        # Made for this; Pillow has none of its own.
        from pi_heif.as_plugin import HeifImageFile

        return cast(Callable[[Content], Any], HeifImageFile)
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


def _is_raw_photo(content: bytes, tags: Any) -> bool:
    """Say whether a TIFF is a RAW photo, of which it shows a small copy alone."""
    is_small_copy = bool(tags.get(_KIND_OF_IMAGE, 0) & 1) and _OTHER_IMAGES in tags
    return content[8:10] == b"CR" or _DNG_VERSION in tags or is_small_copy


def _refuse_many_passes(content: bytes, size: tuple[int, int]) -> None:
    width, height = size
    max_passes = min(_MAX_PASSES, _MAX_PASSED_PIXELS // (width * height))
    # What looks like a pass may be of a small copy, or of a video behind the image.
    if content.count(_PASS_MARKER) > max_passes and _num_passes(content) > max_passes:
        reason = f"more than {max_passes} passes over {width} x {height} pixels; real images have about ten"
        raise ImageError("unreadable", reason)


def _num_passes(content: bytes) -> int:
    """Return how often the pixels of a JPEG are gone through, up to its first end."""
    return sum(marker == _PASS_MARKER[1] for marker, _ in _markers(content))


def _has_all_passes(content: bytes) -> bool:
    """Say whether a JPEG ends in a pass over its pixels, and its passes give every bit of every coefficient."""
    lacking: dict[int, set[int]] = {}
    in_pass = False
    for marker, place in _markers(content):
        length = int.from_bytes(content[place : place + 2], "big")
        header = content[place + 2 : place + length]
        in_pass = marker == _PASS_MARKER[1] and length >= 8 and len(header) == length - 2
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            lacking = {component: set(range(64)) for component in header[6::3]}
        elif in_pass:
            first, last, bits = header[-3:]
            # The last of several passes over the same coefficients gives their last bit.
            if bits & 15 == 0:
                for component in header[1:-3:2]:
                    lacking.get(component, set()).difference_update(range(first, last + 1))
    return in_pass and bool(lacking) and not any(lacking.values())


def _next_restart(content: bytes) -> bytes:
    """Return the marker that would stand at the next place to restart in the pixels of a JPEG."""
    found = _RESTART.findall(content, content.rfind(_PASS_MARKER))
    return b"\xff" + bytes([0xD0 + (found[-1][1] - 0xD0 + 1) % 8 if found else 0xD0])


def _uncommon_kind(content: bytes) -> str:
    """Return what is uncommon about a JPEG, such as "12-bit"; nothing where nothing is."""
    for marker, place in _markers(content):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            num_bits = content[place + 2] if place + 2 < len(content) else 8
            return _UNCOMMON_FRAMES.get(marker, f"{num_bits}-bit" if num_bits != 8 else "")
    return ""


def _markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG up to its first end, each with the place behind it."""
    place = 2
    while found := _MARKER.search(content, place):
        marker, place = found[0][1], found.end()
        yield marker, place
        if marker == _END_MARKER[1]:
            return
        # Each has a length, but for the two that hold nothing.
        if marker not in (0x01, 0xD8):
            place += int.from_bytes(content[place : place + 2], "big")


def _pixels(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an image at its full size."""
    image, _ = open_image(content, max_pixels, least_size=lambda size: size)
    try:
        cast(Content, image.fp).allow_pixels()
        return np.asarray(image)
    except Exception as error:  # See why.
        raise why(error) from error
