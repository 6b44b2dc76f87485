"""Explanation: where in an image a classifier looked, as a map of what speaks for a class and what against it."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.config import ScanConfig
from mien.core.fonts import load_font
from mien.core.inputs import Inputs
from mien.core.parallel import in_threads
from mien.core.probabilities import softmax
from mien.core.text import signed
from mien.errors import SettingsError
from mien.model.classifier import Classifier

Method = Literal["class activation", "occlusion"]
Box = tuple[float, float, float, float]
_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
# Places that are hidden in turn, along each side; and how many places wide the patch is that hides them.
_NUM_PLACES, _PATCH = 12, 3
# Where a probability is below this, its logarithm is rounding.
_LEAST_PROB = 1e-7
# Orange speaks for, blue against: told apart by those who cannot tell red from green.
WARM, COOL = (230, 97, 0), (26, 93, 204)
_MOST_COVERED = 0.75
_SMOOTH = Image.Resampling.BICUBIC
# The longer side of an image as it is drawn, in pixels.
_LEAST_ACROSS, _MOST_ACROSS = 320, 640


@dataclass(frozen=True)
class FaceEvidence:
    """What a face says.

    Attributes:
        box: Where it is: left, top, right and bottom, as shares of the image's width and height.
        log_odds: What it adds to the log-odds of the label: above 0 it speaks for it, below 0 against.
    """

    box: Box
    log_odds: float


@dataclass(frozen=True)
class HeatMap:
    """What speaks for a label in an image, place by place.

    Attributes:
        label: The class.
        method: "class activation" is exact: the mean of the values, and what the faces say, add up to the log-odds of
            the label (for more than two classes, up to the entropy of the others). "occlusion" tries: how far the
            log-odds fall where a place is hidden.
        values: Evidence at each place, float32 (h, w): above 0 it speaks for the label, below 0 against it.
        box: What the values cover, which is what the classifier saw: left, top, right and bottom, as shares of the
            image's width and height. Where it was padded, that is more than the image.
        faces: What the faces in it say, where the classifier looks at faces: the values are then of the rest.
    """

    label: str
    method: Method
    values: NDArray[np.float32]
    box: Box = _WHOLE
    faces: tuple[FaceEvidence, ...] = ()

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """Return the values at every pixel of the image, float32 (height, width); 0 where it was cut off."""
        rows, columns = self.values.shape
        left, right, first_column, last_column = _seen(self.box[0], self.box[2], width, columns)
        top, bottom, first_row, last_row = _seen(self.box[1], self.box[3], height, rows)
        # Only what lies over the image is drawn: around a thin image the map may be a thousand times as large.
        part = (first_column, first_row, last_column, last_row)
        covered = Image.fromarray(self.values).resize((right - left, bottom - top), _SMOOTH, box=part)
        whole = Image.new("F", (width, height))
        whole.paste(covered, (left, top))
        return np.asarray(whole)


def explain(
    classifier: Classifier, image: NDArray[np.uint8], *, label: str | None = None, method: Method | None = None
) -> HeatMap:
    """Say what in an image speaks for a class, and what against it.

    Args:
        classifier: What `load` returned.
        image: uint8 (H, W, 3), upright, of any size: it is brought to that of the classifier as in the training.
        label: The class; by default the one that is most probable.
        method: By default class activation where the classifier's file has such maps: for a linear layer on the means
            of a map they are exact. Occlusion serves any classifier; it asks about the image 196 times.

    Raises:
        SettingsError: There is no such class or method, the file has no class activation maps, or the image is none.
        ModelFileError: The file gives no map where it claims to.

    Source:
        B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016 (class activation mapping);
        M. D. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014 (occlusion).

    Example:
        >>> import mien
        >>> import numpy as np
        >>> from PIL import Image
        >>> image = np.asarray(Image.open("data/happy/00.jpg").convert("RGB"))
        >>> heat_map = mien.explain(mien.load("runs/train"), image, label="sad")
        >>> heat_map.method, heat_map.values.shape, mien.overlay(image, heat_map).shape
        ('class activation', (14, 14), (96, 96, 3))
    """
    check_label(classifier, label)
    if method not in (None, *get_args(Method)):
        raise SettingsError(f"there is no method {method!r}: name one of {', '.join(map(repr, get_args(Method)))}")
    _check_image(image)
    rgb = Image.fromarray(image)
    return explain_inputs(classifier, classifier.inputs_of(rgb), rgb.size, label=label, method=method)


def explain_inputs(
    classifier: Classifier,
    inputs: Inputs,
    size: tuple[int, int],
    *,
    label: str | None = None,
    method: Method | None = None,
    num_threads: int | None = None,
) -> HeatMap:
    """Do what `explain` does, for an image that is brought to size already.

    Args:
        classifier: What `load` returned.
        inputs: What its `prepare` returned.
        size: (width, height) of the image before that, in any unit.
        label: As for `explain`.
        method: As for `explain`.
        num_threads: How many threads occlusion takes; by default one for each core.

    Raises:
        SettingsError: The file has no class activation maps.
        ModelFileError: The file gives no map where it claims to.
    """
    probs = classifier.probs(inputs)[0]
    number = int(probs.argmax()) if label is None else classifier.class_names.index(label)
    heat = None if method == "occlusion" else classifier.heat(inputs)
    if heat is None and method == "class activation":
        raise SettingsError("this classifier has no class activation maps: leave out the method, or name 'occlusion'")
    found: Method = "occlusion" if heat is None else "class activation"
    values = _by_occlusion(classifier, inputs, number, num_threads) if heat is None else _evidence(heat, probs, number)
    box, faces = _box(size, classifier.facts.scan_config()), _face_evidence(classifier, inputs, probs, number)
    return HeatMap(classifier.class_names[number], found, values, box, faces)


def check_label(classifier: Classifier, label: str | None) -> None:
    """Make sure that a classifier knows a class; None is the most probable one.

    Raises:
        SettingsError: It does not.
    """
    if label is not None and label not in classifier.class_names:
        raise SettingsError(f"there is no class {label!r}: name one of {', '.join(map(repr, classifier.class_names))}")


def overlay(image: NDArray[np.uint8], heat_map: HeatMap) -> NDArray[np.uint8]:
    """Lay a map over its image: orange where it speaks for the label, blue where against, grey where neither.

    The strongest place of the map has the full colour, whatever its value. Faces that count have a frame in the colour
    for what they say, and their log-odds.

    Args:
        image: uint8 (H, W, 3), the whole image, at any size.
        heat_map: What `explain` returned for it.

    Returns:
        uint8 (H, W, 3).

    Raises:
        SettingsError: The image is none.
    """
    _check_image(image)
    values = heat_map.at(*image.shape[:2])
    strength = np.clip(values / max(float(np.abs(heat_map.values).max()), 1e-9), -1, 1)[..., None]
    # The image is grey beneath: what is orange in a photo must not be taken for the map's.
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None]
    colour = np.where(strength > 0, np.array(WARM, np.float32), np.array(COOL, np.float32))
    covered = _MOST_COVERED * np.abs(strength)
    mixed: NDArray[np.uint8] = np.round(grey + covered * (colour - grey)).clip(0, 255).astype(np.uint8)
    return _framed(mixed, heat_map.faces)


def _framed(pixels: NDArray[np.uint8], faces: tuple[FaceEvidence, ...]) -> NDArray[np.uint8]:
    """Draw a frame round each face, and its log-odds."""
    if not faces:
        return pixels
    drawn = Image.fromarray(pixels)
    pen, longest = ImageDraw.Draw(drawn), max(drawn.size)
    font, line = load_font(max(longest // 30, 9)), max(longest // 200, 1)
    for face in faces:
        colour = WARM if face.log_odds > 0 else COOL
        left, top, right, bottom = np.multiply(face.box, (*drawn.size, *drawn.size)).round().astype(int).tolist()
        pen.rectangle((left, top, right, bottom), outline=colour, width=line)
        # The number stands on the frame, or below it where it would be cut off.
        said, pad = signed(face.log_odds, 1), line + 1
        x, y, x_end, y_end = pen.textbbox((0, 0), said, font)
        across, down = x_end - x + 2 * pad, y_end - y + 2 * pad
        x_tag = min(max(left, 0), drawn.width - across)
        y_tag = top - down if top >= down else min(max(bottom, 0), drawn.height - down)
        pen.rectangle((x_tag, y_tag, x_tag + across, y_tag + down), fill=colour)
        pen.text((x_tag + pad - x, y_tag + pad - y), said, "white", font)
    return np.asarray(drawn)


def fair_size(rgb: Image.Image) -> NDArray[np.uint8]:
    """Bring an image to a size at which a map on it can be looked at: uint8 (H, W, 3), 320 to 640 pixels long."""
    longest = max(rgb.size)
    scale = min(max(longest, _LEAST_ACROSS), _MOST_ACROSS) / longest
    width, height = (max(round(side * scale), 1) for side in rgb.size)
    return np.asarray(rgb.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0))


def _check_image(image: object) -> None:
    if not isinstance(image, np.ndarray):
        raise SettingsError(f"the image is {type(image).__name__}; expected an array, uint8 (H, W, 3)")
    shape = image.shape
    if image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise SettingsError(f"the image is {image.dtype} {shape}; expected uint8 (H, W, 3)")


def _seen(start: float, end: float, side: int, num_places: int) -> tuple[int, int, float, float]:
    """Return along one side which pixels of an image a map covers, and which places of the map lie over them.

    Args:
        start: Where the map begins, as a share of the side.
        end: Where it ends, likewise.
        side: Of the image, in pixels.
        num_places: Of the map.
    """
    first = round(start * side)
    length = max(round(end * side) - first, 1)
    low, high = max(first, 0), min(first + length, side)
    return low, high, (low - first) * num_places / length, min((high - first) * num_places / length, num_places)


def _evidence(heat: NDArray[np.float32], probs: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return what speaks for a class and against the others, (...), from the logits of all, (C, ...).

    The others count as they are probable: then a change of the mean is one of the log-odds.
    """
    others = np.delete(np.log(np.maximum(probs, _LEAST_PROB)), number)
    values = heat[number] - np.tensordot(softmax(others[None])[0], np.delete(heat, number, axis=0), axes=1)
    return np.asarray(values, np.float32)


