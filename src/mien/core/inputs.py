"""Inputs: the arrays that a network sees, made in the same way for training, predicting, explaining and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import ScanConfig
from mien.core import images
from mien.core.faces import CROP_SIDE, MAX_FACES, Face, crops_of, find_faces
from mien.errors import SettingsError

# Increase this whenever the inputs for an image change: cached features belong to one recipe.
RECIPE = 4
# Per face: the box, the two eyes, the score.
_NUM_PLACES = 9


@dataclass(frozen=True, eq=False)
class Inputs:
    """Network inputs for N images.

    Attributes:
        images: uint8 (N, H, W, 3), resized.
        faces: uint8 (N, 3, 64, 64), upright grey face crops; black for missing faces.
        face_weights: float32 (N, 3), the weight of each face; 0 for missing faces.
        face_places: float32 (N, 3, 9), the position of each face in shares of the image's width and height: left, top,
            width and height of its box, x and y of each eye; and its score. Networks do not see this.
    """

    images: NDArray[np.uint8]
    faces: NDArray[np.uint8]
    face_weights: NDArray[np.float32]
    face_places: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> "Inputs":
        """Return the inputs for images, uint8 (N, H, W, 3), without faces."""
        # One zero, broadcast.
        shape = (len(pixels), MAX_FACES)
        crops = np.broadcast_to(np.uint8(0), (*shape, CROP_SIDE, CROP_SIDE))
        weights, places = (np.broadcast_to(np.float32(0), (*shape, *rest)) for rest in ((), (_NUM_PLACES,)))
        return cls(pixels, crops, weights, places)

    @property
    def face_boxes(self) -> NDArray[np.float32]:
        """Face boxes as left, top, width and height, float32 (N, 3, 4)."""
        return self.face_places[..., :4]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, places: slice | NDArray[np.int64]) -> "Inputs":
        return Inputs(*(array[places] for array in self._arrays()))

    def put(self, other: "Inputs") -> None:
        """Overwrite these inputs with others of the same length."""
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            if mine.flags.writeable:
                mine[:] = theirs

    def by_name(self) -> dict[str, NDArray[np.uint8] | NDArray[np.float32]]:
        """Return the arrays keyed by the input names of an ONNX graph."""
        return {"images": self.images, "faces": self.faces, "face_weights": self.face_weights}

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.images, self.faces, self.face_weights, self.face_places


def inputs_of(rgb: Image.Image, config: ScanConfig, faces: Sequence[Face] | None = None) -> Inputs:
    """Return the network inputs for one image: Inputs of length 1.

    Args:
        rgb: Any size, mode RGB.
        config: The size, the resize mode, and whether to detect faces.
        faces: The faces in it, if they are known already.
    """
    whole = Inputs.of(images.resize(rgb, config)[None])
    if faces is None:
        faces = find_faces(rgb) if config.faces == "on" else ()
    if not faces:
        return whole
    crops, weights = crops_of(rgb, faces)
    places = np.zeros((MAX_FACES, _NUM_PLACES), np.float32)
    places[: len(faces)] = [(*face.box, *face.eyes[0], *face.eyes[1], face.score) for face in faces]
    return Inputs(whole.images, crops[None], weights[None], places[None])


def refuse_images(inputs: object) -> None:
    """Refuse what are no Inputs, such as an image.

    Raises:
        SettingsError: They are none; the message says what takes images.
    """
    if not isinstance(inputs, Inputs):
        raise SettingsError(
            f"expected what Classifier.prepare returns, not {type(inputs).__name__}. For images and files, use "
            "mien.predict(classifier, images)"
        )


def faces_at(places: NDArray[np.float32]) -> tuple[Face, ...]:
    """Return the faces of one image from its `face_places`, (3, 9)."""
    found = []
    for left, top, width, height, x, y, other_x, other_y, score in places[places[:, -1] > 0].tolist():
        found.append(Face((left, top, width, height), score, ((x, y), (other_x, other_y))))
    return tuple(found)


def joined(parts: Sequence[Inputs], config: ScanConfig) -> Inputs:
    """Concatenate several Inputs; for none, return Inputs of length 0."""
    if not parts:
        return Inputs.of(np.empty((0, *config.image_size, 3), np.uint8))
    return Inputs(*map(np.concatenate, zip(*(part._arrays() for part in parts), strict=True)))


def fits_in_memory(num_images: int, config: ScanConfig) -> bool:
    """Return whether the inputs of a number of images may be kept in memory."""
    num_bytes = 3 * config.image_size[0] * config.image_size[1]
    if config.faces == "on":
        num_bytes += MAX_FACES * CROP_SIDE**2
    return num_images * num_bytes <= config.max_memory_mb * 1024**2


def room_for(num_images: int, config: ScanConfig) -> Inputs:
    """Allocate Inputs for a number of images."""
    pixels = np.empty((num_images, *config.image_size, 3), np.uint8)
    if config.faces != "on":
        return Inputs.of(pixels)
    crops = np.empty((num_images, MAX_FACES, CROP_SIDE, CROP_SIDE), np.uint8)
    weights, places = (np.zeros((num_images, MAX_FACES, *rest), np.float32) for rest in ((), (_NUM_PLACES,)))
    return Inputs(pixels, crops, weights, places)
