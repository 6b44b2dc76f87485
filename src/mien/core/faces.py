"""Faces: where they are in an image, and a small grey crop of each, upright, for networks that look at faces alone."""

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
# A JPEG may have been decoded at a fraction of its size, or whole: from here on that makes no difference.
LONGEST_SIDE = 512
# Cells on each side, and boxes in a cell, of the two maps that the detector ends in.
_MAPS = ((16, 2), (8, 6))
_MIN_SCORE, _MAX_OVERLAP = 0.5, 0.3
# The detector misses faces that fill the image: where it finds none, it looks again at the image so much smaller. What
# counts then are faces of this share of the longer side; small ones are hardly ever real.
_SMALLER, _LARGE = 2 / 3, 0.5
# A logit beyond this has a score of 0 or 1.
_LARGEST_LOGIT = 80.0
_CROP_SCALE, _MOST_TURN = 1.1, 0.8
# Each pixel of a crop is the mean of so many samples on each side.
_SAMPLES = 2
_LOADING = Lock()

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """One face in an image.

    Attributes:
        box: (left, top, width, height) of the face from brow to chin, in shares of the image's width and height:
            0 to 1, but for what reaches over the edges of the image.
        score: How sure the detector is, 0.5 to 1.
        eyes: (x, y) of the eye that is on the left in an upright face, then of the other, in the same shares.
    """

    box: Rectangle
    score: float
    eyes: tuple[Point, Point]

    def mirrored(self) -> "Face":
        """Return the same face where the image is mirrored."""
        left, top, width, height = self.box
        (x, y), (other_x, other_y) = self.eyes
        return Face((1 - left - width, top, width, height), self.score, ((1 - other_x, other_y), (1 - x, y)))


def find_faces(rgb: Image.Image) -> tuple[Face, ...]:
    """Find the faces of an image: at most three, the largest first, as area times score goes.

    Where none is found, faces that fill the image are looked for once more. It may be called in several threads at a
    time; each call computes in its own.

    Args:
        rgb: Mode RGB, of any size.

    Source:
        V. Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, arXiv:1907.05047, 2019.
    """
    return _look(rgb) or tuple(face for face in _look(rgb, _SMALLER) if _share_of(face, rgb.size) >= _LARGE)


