"""Pictures: the images of a review as JPEGs in the size that the page needs, whatever their format."""

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
    """Return an image as an upright JPEG of limited size.

    Args:
        folder: The dataset folder.
        record: The image, which must not have changed since the scan.
        config: How to decode it.
        side: Largest width and height, in pixels.

    Raises:
        ImageError: The image is missing, has changed, or cannot be decoded.
    """
    # No larger than needed, so that JPEGs can be decoded at a reduced scale.
    image = image_of(folder, record, replace(config, image_size=(side, side), faces="off"))
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
