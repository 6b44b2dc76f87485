"""Explanation: a map of the evidence for and against a class in an image."""

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
# Number of cells along each side for occlusion, and the size of the patch that hides them, in cells.
_NUM_PLACES, _PATCH = 12, 3
# Below this probability, the logarithm is mostly rounding error.
_LEAST_PROB = 1e-7
# Orange for, blue against: safe for people with red-green colour blindness.
WARM, COOL = (230, 97, 0), (26, 93, 204)
_MOST_COVERED = 0.75
_SMOOTH = Image.Resampling.BICUBIC
# The longer side of an image as it is drawn, in pixels.
_LEAST_ACROSS, _MOST_ACROSS = 320, 640


@dataclass(frozen=True)
class FaceEvidence:
    """The evidence of a face.

    Attributes:
        box: Its position: left, top, right and bottom, as shares of the image's width and height.
        log_odds: What it adds to the log-odds of the label: above 0 for it, below 0 against it.
    """

    box: Box
    log_odds: float


@dataclass(frozen=True)
class HeatMap:
    """The evidence for a label at each position of an image.

    Attributes:
        label: The class.
        method: "class activation" is exact: the mean of the values plus the evidence of the faces is the log-odds of
            the label (with more than two classes, up to the entropy of the others). "occlusion" is measured: how far
            the log-odds drop when a position is hidden.
        values: Evidence at each position, float32 (h, w): above 0 for the label, below 0 against it.
        box: The area that the values cover, which is what the classifier saw: left, top, right and bottom, as shares of
            the image's width and height. With padding, it is larger than the image.
        faces: The evidence of each face, if the classifier uses faces. The values then cover the rest.
    """

    label: str
    method: Method
    values: NDArray[np.float32]
    box: Box = _WHOLE
    faces: tuple[FaceEvidence, ...] = ()

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """Return the values at every pixel of the image, float32 (height, width); 0 where it was cropped."""
        rows, columns = self.values.shape
        left, right, first_column, last_column = _seen(self.box[0], self.box[2], width, columns)
        top, bottom, first_row, last_row = _seen(self.box[1], self.box[3], height, rows)
        # Draw only the part over the image: for a very thin image, the padded map may be a thousand times as large.
        part = (first_column, first_row, last_column, last_row)
        covered = Image.fromarray(self.values).resize((right - left, bottom - top), _SMOOTH, box=part)
        whole = Image.new("F", (width, height))
        whole.paste(covered, (left, top))
        return np.asarray(whole)


