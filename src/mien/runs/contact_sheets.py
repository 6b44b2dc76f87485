"""Contact sheets: images of a Dataset in rows, each with a caption. Drawn with Pillow alone."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.config import expect
from mien.core import files
from mien.core.fonts import fitting, load_font
from mien.core.text import shorten, visible
from mien.data.dataset import Dataset
from mien.errors import SettingsError
from mien.scoring.results import Predictions

# In pixels: the paper is about as wide as a page on a screen.
_PAPER_WIDTH = 1400
_MARGIN, _GAP = 16, 12
_TITLE_SIZE, _LINE_SIZE = 13, 11
_SAMPLE_SIDE, _ISSUE_SIDE = 160, 212
# Of a folder full of copies, so many sets are drawn, and so many of each.
_MAX_SETS, _MAX_OF_SET = 30, 4
_INK, _GREY, _FRAME, _GROUND = "#111111", "#666666", "#d8d8d8", "#f3f3f3"
# Width by height: a frame has the shape of most of its images, within these.
_NARROWEST, _WIDEST = 0.6, 4.0
# From so many times its size, an image is shown pixel by pixel, and not smoothed.
_MUCH_LARGER = 3


@dataclass(frozen=True)
class Sheet:
    """A drawn contact sheet. A notebook shows it where it is the last value of a cell; nothing else does.

    Attributes:
        image: What is drawn.
        captions: The lines above each image, as they are drawn: shortened where they are too long.
    """

    image: Image.Image
    captions: tuple[tuple[str, ...], ...]

    def png(self) -> bytes:
        """Return it as the content of a PNG file."""
        content = io.BytesIO()
        self.image.save(content, "PNG", compress_level=1)
        return content.getvalue()

    def savefig(self, path: str | Path) -> None:
        """Write it to a file.

        Args:
            path: Its ending decides the format: .png, .jpg, .webp, .pdf; without an ending, PNG.

        Raises:
            SettingsError: There is no such format.
            OutputError: It cannot be written.
        """
        suffix = Path(path).suffix.lower()
        formats = Image.registered_extensions()
        if suffix and formats.get(suffix) not in Image.SAVE:
            raise SettingsError(f"{str(path)!r} cannot be an image: expected an ending such as .png, .jpg or .pdf")
        kind = formats[suffix or ".png"]
        with files.replacing(Path(path)) as temporary:
            self.image.save(temporary, kind, **({"compress_level": 1} if kind == "PNG" else {}))

    def _repr_png_(self) -> bytes:
        return self.png()


def plot_samples(dataset: Dataset, *, num_images: int = 24, seed: int = 0) -> Sheet:
    """Draw a contact sheet of used images with their labels, as many of each class as can be.

    Args:
        dataset: What `clean` or `split` returned.
        num_images: How many images at most.
        seed: Decides which images.

    Raises:
        SettingsError: `num_images` is below 1, or `seed` below 0.

    Example:
        >>> import mien
        >>> mien.plot_samples(mien.clean(mien.scan("data"))).savefig("samples.png")
    """
    expect(num_images >= 1, "num_images", num_images, "1 or more")
    expect(seed >= 0, "seed", seed, "0 or more")
    chosen = _samples(dataset, num_images, seed)
    return _sheet(dataset, chosen, [(dataset.records[index].label,) for index in chosen], side=_SAMPLE_SIDE)


def _samples(dataset: Dataset, num_images: int, seed: int) -> NDArray[np.int64]:
    """Return the places of some used images, as many of each class as can be."""
    indexes = dataset.indexes()
    labels = dataset.labels(indexes)
    rng = np.random.default_rng(seed)
    per_class = max(1, num_images // len(dataset.class_names))
    return np.concatenate(
        [rng.permutation(indexes[labels == number])[:per_class] for number in range(len(dataset.class_names))]
    )[:num_images]


def plot_check(dataset: Dataset) -> Sheet:
    """Draw used images of each class, as `plot_samples` does, and then the sets of what was called copies.

    Args:
        dataset: What `clean` returned.
    """
    samples = _samples(dataset, 24, 0)
    lines = [(dataset.records[index].label, dataset.records[index].path) for index in samples]
    places = {record.path: place for place, record in enumerate(dataset.records)}
    pairs: list[int] = []
    # Those under two classes before others.
    for copies in sorted(dataset.groups(), key=lambda copies: len({copy.label for copy in copies}) < 2)[:_MAX_SETS]:
        for number, copy in enumerate(sorted(copies, key=lambda copy: not copy.used)[:_MAX_OF_SET]):
            pairs.append(places[copy.path])
            title = f"{'again' if number else 'copies'}: {copy.label}"
            lines.append((title if copy.used else f"{title}, left out", copy.path))
    return _sheet(dataset, np.array([*samples, *pairs], np.int64), lines, side=_SAMPLE_SIDE)


def plot_label_issues(dataset: Dataset, titles: Mapping[int, str]) -> Sheet:
    """Draw a contact sheet of some images, each with its file and a title.

    Args:
        dataset: Where they are.
        titles: What to write above each, by its place; in the order of drawing.
    """
    lines = [(title, dataset.records[index].path) for index, title in titles.items()]
    return _sheet(dataset, np.array(list(titles), np.int64), lines, side=_ISSUE_SIDE)


def plot_mistakes(dataset: Dataset, predictions: Predictions, *, num_images: int = 24) -> Sheet:
    """Draw a contact sheet of the images whose prediction is wrong, those of which it was surest first.

    Above each stand the prediction and its probability, the label, and the file.

    Args:
        dataset: Where the images are.
        predictions: Those of a run, or what `predict_dataset` returned.
        num_images: How many images at most.

    Raises:
        SettingsError: `num_images` is below 1, or the predictions are about other images.

    Example:
        >>> import mien
        >>> run = mien.load_run("runs/train")
        >>> mien.plot_mistakes(run.dataset, run.predictions).savefig("mistakes.png")
        >>> other = mien.clean(mien.scan("data", run.classifier.facts.scan_config()))
        >>> mien.plot_mistakes(other, mien.predict_dataset(run.classifier, other)).savefig("others.png")
    """
    expect(num_images >= 1, "num_images", num_images, "1 or more")
    labels = dict(enumerate(record.label for record in dataset.records))
    asked = zip(predictions.indexes.tolist(), predictions.labels.tolist(), strict=True)
    if any(labels.get(place) != predictions.class_names[label] for place, label in asked):
        raise SettingsError("these predictions are about other images: name the Dataset that was asked about")
    chosen, sure = predictions.probs.argmax(axis=1), predictions.probs.max(axis=1)
    wrong = np.flatnonzero(chosen != predictions.labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:num_images]
    if not len(worst):
        return _note(f"No mistake among {len(sure)} predictions")
    names = [shorten(visible(name), 10) for name in predictions.class_names]
    titles = [f"{names[chosen[i]]} {sure[i]:.0%}, not {names[predictions.labels[i]]}" for i in worst]
    return plot_label_issues(dataset, dict(zip(predictions.indexes[worst].tolist(), titles, strict=True)))


def _sheet(dataset: Dataset, indexes: NDArray[np.int64], lines: Sequence[tuple[str, ...]], *, side: int) -> Sheet:
    """Draw images in frames of one size, of about `side` pixels squared, in rows of the same length."""
    if not len(indexes):
        return _note("No images")
    shapes = [_shape(dataset, index) for index in indexes]
    shape = min(max(median(shapes), _NARROWEST), _WIDEST)
    width, height = round(side * math.sqrt(shape)), round(side / math.sqrt(shape))
    most = max(1, (_PAPER_WIDTH - 2 * _MARGIN + _GAP) // (width + _GAP))
    num_rows = math.ceil(len(indexes) / most)
    num_columns = math.ceil(len(indexes) / num_rows)
    head = sum(_line_height(place) for place in range(len(lines[0]))) + _GAP // 3
    across, down = width + _GAP, head + height + _GAP
    paper = Image.new("RGB", (2 * _MARGIN - _GAP + num_columns * across, 2 * _MARGIN - _GAP + num_rows * down), "white")
    captions = []
    for place, (pixels, own_shape) in enumerate(zip(dataset.pixels(indexes), shapes, strict=True)):
        left, top = _MARGIN + place % num_columns * across, _MARGIN + place // num_columns * down
        captions.append(_draw_caption(paper, (left, top), lines[place], width))
        _draw_image(paper, (left, top + head, left + width, top + head + height), pixels, own_shape)
    return Sheet(paper, tuple(captions))


def _shape(dataset: Dataset, index: int) -> float:
    """Return width by height as an image is to be shown: one that was stretched gets its own shape back."""
    record, (height, width) = dataset.records[index], dataset.config.image_size
    if dataset.config.resize_mode == "stretch" and record.width and record.height:
        return record.width / record.height
    return width / height


def _draw_caption(paper: Image.Image, corner: tuple[int, int], lines: tuple[str, ...], width: int) -> tuple[str, ...]:
    """Draw lines below one another, the first in the larger letters; return them as they are drawn."""
    (left, top), pen, drawn = corner, ImageDraw.Draw(paper), []
    for place, line in enumerate(lines):
        font = load_font(_size(place))
        drawn.append(fitting(visible(line), font, width))
        pen.text((left, top), drawn[-1], _GREY if place else _INK, font)
        top += _line_height(place)
    return tuple(drawn)


def _draw_image(paper: Image.Image, frame: tuple[int, int, int, int], pixels: NDArray[np.uint8], shape: float) -> None:
    """Draw an image as large as a frame allows, in its middle."""
    left, top, right, bottom = frame
    across, down = right - left, bottom - top
    width = max(1, min(across, round(down * shape)))
    height = max(1, min(down, round(across / shape)))
    much_larger = min(width / pixels.shape[1], height / pixels.shape[0]) >= _MUCH_LARGER
    method = Image.Resampling.NEAREST if much_larger else Image.Resampling.LANCZOS
    shown = Image.fromarray(pixels).resize((width, height), method)
    ImageDraw.Draw(paper).rectangle((left - 1, top - 1, right, bottom), _GROUND, _FRAME)
    paper.paste(shown, (left + (across - width) // 2, top + (down - height) // 2))


def _note(text: str) -> Sheet:
    """Draw a sentence in the place of images."""
    font = load_font(_TITLE_SIZE)
    size = (math.ceil(font.getlength(text)) + 4 * _MARGIN, _line_height(0) + 2 * _MARGIN)
    paper = Image.new("RGB", size, "white")
    ImageDraw.Draw(paper).text((2 * _MARGIN, _MARGIN), text, _INK, font)
    return Sheet(paper, ((text,),))


def _size(place: int) -> int:
    return _LINE_SIZE if place else _TITLE_SIZE


def _line_height(place: int) -> int:
    # Letters of any font that `load_font` finds are within this.
    return round(_size(place) * 1.35)
