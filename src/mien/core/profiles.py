"""Colour profiles: pixels as a camera or a program meant them, such as Display P3 or Adobe RGB -> sRGB."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

# Those of printers have up to 3 MB.
_MAX_BYTES = 4 * 1024**2
_MAX_TAGS = 100
# Profiles that move no colour further are sRGB, whatever they are called.
_SAME = 2
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image, mode RGB or CMYK, with the colours that its profile means, in sRGB; one without as it is."""
    if not profile or len(profile) > _MAX_BYTES or image.mode not in _SPACES:
        return image
    transform = _to_srgb(profile, image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    return ImageCms.applyTransform(image, transform) or image


# One camera's photos have one profile, and thousands of them the same.
@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return what brings pixels to sRGB; None where they are in it, or the profile is damaged or of another kind."""
    from PIL import ImageCms

    if _is_long(profile):
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "RGB" and _moves_nothing(transform):
            return None
        return transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A damaged profile says nothing about the pixels: the image is used as it stands.
        return None


def _is_long(profile: bytes) -> bool:
    """Say whether a profile may have thousands of steps, each of which every colour would go through."""
    num_tags = int.from_bytes(profile[128:132], "big")
    tags = [profile[place : place + 12] for place in range(132, 132 + 12 * min(num_tags, _MAX_TAGS), 12)]
    kinds = (profile[place : place + 4] for tag in tags for place in [int.from_bytes(tag[4:8], "big")])
    has_steps = any(tag[:3] in (b"D2B", b"B2D") for tag in tags) or b"mpet" in kinds
    return num_tags > _MAX_TAGS or has_steps


def _moves_nothing(transform: "ImageCmsTransform") -> bool:
    from PIL import ImageCms

    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return moved is None or bool(np.abs(np.asarray(moved).astype(int) - colours).max() <= _SAME)
