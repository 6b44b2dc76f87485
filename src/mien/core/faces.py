"""Faces: find them in an image, and cut small upright grey crops for networks that see only faces."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.inference import Graph

SIDE = 256
CROP_SIDE = 64
MAX_FACES = 3
# A JPEG may be decoded at a fraction of its size; scaling everything down to this makes that irrelevant.
LONGEST_SIDE = 512
# Cells per side and boxes per cell of the detector's two output maps.
_MAPS = ((16, 2), (8, 6))
_MIN_SCORE, _MAX_OVERLAP = 0.5, 0.3
# The detector misses faces that fill the image. If it finds none, it retries on the image scaled by the first number
# and keeps only faces of at least the second share of the longer side: smaller ones are rarely real.
_SMALLER, _LARGE = 2 / 3, 0.5
# Beyond this logit, the score is 0 or 1.
_LARGEST_LOGIT = 80.0
_CROP_SCALE, _MOST_TURN = 1.1, 0.8
# Each crop pixel is the mean of this many samples per side.
_SAMPLES = 2
_LOADING = Lock()

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """One face in an image.

    Attributes:
        box: (left, top, width, height) from brow to chin, as shares of the image's width and height. Values are 0 to 1
            except where the face extends beyond the image.
        score: Detector confidence, 0.5 to 1.
        eyes: (x, y) of the left eye (as seen in an upright face), then of the right eye, in the same units.
    """

    box: Rectangle
    score: float
    eyes: tuple[Point, Point]

    def mirrored(self) -> "Face":
        """Return the face as it appears in the mirrored image."""
        left, top, width, height = self.box
        (x, y), (other_x, other_y) = self.eyes
        return Face((1 - left - width, top, width, height), self.score, ((1 - other_x, other_y), (1 - x, y)))


def find_faces(rgb: Image.Image) -> tuple[Face, ...]:
    """Find up to three faces, sorted by area times score, largest first.

    If none is found, look again for faces that fill the image. Thread-safe; each call runs in its own thread.

    Args:
        rgb: Mode RGB, of any size.

    Source:
        V. Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, arXiv:1907.05047, 2019.
    """
    return _look(rgb) or tuple(face for face in _look(rgb, _SMALLER) if _share_of(face, rgb.size) >= _LARGE)


def crops_of(rgb: Image.Image, faces: Sequence[Face]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut out faces as grey squares, rotated so that the eyes are level.

    A crop is 1.1 times the longer side of the face's box, rotated by at most 0.8 rad. Outside the image, edge pixels
    are repeated.

    Args:
        rgb: Mode RGB, any size; the image in which the faces were found.
        faces: Result of `find_faces`. At most the first three are used.

    Returns:
        (crops, weights). Crops: uint8 (3, 64, 64). Weights: float32 (3,), each the crop's side as a share of the
        image's longer side, times the face's score. Both are 0 for missing faces.
    """
    grey = bounded(rgb.convert("L"))
    crops = np.zeros((MAX_FACES, CROP_SIDE, CROP_SIDE), np.uint8)
    weights = np.zeros(MAX_FACES, np.float32)
    for number, face in enumerate(faces[:MAX_FACES]):
        side = _side_of(face, grey.size)
        crops[number] = _crop(grey, face, side)
        weights[number] = side / max(grey.size) * face.score
    return crops, weights


def letterbox(rgb: Image.Image, share: float = 1.0) -> tuple[NDArray[np.uint8], Rectangle]:
    """Fit an image into the detector's square input, keeping its proportions, centred on black.

    Args:
        rgb: Mode RGB, of any size.
        share: Share of the square that its longer side fills.

    Returns:
        (image, place): uint8 (256, 256, 3), and the image's (left, top, width, height) in it, in pixels.
    """
    shrunk = bounded(rgb)
    width, height = (max(1, round(length * share * SIDE / max(shrunk.size))) for length in shrunk.size)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    square = Image.new("RGB", (SIDE, SIDE))
    square.paste(shrunk.resize((width, height), Image.Resampling.BILINEAR), (left, top))
    return np.asarray(square), (left, top, width, height)


def anchors() -> NDArray[np.float64]:
    """Return the reference points of the detector's boxes: (896, 2), x and y as shares of the square."""
    return np.concatenate([np.repeat(_centres(num_cells), num_boxes, axis=0) for num_cells, num_boxes in _MAPS])


