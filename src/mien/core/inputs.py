"""Inputs: what a network is shown of an image, made in one way for training, predicting, explaining and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import ScanConfig
from mien.core import images
from mien.core.faces import CROP_SIDE, MAX_FACES, crops_of, find_faces


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network is shown of N images.

    Attributes:
        images: uint8 (N, H, W, 3), brought to size.
        faces: uint8 (N, 3, 64, 64), the faces of each, grey and upright; black where there is none.
        face_weights: float32 (N, 3), how much each face counts; 0 where there is none.
        face_boxes: float32 (N, 3, 4), where each face is: left, top, width and height, in shares of the image's width
            and height. No network sees them.
    """

    images: NDArray[np.uint8]
    faces: NDArray[np.uint8]
    face_weights: NDArray[np.float32]
    face_boxes: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> "Inputs":
        """Return images, uint8 (N, H, W, 3), without faces."""
        # A single zero stands for all of them.
        shape = (len(pixels), MAX_FACES)
        crops = np.broadcast_to(np.uint8(0), (*shape, CROP_SIDE, CROP_SIDE))
        return cls(pixels, crops, np.broadcast_to(np.float32(0), shape), np.broadcast_to(np.float32(0), (*shape, 4)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, places: slice | NDArray[np.int64]) -> "Inputs":
        return Inputs(*(array[places] for array in self._arrays()))

    def put(self, other: "Inputs") -> None:
        """Write others, as many as these, in the place of these."""
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            if mine.flags.writeable:
                mine[:] = theirs

    def by_name(self) -> dict[str, NDArray[np.uint8] | NDArray[np.float32]]:
        """Return the arrays by the names that the inputs of an ONNX graph have."""
        return {"images": self.images, "faces": self.faces, "face_weights": self.face_weights}

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.images, self.faces, self.face_weights, self.face_boxes


def inputs_of(rgb: Image.Image, config: ScanConfig) -> Inputs:
    """Return what a network is shown of one image: Inputs of length 1.

    Args:
        rgb: Any size, mode RGB.
        config: The size, how the image is brought to it, and whether faces are looked for.
    """
    whole = Inputs.of(images.resize(rgb, config)[None])
    faces = find_faces(rgb) if config.faces == "on" else ()
    if not faces:
        return whole
    crops, weights = crops_of(rgb, faces)
    boxes = np.zeros((MAX_FACES, 4), np.float32)
    boxes[: len(faces)] = [face.box for face in faces]
    return Inputs(whole.images, crops[None], weights[None], boxes[None])


def joined(parts: Sequence[Inputs], config: ScanConfig) -> Inputs:
    """Return the images of several Inputs, in their order; of none, Inputs of length 0."""
    if not parts:
        return Inputs.of(np.empty((0, *config.image_size, 3), np.uint8))
    return Inputs(*map(np.concatenate, zip(*(part._arrays() for part in parts), strict=True)))


def room_for(num_images: int, config: ScanConfig) -> Inputs:
    """Return arrays for what a network is shown of images; large ones are in a temporary file.

    Raises:
        OutputError: There is no room for the temporary file.
    """
    pixels = images.room_for((num_images, *config.image_size, 3), config)
    if config.faces != "on":
        return Inputs.of(pixels)
    crops = images.room_for((num_images, MAX_FACES, CROP_SIDE, CROP_SIDE), config)
    weights, boxes = (np.zeros((num_images, MAX_FACES, *rest), np.float32) for rest in ((), (4,)))
    return Inputs(pixels, crops, weights, boxes)
