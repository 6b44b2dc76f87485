"""Grounds: choose a background for transparent images, so that white drawings do not vanish on white."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

# In order of preference if several are equally good.
GROUNDS = {"white": 255, "black": 0, "grey": 128}
# The visible parts of an image must differ from the background by at least this many levels, on average.
_LEAST_CONTRAST = 32
# Images that are transparent by less than this share look alike on any background.
_LEAST_SHARE = 0.05
# White is replaced if more than this share of the transparent images would vanish on it.
_MOST_LOST = 0.05
_SIDE = 128


def lost_on(image: Image.Image) -> frozenset[str]:
    """Return the backgrounds on which an image in mode RGBA would be nearly invisible."""
    down, right = (max(1, side // _SIDE) for side in reversed(image.size))
    pixels = np.asarray(image)[::down, ::right].astype(np.float32)
    alpha = pixels[..., 3] / 255
    if not alpha.any() or 1 - alpha.mean() < _LEAST_SHARE:
        return frozenset()
    contrasts = {
        name: (np.abs(pixels[..., :3] - level).max(axis=2) * alpha).sum() / alpha.sum()
        for name, level in GROUNDS.items()
    }
    return frozenset(name for name, contrast in contrasts.items() if contrast < _LEAST_CONTRAST)


def ground_for(found: Iterable[frozenset[str]]) -> str:
    """Return the background for a set of images: white, unless too many would vanish on it.

    Args:
        found: Result of `lost_on` for each.
    """
    every = list(found)
    lost = {name: sum(name in grounds for grounds in every) for name in GROUNDS}
    return "white" if lost["white"] <= _MOST_LOST * len(every) else min(GROUNDS, key=lost.__getitem__)


def on_ground(image: Image.Image, ground: str) -> Image.Image:
    """Put an image in mode RGBA on a background, and return it in mode RGB."""
    rgb = Image.new("RGB", image.size, ground)
    rgb.paste(image, mask=image)
    return rgb
