"""Pictures: images of a review as JPEGs of a size that a page needs, whatever kind of file they are."""

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from mien.config import ScanConfig
from mien.data.dataset import ImageRecord
from mien.runs.thumbnails import image_of

THUMBNAIL_SIDE, PICTURE_SIDE = 320, 1600
_QUALITY = 85


def picture_of(folder: Path, record: ImageRecord, config: ScanConfig, *, side: int) -> bytes:
    """Return an image as a JPEG, upright, with at most so many pixels each way.

    Args:
        folder: Where the images lie.
        record: The image; it must be as it was.
        config: How it is decoded.
        side: In pixels.

    Raises:
        ImageError: It has gone, or changed, or cannot be decoded; in a few words.
    """
    # No larger than it must be: JPEGs are decoded at a fraction of their size.
    image = image_of(folder, record, replace(config, image_size=(side, side), faces="off"))
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