def explain(
    classifier: Classifier, image: NDArray[np.uint8], *, label: str | None = None, method: Method | None = None
) -> HeatMap:
    """Show the evidence for and against a class in an image.

    Args:
        classifier: What `load` returned.
        image: uint8 (H, W, 3), upright, of any size. It is resized as in training.
        label: The class. Default: the most likely one.
        method: Default: class activation if the model file has such maps, which are exact for a linear layer on an
            averaged feature map. Occlusion works for any classifier, with 196 predictions.

    Raises:
        SettingsError: The class or method does not exist, the file has no class activation maps, or the image is
            invalid.
        ModelFileError: The file does not return a valid map.

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
        raise SettingsError(f"unknown method {method!r}. Use one of {', '.join(map(repr, get_args(Method)))}")
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
    """Do what `explain` does, for an image that is already resized.

    Args:
        classifier: What `load` returned.
        inputs: What its `prepare` returned.
        size: (width, height) of the image before resizing, in any unit.
        label: As for `explain`.
        method: As for `explain`.
        num_threads: Number of threads for occlusion. Default: one per core.

    Raises:
        SettingsError: The file has no class activation maps.
        ModelFileError: The file does not return a valid map.
    """
    probs = classifier.probs(inputs)[0]
    number = int(probs.argmax()) if label is None else classifier.class_names.index(label)
    heat = None if method == "occlusion" else classifier.heat(inputs)
    if heat is None and method == "class activation":
        raise SettingsError("this classifier has no class activation maps. Omit the method, or use 'occlusion'")
    found: Method = "occlusion" if heat is None else "class activation"
    values = _by_occlusion(classifier, inputs, number, num_threads) if heat is None else _evidence(heat, probs, number)
    box, faces = _box(size, classifier.facts.scan_config()), _face_evidence(classifier, inputs, probs, number)
    return HeatMap(classifier.class_names[number], found, values, box, faces)


def check_label(classifier: Classifier, label: str | None) -> None:
    """Make sure that a classifier knows a class; None stands for the most likely one.

    Raises:
        SettingsError: The class does not exist.
    """
    if label is not None and label not in classifier.class_names:
        raise SettingsError(f"unknown class {label!r}. Use one of {', '.join(map(repr, classifier.class_names))}")


def overlay(image: NDArray[np.uint8], heat_map: HeatMap) -> NDArray[np.uint8]:
    """Draw a map over its image: orange for the label, blue against it, grey for neither.

    The strongest position of the map has full colour, whatever its value. Faces that count are framed in the same
    colours, with their log-odds.

    Args:
        image: The whole image at any size, uint8 (H, W, 3).
        heat_map: What `explain` returned for it.

    Returns:
        uint8 (H, W, 3).

    Raises:
        SettingsError: The image is invalid.
    """
    _check_image(image)
    values = heat_map.at(*image.shape[:2])
    strength = np.clip(values / max(float(np.abs(heat_map.values).max()), 1e-9), -1, 1)[..., None]
    # The image is drawn in grey, so that orange in the photo is not mistaken for evidence.
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None]
    colour = np.where(strength > 0, np.array(WARM, np.float32), np.array(COOL, np.float32))
    covered = _MOST_COVERED * np.abs(strength)
    mixed: NDArray[np.uint8] = np.round(grey + covered * (colour - grey)).clip(0, 255).astype(np.uint8)
    return _framed(mixed, heat_map.faces)


def _framed(pixels: NDArray[np.uint8], faces: tuple[FaceEvidence, ...]) -> NDArray[np.uint8]:
    """Draw a frame around each face, with its log-odds."""
    if not faces:
        return pixels
    drawn = Image.fromarray(pixels)
    pen, longest = ImageDraw.Draw(drawn), max(drawn.size)
    font, line = load_font(max(longest // 30, 9)), max(longest // 200, 1)
    for face in faces:
        colour = WARM if face.log_odds > 0 else COOL
        left, top, right, bottom = np.multiply(face.box, (*drawn.size, *drawn.size)).round().astype(int).tolist()
        pen.rectangle((left, top, right, bottom), outline=colour, width=line)
        # The number goes above the frame, or below it if there is no room above.
        said, pad = signed(face.log_odds, 1), line + 1
        x, y, x_end, y_end = pen.textbbox((0, 0), said, font)
        across, down = x_end - x + 2 * pad, y_end - y + 2 * pad
        x_tag = min(max(left, 0), drawn.width - across)
        y_tag = top - down if top >= down else min(max(bottom, 0), drawn.height - down)
        pen.rectangle((x_tag, y_tag, x_tag + across, y_tag + down), fill=colour)
        pen.text((x_tag + pad - x, y_tag + pad - y), said, "white", font)
    return np.asarray(drawn)


def fair_size(rgb: Image.Image) -> NDArray[np.uint8]:
    """Resize an image for display with a map: uint8 (H, W, 3), with a longer side of 320 to 640 pixels."""
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
    """Return which pixels a map covers along one side of an image, and which part of the map is over them.

    Args:
        start: Start of the map, as a share of the side.
        end: End of the map, as a share of the side.
        side: Length of the side in pixels.
        num_places: Length of the map along that side.
    """
    first = round(start * side)
    length = max(round(end * side) - first, 1)
    low, high = max(first, 0), min(first + length, side)
    return low, high, (low - first) * num_places / length, min((high - first) * num_places / length, num_places)


def _evidence(heat: NDArray[np.float32], probs: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return the evidence for a class against the others, (...), from the logits of all, (C, ...).

    The others are weighted by their probability, so that a change in the mean is a change in the log-odds.
    """
    others = np.delete(np.log(np.maximum(probs, _LEAST_PROB)), number)
    values = heat[number] - np.tensordot(softmax(others[None])[0], np.delete(heat, number, axis=0), axes=1)
    return np.asarray(values, np.float32)


def _face_evidence(
    classifier: Classifier, inputs: Inputs, probs: NDArray[np.float32], number: int
) -> tuple[FaceEvidence, ...]:
    """Return the evidence of each face for a class against the others."""
    evidence = classifier.face_evidence(inputs)
    if evidence is None:
        return ()
    log_odds = _evidence(evidence.T, probs, number)
    boxes = inputs.face_boxes[0]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).tolist()
    there = np.flatnonzero(inputs.face_weights[0])
    return tuple(FaceEvidence(tuple(corners[place]), float(log_odds[place])) for place in there)


def _by_occlusion(classifier: Classifier, inputs: Inputs, number: int, num_threads: int | None) -> NDArray[np.float32]:
    """Return how far the log-odds of a class drop when a cell is hidden, (h, w), averaged over the patches there."""
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
    """Return which part of an image of size (width, height) the classifier sees."""
    if config.resize_mode == "stretch":
        return _WHOLE
    width, height = size
    across, down = config.image_size[1] / width, config.image_size[0] / height
    scale = max(across, down) if config.resize_mode == "crop" else min(across, down)
    # The visible part is centred; its size is in image widths and heights.
    half_width, half_height = across / scale / 2, down / scale / 2
    return (0.5 - half_width, 0.5 - half_height, 0.5 + half_width, 0.5 + half_height)