def _face_evidence(
    classifier: Classifier, inputs: Inputs, probs: NDArray[np.float32], number: int
) -> tuple[FaceEvidence, ...]:
    """Return what each face says for a class and against the others."""
    evidence = classifier.face_evidence(inputs)
    if evidence is None:
        return ()
    log_odds = _evidence(evidence.T, probs, number)
    boxes = inputs.face_boxes[0]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).tolist()
    there = np.flatnonzero(inputs.face_weights[0])
    return tuple(FaceEvidence(tuple(corners[place]), float(log_odds[place])) for place in there)


def _by_occlusion(classifier: Classifier, inputs: Inputs, number: int, num_threads: int | None) -> NDArray[np.float32]:
    """Return how far the log-odds of a class fall where a place is hidden, (h, w): the mean over the patches there."""
    image = inputs.images[0]
    height, width = image.shape[:2]
    rows, columns = (np.linspace(0, side, min(_NUM_PLACES, side) + 1).round().astype(int) for side in (height, width))
    hidden = np.asarray(image.mean(axis=(0, 1)).round(), np.uint8)
    patches = [
        (max(row, 0), min(row + _PATCH, len(rows) - 1), max(column, 0), min(column + _PATCH, len(columns) - 1))
        for row in range(1 - _PATCH, len(rows) - 1)
        for column in range(1 - _PATCH, len(columns) - 1)
    ]

    def fall(patch: tuple[int, int, int, int]) -> float:
        top, bottom, left, right = patch
        covered = image.copy()
        covered[rows[top] : rows[bottom], columns[left] : columns[right]] = hidden
        return whole - _log_odds(classifier.probs(replace(inputs, images=covered[None]))[0], number)

    whole = _log_odds(classifier.probs(inputs)[0], number)
    total = np.zeros((len(rows) - 1, len(columns) - 1), np.float32)
    times = np.zeros_like(total)
    for (top, bottom, left, right), value in zip(
        patches, in_threads(fall, patches, num_threads=num_threads), strict=True
    ):
        total[top:bottom, left:right] += value
        times[top:bottom, left:right] += 1
    return total / times


def _log_odds(probs: NDArray[np.float32], number: int) -> float:
    others = float(np.delete(probs, number).sum())
    return float(np.log(max(float(probs[number]), _LEAST_PROB)) - np.log(max(others, _LEAST_PROB)))


def _box(size: tuple[int, int], config: ScanConfig) -> Box:
    """Return which part of an image of some size, (width, height), the classifier sees."""
    if config.resize_mode == "stretch":
        return _WHOLE
    width, height = size
    across, down = config.image_size[1] / width, config.image_size[0] / height
    scale = max(across, down) if config.resize_mode == "crop" else min(across, down)
    # What is seen, in widths and heights of the image, lies in its middle.
    half_width, half_height = across / scale / 2, down / scale / 2
    return (0.5 - half_width, 0.5 - half_height, 0.5 + half_width, 0.5 + half_height)
