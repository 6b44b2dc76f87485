"""TIFF: what is refused or put right before Pillow decodes it; there are more kinds of it than it reads rightly."""

import struct
import sys
from typing import Any

from PIL.TiffImagePlugin import TiffImageFile

from mien.core.formats import raw_photo
from mien.errors import ImageError

UNCOMMON = (
    "a TIFF of an uncommon kind, such as of floats in colour or of more than four channels, which mien does not read: "
    "save it with 8 or 16 bits, and without layers or planes"
)
# Tags: whether the first image is a small copy of another; where others are; and what makes it a RAW photo.
_KIND_OF_IMAGE, _OTHER_IMAGES, _DNG_VERSION = 254, 330, 50706
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT, _TILE_WIDTH, _TILE_HEIGHT = 258, 262, 284, 339, 322, 323
# Real ones have a piece for some rows; each costs Pillow some hundred bytes.
_MAX_PIECES = 200_000
# A tile is decoded whole, however small the image.
_MAX_TILE_PIXELS = 2048**2


def refuse_pieces(content: bytes) -> None:
    """Make sure that a TIFF is in no more pieces than can be read.

    Raises:
        ImageError: It is.
    """
    order, is_big = "<" if content[:2] == b"II" else ">", content[2:4] in (b"+\0", b"\0+")
    start, number, entry = (8, "Q", "HHQQ") if is_big else (4, "H", "HHII")
    try:
        (place,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", content, start)
        (num_entries,) = struct.unpack_from(order + number, content, place)
        place += struct.calcsize(order + number)
        entries = struct.iter_unpack(
            order + entry, content[place : place + num_entries * struct.calcsize(order + entry)]
        )
        # Of bytes, many are one piece.
        counts = [count for _, kind, count, _ in entries if kind not in (1, 2, 6, 7)]
    except (struct.error, OverflowError):
        # Pillow says what is wrong.
        return
    if any(count > _MAX_PIECES for count in counts):
        raise ImageError("unreadable", "damaged: it is in far more pieces than real images are")


def prepare(image: TiffImageFile, content: bytes) -> None:
    """Make sure that the pixels of an open TIFF are decoded as they are meant.

    Args:
        image: Its pixels are not decoded yet.
        content: The file, whole.

    Raises:
        ImageError: It is a RAW photo, or Pillow would get its pixels wrong.
    """
    tags = image.tag_v2
    if content[8:10] == b"CR" or _DNG_VERSION in tags or (tags.get(_KIND_OF_IMAGE, 0) & 1 and _OTHER_IMAGES in tags):
        raise ImageError("not_an_image", raw_photo())
    bits, is_packed = tags.get(_BITS, (8,)), any(tile.codec_name == "libtiff" for tile in image.tile)
    in_planes = tags.get(_PLANES) == 2 and len(bits) > 1 and bits[0] > 8 and not is_packed
    if in_planes or (tags.get(_SAMPLE_FORMAT) == (2,) and bits[0] <= 8):
        raise ImageError("not_an_image", UNCOMMON)
    tile_pixels = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0)
    if tile_pixels > max(_MAX_TILE_PIXELS, 4 * image.width * image.height):
        raise ImageError("unreadable", "damaged: its tiles are many times larger than itself")
    if is_packed and tags.prefix == b"MM" and sys.byteorder == "little":
        # What is unpacked is in the order of this machine; Pillow turns it round once more.
        image.tile = [tile._replace(args=_in_native_order(tile.args)) for tile in image.tile]


def is_inverted(image: Any) -> bool:
    """Say whether an open image is a TIFF of more than 8 bits in which 0 is white; of 8 bits, Pillow sees to it."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0 and image.mode[0] in "IF"


def has_sign(image: Any) -> bool:
    """Say whether the values of an open image are integers that may be below 0."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_SAMPLE_FORMAT) == (2,)


def _in_native_order(args: Any) -> Any:
    if isinstance(args, tuple) and isinstance(args[0], str) and args[0][:2] in ("F;", "I;"):
        return (args[0].replace("B", ""), *args[1:])
    return args
