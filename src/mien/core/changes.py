"""Changes: alterations of an image that should not affect its class, unless the user says that they may."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from mien.config import ASPECTS, Aspect, ScanConfig, expect
from mien.core.faces import LONGEST_SIDE, Face, Rectangle, bounded
from mien.core.inputs import Inputs, faces_at, inputs_of

_HALF_AS_BRIGHT, _HALF_AS_BRIGHT_AGAIN = 0.5, 1.5
# Blurred like an image whose shorter side had about 50 pixels; saved at a very low JPEG quality.
_BLUR, _QUALITY = 1 / 112, 15
# The middle has two thirds of each side; a close-up is this many times the size of the face's box.
_MIDDLE, _CLOSE = 2 / 3, 1.3
# A face that fills more of the image than this is a close-up already.
_MOST_OF_IMAGE = 0.6
# Smaller crops show nothing.
_LEAST_SIDE = 0.02


@dataclass(frozen=True)
class Change:
    """One way to alter an image.

    Attributes:
        name: E.g. "grey".
        words: What is done, phrased to follow "on images that are ...".
        aspects: What must not affect the class.
        tone: Image -> image of the same size, mode RGB.
        cut: Face boxes (3, 4) and the image's width / height -> the crop as left, top, width and height in shares, or
            None if the change makes no sense for the image. None if the change does not crop.
        mirrors: Left and right are swapped.
    """

    name: str
    words: str
    aspects: tuple[Aspect, ...]
    tone: Callable[[Image.Image], Image.Image] = lambda rgb: rgb
    cut: Callable[[NDArray[np.float32], float], Rectangle | None] | None = None
    mirrors: bool = False

    def applies_to(self, face_boxes: NDArray[np.float32], ratio: float) -> bool:
        """Return whether the change makes sense for an image with these face boxes, (3, 4), and this shape.

        Args:
            face_boxes: In the format of `Inputs.face_boxes`.
            ratio: Width / height of the image.
        """
        return self.cut is None or self.cut(face_boxes, ratio) is not None

    def inputs_of(self, rgb: Image.Image, unchanged: Inputs, config: ScanConfig) -> Inputs:
        """Return the network inputs of the changed image: Inputs of length 1.

        If the change crops, faces are detected again; otherwise they stay where they are.

        Args:
            rgb: The decoded image, of any size.
            unchanged: The network inputs of the original image. The change must apply to it.
            config: As for `mien.core.inputs.inputs_of`.
        """
        faces: Sequence[Face] | None = faces_at(unchanged.face_places[0])
        if self.cut is not None:
            rgb, faces = _cut_out(rgb, self.cut(unchanged.face_boxes[0], rgb.width / rgb.height)), None
        elif self.mirrors and faces:
            faces = [face.mirrored() for face in faces]
        # Scale down as far as the network's input size allows, so that every change is fast.
        rgb = bounded(rgb, max(LONGEST_SIDE, 2 * max(config.image_size)))
        return inputs_of(self.tone(rgb), config, faces)


def _grey(rgb: Image.Image) -> Image.Image:
    return rgb.convert("L").convert("RGB")


def _brightened(rgb: Image.Image, factor: float) -> Image.Image:
    return rgb.point([min(255, round(factor * level)) for level in range(256)] * 3)


def _blurred(rgb: Image.Image) -> Image.Image:
    return rgb.filter(ImageFilter.GaussianBlur(_BLUR * min(rgb.size)))


def _recompressed(rgb: Image.Image) -> Image.Image:
    file = io.BytesIO()
    rgb.save(file, "JPEG", quality=_QUALITY)
    return Image.open(file).convert("RGB")


def _middle(boxes: NDArray[np.float32], ratio: float) -> Rectangle:
    return (1 - _MIDDLE) / 2, (1 - _MIDDLE) / 2, _MIDDLE, _MIDDLE


def _close_up(boxes: NDArray[np.float32], ratio: float) -> Rectangle | None:
    """Return a square around the largest face, clipped to the image, or None if there is no face to zoom in on."""
    left, top, width, height = (float(number) for number in boxes[0])
    side = _CLOSE * max(width * ratio, height)
    across, down = side / ratio, side
    x, y = left + width / 2 - across / 2, top + height / 2 - down / 2
    x, y, right, bottom = max(x, 0.0), max(y, 0.0), min(x + across, 1.0), min(y + down, 1.0)
    if min(right - x, bottom - y) < _LEAST_SIDE or (right - x) * (bottom - y) > _MOST_OF_IMAGE:
        return None
    return x, y, right - x, bottom - y


CHANGES = (
    Change("grey", "in grey", ("colour",), _grey),
    Change("darker", "darkened to half", ("brightness",), lambda rgb: _brightened(rgb, _HALF_AS_BRIGHT)),
    Change("brighter", "brightened by half", ("brightness",), lambda rgb: _brightened(rgb, _HALF_AS_BRIGHT_AGAIN)),
    Change("blurred", "blurred", ("sharpness",), _blurred),
    Change("recompressed", "heavily compressed", ("sharpness",), _recompressed),
    Change("mirrored", "mirrored", ("mirror",), ImageOps.mirror, mirrors=True),
    Change("middle", "cropped to the centre", ("surroundings",), cut=_middle),
    Change("close_up", "cropped to a face", ("surroundings",), cut=_close_up),
    Change("grey_close_up", "cropped to a face and in grey", ("surroundings", "colour"), _grey, _close_up),
)


def changes_but(may_matter: Sequence[str]) -> tuple[Change, ...]:
    """Return the changes that must not matter, given the aspects that may.

    Raises:
        SettingsError: An aspect is unknown.
    """
    unknown = [name for name in ([may_matter] if isinstance(may_matter, str) else may_matter) if name not in ASPECTS]
    expect(not unknown, "may_matter", unknown, f"some of {', '.join(ASPECTS)}")
    return tuple(change for change in CHANGES if not set(change.aspects) & set(may_matter))


def changes_by_place(places: Mapping[Change, Iterable[int]]) -> dict[int, list[Change]]:
    """Return the changes to apply to each image, given the images for each change."""
    found: dict[int, list[Change]] = {}
    for change, some in places.items():
        for place in some:
            found.setdefault(place, []).append(change)
    return found


def _cut_out(rgb: Image.Image, part: Rectangle | None) -> Image.Image:
    if part is None:
        return rgb
    left, top, width, height = part
    box = (left * rgb.width, top * rgb.height, (left + width) * rgb.width, (top + height) * rgb.height)
    x, y, right, bottom = (round(number) for number in box)
    return rgb.crop((x, y, max(right, x + 1), max(bottom, y + 1)))
