"""Colour profiles: convert pixels from profiles such as Display P3 or Adobe RGB to sRGB."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

# Printer profiles have up to 3 MB.
_MAX_BYTES = 4 * 1024**2
_MAX_TAGS = 100
# A profile that shifts every colour by no more than this is sRGB, whatever its name.
_SAME = 2
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image in mode RGB or CMYK from its colour profile to sRGB; without a profile it is unchanged."""
    if not profile or len(profile) > _MAX_BYTES or image.mode not in _SPACES:
        return image
    transform = _to_srgb(profile, image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    return ImageCms.applyTransform(image, transform) or image


# All photos from one camera share a profile.
@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the transform to sRGB, or None if the profile is sRGB already, damaged, or of another colour space."""
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
        # A damaged profile says nothing about the pixels, so use the image as it is.
        return None


def _is_long(profile: bytes) -> bool:
    """Return whether a profile may have thousands of steps, each applied to every colour."""
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
