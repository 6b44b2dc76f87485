"""TIFF: refuse or correct files before Pillow decodes them; it does not read every kind of TIFF correctly."""

import struct
import sys
from typing import Any

from PIL.TiffImagePlugin import TiffImageFile

from mien.core.formats import raw_photo
from mien.errors import ImageError

UNCOMMON = (
    "an unusual TIFF (e.g. colour floats or more than four channels), which mien cannot read: save it with 8 or 16 "
    "bits, without layers or planes"
)
# Tags: whether the first image is a thumbnail, where other images are, and what marks a RAW photo.
_KIND_OF_IMAGE, _OTHER_IMAGES, _DNG_VERSION = 254, 330, 50706
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT, _TILE_WIDTH, _TILE_HEIGHT = 258, 262, 284, 339, 322, 323
# Real files have one piece per few rows. Each piece costs Pillow some hundred bytes.
_MAX_PIECES = 200_000
# Tiles are decoded whole, even for a small image.
_MAX_TILE_PIXELS = 2048**2


def refuse_pieces(content: bytes) -> None:
    """Refuse a TIFF that has too many pieces.

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
        # Byte arrays are one piece, however long.
        counts = [count for _, kind, count, _ in entries if kind not in (1, 2, 6, 7)]
    except (struct.error, OverflowError):
        # Pillow reports the error.
        return
    if any(count > _MAX_PIECES for count in counts):
        raise ImageError("unreadable", "damaged: it has far more pieces than real images have")


def prepare(image: TiffImageFile, content: bytes) -> None:
    """Prepare an open TIFF so that Pillow decodes its pixels correctly.

    Args:
        image: Not decoded yet.
        content: The file, whole.

    Raises:
        ImageError: It is a RAW photo, or Pillow would decode it wrongly.
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
        raise ImageError("unreadable", "damaged: its tiles are many times larger than the image")
    if is_packed and tags.prefix == b"MM" and sys.byteorder == "little":
        # Unpacked data is in native byte order already; Pillow would swap it again.
        image.tile = [tile._replace(args=_in_native_order(tile.args)) for tile in image.tile]


def is_inverted(image: Any) -> bool:
    """Return whether an open image is a TIFF with more than 8 bits and 0 as white; Pillow handles 8 bits itself."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0 and image.mode[0] in "IF"


def has_sign(image: Any) -> bool:
    """Return whether the values of an open image are signed integers."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_SAMPLE_FORMAT) == (2,)


def _in_native_order(args: Any) -> Any:
    if isinstance(args, tuple) and isinstance(args[0], str) and args[0][:2] in ("F;", "I;"):
        return (args[0].replace("B", ""), *args[1:])
    return args