def faces_from(regressors: NDArray[np.float32], logits: NDArray[np.float32], place: Rectangle) -> tuple[Face, ...]:
    """Convert detector output to up to three faces, sorted by area times score, largest first.

    A face needs a score of at least 0.5 and a centre inside the image. If two boxes overlap by more than 0.3 of their
    union, only the one with the higher score is kept.

    Args:
        regressors: (896, 16), in pixels: centre, width and height of a box, and six points (the two eyes first), each
            as x and y. The centre and the points are relative to the anchors.
        logits: (896,), the scores before the sigmoid.
        place: The image's (left, top, width, height) in the square, in pixels.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_LARGEST_LOGIT, _LARGEST_LOGIT)))
    pairs = regressors.astype(np.float64).reshape(-1, 8, 2) / SIDE
    pairs[:, [0, 2, 3, 4, 5, 6, 7]] += anchors()[:, None]
    corner, size = np.array(place[:2]) / SIDE, np.array(place[2:]) / SIDE
    is_inside = (pairs[:, 0] >= corner) & (pairs[:, 0] <= corner + size)
    is_face = (scores >= _MIN_SCORE) & (pairs[:, 1] > 0).all(axis=1) & is_inside.all(axis=1)
    pairs, scores = pairs[is_face], scores[is_face]
    boxes = np.concatenate([pairs[:, 0] - pairs[:, 1] / 2, pairs[:, 0] + pairs[:, 1] / 2], axis=1)
    kept = _without_overlaps(boxes, scores)
    kept.sort(key=lambda i: -scores[i] * pairs[i, 1].prod())
    return tuple(_face(pairs[i], float(scores[i]), corner, size) for i in kept[:MAX_FACES])


def _look(rgb: Image.Image, share: float = 1.0) -> tuple[Face, ...]:
    image, place = letterbox(rgb, share)
    regressors, logits = _detector().run(["regressors", "scores"], {"images": image[None]})
    return faces_from(regressors[0], logits[0, :, 0], place)


def _share_of(face: Face, size: tuple[int, int]) -> float:
    """Return the longer side of a face's box as a share of the longer side of an image of this (width, height)."""
    return max(face.box[2] * size[0], face.box[3] * size[1]) / max(size)


def _face(pairs: NDArray[np.float64], score: float, corner: NDArray[np.float64], size: NDArray[np.float64]) -> Face:
    """Build a face from the point pairs of one box (shares of the square) and the image's place in the square."""
    (left, top), (width, height) = (pairs[0] - pairs[1] / 2 - corner) / size, pairs[1] / size
    (right_x, right_y), (left_x, left_y) = (pairs[2:4] - corner) / size
    eyes = (float(right_x), float(right_y)), (float(left_x), float(left_y))
    return Face((float(left), float(top), float(width), float(height)), score, eyes)


def _without_overlaps(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Return the indexes of the boxes, (N, 4) as left, top, right and bottom, that survive non-maximum suppression."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(int(best))
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        left = rest[shared <= _MAX_OVERLAP * (areas[best] + areas[rest] - shared)]
    return kept


def _centres(num_cells: int) -> NDArray[np.float64]:
    """Return the centres of the cells of a square map, row by row: (num_cells * num_cells, 2), x and y."""
    places = (np.arange(num_cells) + 0.5) / num_cells
    return np.stack([np.tile(places, num_cells), np.repeat(places, num_cells)], axis=1)


def bounded(image: Image.Image, longest: int = LONGEST_SIDE) -> Image.Image:
    """Scale an image down until its longer side has at most this many pixels."""
    if max(image.size) <= longest:
        return image
    width, height = (max(1, round(length * longest / max(image.size))) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _side_of(face: Face, size: tuple[int, int]) -> float:
    """Return the side of a face's crop, in pixels of an image of this (width, height)."""
    return _CROP_SCALE * _share_of(face, size) * max(size)


def _crop(grey: Image.Image, face: Face, side: float) -> NDArray[np.uint8]:
    """Cut one square with this side, in pixels, out of an image in mode L: uint8 (64, 64)."""
    num_samples = _SAMPLES * CROP_SIDE
    size = np.array(grey.size)
    steps = ((np.arange(num_samples) + 0.5) / num_samples - 0.5) * side
    angle = _turn(face, size)
    centre = (np.array(face.box[:2]) + np.array(face.box[2:]) / 2) * size
    across, down = steps[None, :], steps[:, None]
    x = centre[0] + across * math.cos(angle) - down * math.sin(angle)
    y = centre[1] + across * math.sin(angle) + down * math.cos(angle)
    # Pillow's bilinear resize averages when it shrinks, so no sample skips a pixel.
    shrunk = np.maximum(1, np.rint(size * min(1, num_samples / max(side, 1)))).astype(int)
    pixels = np.asarray(grey.resize((int(shrunk[0]), int(shrunk[1])), Image.Resampling.BILINEAR), np.float32)
    samples = _sampled(pixels, x * shrunk[0] / size[0] - 0.5, y * shrunk[1] / size[1] - 0.5)
    means = samples.reshape(CROP_SIDE, _SAMPLES, CROP_SIDE, _SAMPLES).mean(axis=(1, 3))
    crop: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return crop


def _turn(face: Face, size: NDArray[np.int64]) -> float:
    """Return the angle of the line through the eyes in rad, clockwise, limited to ±0.8."""
    across, down = (np.array(face.eyes[1]) - np.array(face.eyes[0])) * size
    return min(max(math.atan2(down, across), -_MOST_TURN), _MOST_TURN)


def _sampled(pixels: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return bilinearly interpolated levels of pixels (H, W) at points of any shape; edges are repeated."""
    height, width = pixels.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    upper = pixels[top, left] * (1 - across) + pixels[top, right] * across
    lower = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    levels: NDArray[np.float64] = upper * (1 - down) + lower * down
    return levels


def _detector() -> Graph:
    """Return the detector; it is loaded only once."""
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> Graph:
    return Graph(package_files("mien.core").joinpath("face_detector.onnx").read_bytes())
