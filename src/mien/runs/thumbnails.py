"""Thumbnails: small images as data URIs, to embed in a page."""

import base64
import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import ScanConfig
from mien.core import images
from mien.core.parallel import in_threads
from mien.data.dataset import Dataset, ImageRecord
from mien.errors import ImageError

# As large as most classifiers see an image.
SIDE = 224
_QUALITY = 80


@dataclass(frozen=True)
class Thumbnail:
    """A small image, or the reason why there is none.

    Attributes:
        uri: The image as a `data:` URI; empty if there is none.
        width: Width in pixels.
        height: Height in pixels.
        missing: Why there is no image, in a few words.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


def load_thumbnails(dataset: Dataset, records: Iterable[ImageRecord]) -> dict[str, Thumbnail]:
    """Return a thumbnail of each image, by path; that of a missing or changed image says so.

    Args:
        dataset: The Dataset. Images that it keeps in memory are not decoded again.
        records: The images to show.
    """
    wanted = list({record.path: record for record in records}.values())
    places = {record.path: place for place, record in enumerate(dataset.records)}
    # As small as possible, because JPEGs can be decoded at a fraction of their size.
    small = replace(dataset.config, image_size=(SIDE, SIDE), faces="off")

    def make(record: ImageRecord) -> Thumbnail:
        if dataset.kept is not None and record.phash:
            return _unfitted(dataset.kept.images[places[record.path]], record, dataset.config)
        return _load(dataset.root, record, small)

    found = in_threads(make, wanted)
    return {record.path: thumbnail for record, thumbnail in zip(wanted, found, strict=True)}


def thumbnail_of(image: Image.Image | NDArray[np.uint8], *, side: int = SIDE) -> Thumbnail:
    """Return a thumbnail of at most `side` pixels in each direction, with the image's aspect ratio."""
    small = image.copy() if isinstance(image, Image.Image) else Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", *small.size)


def image_of(folder: Path, record: ImageRecord, config: ScanConfig) -> Image.Image:
    """Decode the image of a record, if it is still unchanged.

    Raises:
        ImageError: The image is missing, has changed, or cannot be decoded.
    """
    path = folder / record.path
    if not os.path.exists(path):
        raise ImageError("unreadable", "file missing")
    try:
        content = images.read(path)
        if hashlib.sha256(content).hexdigest() == record.sha256:
            return images.decode(content, config).rgb
    except ImageError as error:
        raise ImageError(error.problem, "cannot be shown") from error
    raise ImageError("unreadable", "file changed")


def _unfitted(pixels: NDArray[np.uint8], record: ImageRecord, config: ScanConfig) -> Thumbnail:
    """Return a thumbnail of an image resized for the classifier; a stretched one gets its own aspect ratio back."""
    if config.resize_mode != "stretch":
        return thumbnail_of(pixels)
    scale = min(SIDE / max(record.width, record.height), 1)
    shape = (max(round(record.width * scale), 1), max(round(record.height * scale), 1))
    return thumbnail_of(Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC))


def _load(folder: Path, record: ImageRecord, config: ScanConfig) -> Thumbnail:
    try:
        return thumbnail_of(image_of(folder, record, config))
    except ImageError as error:
        return Thumbnail(missing=str(error))
