"""Kinds: simple visual properties (grey, dark, blurred, close-up) that an image may not share with the training set."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mien.core.images import LUMA, extremes
from mien.core.inputs import Inputs

# An image is grey if red, green and blue differ by at most this share of the strongest, on average.
_GREY = 0.03
# Mean brightness, as a share of white, that separates very dark, dark, medium, bright and very bright images.
_BRIGHTNESSES = (0.15, 0.35, 0.65, 0.85)
# How much contrast an image loses if each square of this many pixels becomes one colour.
_BLOCK, _BLURRED = 4, 0.12
# A close-up is an image in which a face takes up this share of the width or height.
_CLOSE_UP = 0.75
_DARK_TO_BRIGHT = ("very dark", "dark", "neither dark nor bright", "bright", "very bright")
_FACES = ("without a face", "of a face further away", "of a face close up")
# Also counted in pairs: an image can be unusual because it is both.
_STRIKING = frozenset(["in grey", "very dark", "very bright", "blurred", "of a face close up"])
_NONE = "none of the training images is"
# A kind is rare if at most 1 in 100 training images is of it. With fewer than 50 images, nothing can be said.
_HARDLY, _LEAST = 100, 50


def kinds_of(inputs: Inputs, *, faces: bool) -> list[tuple[str, ...]]:
    """Describe N images in words: colour, brightness, sharpness, and face size.

    Args:
        inputs: Network inputs of the images.
        faces: Whether face detection was on.
    """
    found = []
    for pixels, boxes in zip(inputs.images, inputs.face_boxes, strict=True):
        strongest, weakest = extremes(pixels)
        grey = pixels @ LUMA
        kinds = [
            "in grey" if (strongest - weakest).mean() <= _GREY * strongest.mean() else "in colour",
            _DARK_TO_BRIGHT[int(np.searchsorted(_BRIGHTNESSES, grey.mean() / 255, side="right"))],
            "blurred" if _sharpness(grey) < _BLURRED else "sharp",
        ]
        if faces:
            largest = float(boxes[0, 2:].max())
            kinds.append(_FACES[0 if largest == 0 else 2 if largest >= _CLOSE_UP else 1])
        found.append(tuple(kinds))
    return found


def count_kinds(kinds: list[tuple[str, ...]]) -> dict[str, int]:
    """Return the number of images of each kind, keyed by its words joined with commas."""
    counts: dict[str, int] = {}
    for each in kinds:
        counts[", ".join(each)] = counts.get(", ".join(each), 0) + 1
    return counts


def rarity(kinds: tuple[str, ...], counts: Mapping[str, int]) -> str:
    """Return what is unusual about an image compared with the training images, or "" if nothing is.

    Args:
        kinds: One item of the result of `kinds_of`.
        counts: Result of `count_kinds` for the training images.

    Example:
        >>> rarity(("in grey", "dark"), {"in colour, dark": 150, "in grey, dark": 1})
        'only 1 of 151 training images is in grey'
    """
    known = {frozenset(names.split(", ")): count for names, count in counts.items()}
    total = sum(known.values())
    if total < _LEAST:
        return ""
    found = {some: sum(count for names, count in known.items() if names >= set(some)) for some in _parts(kinds)}
    rare = [some for some, count in found.items() if count * _HARDLY <= total]
    # A single property explains more than a pair that includes it.
    least = min(rare, key=lambda some: (len(some), found[some]), default=())
    if not least:
        return ""
    count = found[least]
    subject = f"only {count} of {total} training images {'is' if count == 1 else 'are'}" if count else _NONE
    return f"{subject} {' and '.join(least)}"


def _parts(kinds: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for kind in kinds:
        yield (kind,)
    yield from combinations([kind for kind in kinds if kind in _STRIKING], 2)


def _sharpness(grey: NDArray[np.float32]) -> float:
    """Return the share of an image's contrast within small squares of pixels, from 0 to 1."""
    height, width = (length // _BLOCK * _BLOCK for length in grey.shape)
    cut = grey[:height, :width]
    contrast = float(cut.var())
    if not contrast:
        return 1.0
    means = cut.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    return float(np.sqrt(max(0.0, 1 - means.var() / contrast)))
