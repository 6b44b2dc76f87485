"""Kinds: plain facts about how an image looks, in which it may be unlike those of a training: grey, dark, close up."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mien.core.images import LUMA, extremes
from mien.core.inputs import Inputs

# There is no colour to be seen where red, green and blue differ by a smaller share of the strongest, on average.
_GREY = 0.03
# Shares of full white, on average, that part very dark, dark, medium, bright and very bright images.
_BRIGHTNESSES = (0.15, 0.35, 0.65, 0.85)
# How much of its contrast an image loses where each square of so many pixels gets one colour.
_BLOCK, _BLURRED = 4, 0.12
# So much of the image, in width or in height, a face fills in a close-up.
_CLOSE_UP = 0.75
_DARK_TO_BRIGHT = ("very dark", "dark", "neither dark nor bright", "bright", "very bright")
_FACES = ("without a face", "of a face further away", "of a face close up")
# What is also counted two at a time: an image can be unlike all others in that it is both.
_STRIKING = frozenset(["in grey", "very dark", "very bright", "blurred", "of a face close up"])
_NONE = "none of the training images is"
# What at most one training image in so many is, the training hardly had; of fewer than so many, nothing is known.
_HARDLY, _LEAST = 100, 50


def kinds_of(inputs: Inputs, *, faces: bool) -> list[tuple[str, ...]]:
    """Return in words of what kind each of N images is: its colour, brightness and sharpness, and the face in it.

    Args:
        inputs: What a network is shown of the images.
        faces: Whether faces were looked for in them.
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
    """Return how many images are of each kind, by what they are, with commas between."""
    counts: dict[str, int] = {}
    for each in kinds:
        counts[", ".join(each)] = counts.get(", ".join(each), 0) + 1
    return counts


def rarity(kinds: tuple[str, ...], counts: Mapping[str, int]) -> str:
    """Return in words what an image is that hardly any training image is; "" where there is nothing.

    Args:
        kinds: One of what `kinds_of` returned.
        counts: Of the training images: what `count_kinds` returned.

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
    # What one fact says already needs no second.
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
    """Return how much of an image's contrast is within squares of a few pixels, from 0 to 1."""
    height, width = (length // _BLOCK * _BLOCK for length in grey.shape)
    cut = grey[:height, :width]
    contrast = float(cut.var())
    if not contrast:
        return 1.0
    means = cut.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    return float(np.sqrt(max(0.0, 1 - means.var() / contrast)))