def crops_of(rgb: Image.Image, faces: Sequence[Face]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut out faces: squares around them, turned until the eyes are level, in grey.

    A crop is 1.1 times as large as the longer side of the face's box, and turned by 0.8 rad at most. Where it reaches
    over the image, the pixels of the edge are repeated.

    Args:
        rgb: Mode RGB, of any size: the image that the faces were found in.
        faces: What `find_faces` returned; of more than three, the first three are taken.

    Returns:
        (crops, weights). Crops: uint8 (3, 64, 64). Weights: float32 (3,), each the side of the crop, in shares of the
        longer side of the image, times the score of the face. Where there is no face, both are 0.
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
    """Bring an image to the square that the detector takes, whole and in its proportions, in the middle of black.

    Args:
        rgb: Mode RGB, of any size.
        share: How much of the square its longer side takes.

    Returns:
        (image, place): uint8 (256, 256, 3), and (left, top, width, height) in pixels, where in it the image stands.
    """
    shrunk = bounded(rgb)
    width, height = (max(1, round(length * share * SIDE / max(shrunk.size))) for length in shrunk.size)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    square = Image.new("RGB", (SIDE, SIDE))
    square.paste(shrunk.resize((width, height), Image.Resampling.BILINEAR), (left, top))
    return np.asarray(square), (left, top, width, height)


def anchors() -> NDArray[np.float64]:
    """Return the points that the detector's boxes are relative to: (896, 2), x and y in shares of its square."""
    return np.concatenate([np.repeat(_centres(num_cells), num_boxes, axis=0) for num_cells, num_boxes in _MAPS])


def faces_from(regressors: NDArray[np.float32], logits: NDArray[np.float32], place: Rectangle) -> tuple[Face, ...]:
    """Turn what the detector gives into faces: at most three, the largest first, as area times score goes.

    A face needs a score of 0.5; of two boxes that share more than 0.3 of their union, the surer is kept; and its centre
    is in the image.

    Args:
        regressors: (896, 16), in pixels: centre, width and height of a box, and six points (the two eyes first), each
            as x and y. The centre and the points are relative to the anchors.
        logits: (896,) of the scores.
        place: (left, top, width, height) in pixels, where in the square the image stands.
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
    """Return the longer side of a face's box as a share of that of an image of this (width, height)."""
    return max(face.box[2] * size[0], face.box[3] * size[1]) / max(size)


def _face(pairs: NDArray[np.float64], score: float, corner: NDArray[np.float64], size: NDArray[np.float64]) -> Face:
    """Make a face out of the pairs of one box, in shares of the square, and the place of the image in that."""
    (left, top), (width, height) = (pairs[0] - pairs[1] / 2 - corner) / size, pairs[1] / size
    (right_x, right_y), (left_x, left_y) = (pairs[2:4] - corner) / size
    eyes = (float(right_x), float(right_y)), (float(left_x), float(left_y))
    return Face((float(left), float(top), float(width), float(height)), score, eyes)


def _without_overlaps(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Return which boxes, (N, 4) as left, top, right and bottom, stay if the surer of two that overlap is kept."""
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
    """Make an image smaller until its longer side has so many pixels; a smaller one stays as it is."""
    if max(image.size) <= longest:
        return image
    width, height = (max(1, round(length * longest / max(image.size))) for length in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _side_of(face: Face, size: tuple[int, int]) -> float:
    """Return the side of a face's crop, in pixels of an image of this (width, height)."""
    return _CROP_SCALE * _share_of(face, size) * max(size)


def _crop(grey: Image.Image, face: Face, side: float) -> NDArray[np.uint8]:
    """Cut one square of this side, in pixels, out of an image in mode L: uint8 (64, 64)."""
    num_samples = _SAMPLES * CROP_SIDE
    size = np.array(grey.size)
    steps = ((np.arange(num_samples) + 0.5) / num_samples - 0.5) * side
    angle = _turn(face, size)
    centre = (np.array(face.box[:2]) + np.array(face.box[2:]) / 2) * size
    across, down = steps[None, :], steps[:, None]
    x = centre[0] + across * math.cos(angle) - down * math.sin(angle)
    y = centre[1] + across * math.sin(angle) + down * math.cos(angle)
    # Pillow's bilinear resizing takes the mean over what it makes smaller: no sample steps over a pixel.
    shrunk = np.maximum(1, np.rint(size * min(1, num_samples / max(side, 1)))).astype(int)
    pixels = np.asarray(grey.resize((int(shrunk[0]), int(shrunk[1])), Image.Resampling.BILINEAR), np.float32)
    samples = _sampled(pixels, x * shrunk[0] / size[0] - 0.5, y * shrunk[1] / size[1] - 0.5)
    means = samples.reshape(CROP_SIDE, _SAMPLES, CROP_SIDE, _SAMPLES).mean(axis=(1, 3))
    crop: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return crop


def _turn(face: Face, size: NDArray[np.int64]) -> float:
    """Return the angle of the line through the eyes, in an image of this size, in rad: clockwise, 0.8 at most."""
    across, down = (np.array(face.eyes[1]) - np.array(face.eyes[0])) * size
    return min(max(math.atan2(down, across), -_MOST_TURN), _MOST_TURN)


def _sampled(pixels: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the levels between pixels, (H, W), at points of any shape; beyond the edges, those of the edges."""
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
    """Return the detector, which is loaded once."""
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> Graph:
    return Graph(package_files("mien.core").joinpath("face_detector.onnx").read_bytes())
