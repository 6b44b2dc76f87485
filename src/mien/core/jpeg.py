"""JPEG: read a file's markers before Pillow decodes it, to find rare variants, too many passes, or a missing end."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError

# A 100 KB JPEG can ask for ten thousand passes over its pixels, which take minutes; real files have about ten.
# https://bugzilla.redhat.com/show_bug.cgi?id=1344214
_MAX_PASSES = 500
_MAX_PASSED_PIXELS = 2 * 10**9
_MAX_MARKERS = 10_000
_PASS, _END = b"\xff\xda", b"\xff\xd9"
# Within the pixels some are not markers: a literal 255, padding, and restart points.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# Data after complete pixels is ignored; if pixels are missing, this is decoded in their place.
_FILLING = bytes(37 * place % 255 for place in range(1, 65))
# Interrupted downloads leave zeros at the end of a file; real pixels almost never end like this.
_ZEROS = bytes(16)
# Start-of-frame markers of variants that almost no program reads.
_UNCOMMON_FRAMES = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "layered"),
}
# Other markers from the same range.
_NO_FRAMES = (0xC4, 0xC8, 0xCC)


def uncommon_kind(content: bytes) -> str:
    """Return what is unusual about a JPEG, such as "12-bit", or "" for an ordinary one.

    Raises:
        ImageError: It has far more pieces than real images have.
    """
    for marker, place in _markers(content):
        if _is_frame(marker):
            num_bits = content[place + 2] if place + 2 < len(content) else 8
            return _UNCOMMON_FRAMES.get(marker, f"{num_bits}-bit" if num_bits != 8 else "")
    return ""


def refuse_many_passes(content: bytes, size: tuple[int, int]) -> None:
    """Refuse a JPEG of some size that makes too many passes over its pixels.

    Raises:
        ImageError: It does.
    """
    width, height = size
    max_passes = min(_MAX_PASSES, _MAX_PASSED_PIXELS // (width * height))
    if not max_passes:
        raise ImageError("too_many_pixels", f"{width} x {height} pixels exceed the limit of {_MAX_PASSED_PIXELS}")
    # Something that looks like a pass may belong to a thumbnail, or to a video after the image.
    passes = (place for marker, place in _markers(content) if marker == _PASS[1])
    if content.count(_PASS) > max_passes and next(islice(passes, max_passes, None), None):
        reason = f"more than {max_passes} passes over {width} x {height} pixels; real images have about ten"
        raise ImageError("unreadable", reason)


def lacks_end(content: bytes) -> bool:
    """Return whether a file is a JPEG without its end marker."""
    if not content.startswith(b"\xff\xd8") or content.endswith(_END):
        return False
    # Phones append a video, which may contain any bytes: only the markers tell where the image ends.
    return all(marker != _END[1] for marker, _ in _markers(content))


def completed(content: bytes, decode: Callable[[bytes], NDArray[Any]]) -> bytes:
    """Append the end marker to a truncated JPEG if no pixels are missing.

    Args:
        content: The complete file.
        decode: Returns the pixels of a JPEG at full size.

    Raises:
        ImageError: Pixels are missing too.
    """
    whole = content.rstrip(b"\xff")
    # If appended data changes pixels, some were still missing. After a restart point, only data behind the next
    # restart point counts.
    rests = (b"", _FILLING, _next_restart(whole) + _FILLING)
    if _has_all_passes(whole) and not whole.endswith(_ZEROS):
        first, *others = (decode(whole + rest + _END) for rest in rests)
        if all(np.array_equal(first, other) for other in others):
            return whole + _END
    raise ImageError("unreadable", "damaged: the file is truncated")


def _has_all_passes(content: bytes) -> bool:
    """Return whether a JPEG ends in a pass, and its passes provide every bit of every coefficient."""
    lacking: dict[int, set[int]] = {}
    in_pass = False
    for marker, place in _markers(content):
        length = int.from_bytes(content[place : place + 2], "big")
        header = content[place + 2 : place + length]
        in_pass = marker == _PASS[1] and length >= 8 and len(header) == length - 2
        if _is_frame(marker):
            lacking = {component: set(range(64)) for component in header[6::3]}
        elif in_pass:
            first, last, bits = header[-3:]
            # The last of several passes over a coefficient provides its last bit.
            if bits & 15 == 0:
                for component in header[1:-3:2]:
                    lacking.get(component, set()).difference_update(range(first, last + 1))
    return in_pass and bool(lacking) and not any(lacking.values())


def _next_restart(content: bytes) -> bytes:
    """Return the marker that the next restart point of a JPEG's pixels would have."""
    found = _RESTART.findall(content, content.rfind(_PASS))
    return b"\xff" + bytes([0xD0 + (found[-1][1] - 0xD0 + 1) % 8 if found else 0xD0])


def _is_frame(marker: int) -> bool:
    return 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES


def _markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG up to its first end, each with the position after it."""
    place = 2
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(content, place)
        if found is None:
            return
        marker, place = found[0][1], found.end()
        yield marker, place
        if marker == _END[1]:
            return
        # All but these two empty markers are followed by a length.
        if marker not in (0x01, 0xD8):
            place += int.from_bytes(content[place : place + 2], "big")
    raise ImageError("unreadable", "damaged: it has far more pieces than real images have")
