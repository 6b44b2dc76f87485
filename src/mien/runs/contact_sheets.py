"""Contact sheets: images of a Dataset in rows with captions, drawn with Pillow."""

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
from mien.core.text import counted, shorten, visible
from mien.data.dataset import Dataset
from mien.errors import SettingsError
from mien.scoring.results import Predictions

# In pixels; about as wide as a web page.
_PAPER_WIDTH = 1400
_MARGIN, _GAP = 16, 12
_TITLE_SIZE, _LINE_SIZE = 13, 11
_SAMPLE_SIDE, _ISSUE_SIDE = 160, 212
# The most sets of copies to draw, and the most images of each.
_MAX_SETS, _MAX_OF_SET = 30, 4
_INK, _GREY, _FRAME, _GROUND = "#111111", "#666666", "#d8d8d8", "#f3f3f3"
# Limits on the aspect ratio of a frame, which follows that of most images.
_NARROWEST, _WIDEST = 0.6, 4.0
# An image enlarged by this factor or more is not smoothed.
_MUCH_LARGER = 3


@dataclass(frozen=True)
class Sheet:
    """A contact sheet. A notebook displays it as the last value of a cell.

    Attributes:
        image: The drawing.
        captions: The caption lines above each image, shortened to fit.
    """

    image: Image.Image
    captions: tuple[tuple[str, ...], ...]

    def png(self) -> bytes:
        """Return the content of a PNG file."""
        content = io.BytesIO()
        self.image.save(content, "PNG", compress_level=1)
        return content.getvalue()

    def savefig(self, path: str | Path) -> None:
        """Save the sheet to a file.

        Args:
            path: The extension sets the format: .png, .jpg, .webp or .pdf. Default: PNG.

        Raises:
            SettingsError: The format is not supported.
            OutputError: The file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        formats = Image.registered_extensions()
        if suffix and formats.get(suffix) not in Image.SAVE:
            raise SettingsError(f"cannot save an image as {str(path)!r}. Use an extension such as .png, .jpg or .pdf")
        kind = formats[suffix or ".png"]
        with files.replacing(Path(path)) as temporary:
            self.image.save(temporary, kind, **({"compress_level": 1} if kind == "PNG" else {}))

    def _repr_png_(self) -> bytes:
        return self.png()


def plot_samples(dataset: Dataset, *, num_images: int = 24, seed: int = 0) -> Sheet:
    """Draw a contact sheet of used images with their labels, with the same number of each class if possible.

    Args:
        dataset: What `clean` or `split` returned.
        num_images: Maximum number of images.
        seed: Random seed for the choice of images.

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
    """Return the indexes of some used images, with the same number of each class if possible."""
    indexes = dataset.indexes()
    labels = dataset.labels(indexes)
    rng = np.random.default_rng(seed)
    per_class = max(1, num_images // len(dataset.class_names))
    return np.concatenate(
        [rng.permutation(indexes[labels == number])[:per_class] for number in range(len(dataset.class_names))]
    )[:num_images]


def plot_check(dataset: Dataset) -> Sheet:
    """Draw used images of each class, as `plot_samples` does, and then the sets of copies.

    Args:
        dataset: What `clean` returned.
    """
    samples = _samples(dataset, 24, 0)
    lines = [(dataset.records[index].label, dataset.records[index].path) for index in samples]
    places = {record.path: place for place, record in enumerate(dataset.records)}
    pairs: list[int] = []
    # Sets with conflicting labels come first.
    for copies in sorted(dataset.groups(), key=lambda copies: len({copy.label for copy in copies}) < 2)[:_MAX_SETS]:
        for number, copy in enumerate(sorted(copies, key=lambda copy: not copy.used)[:_MAX_OF_SET]):
            pairs.append(places[copy.path])
            title = f"{'copy' if number else 'image'}: {copy.label}"
            lines.append((title if copy.used else f"{title}, skipped", copy.path))
    return _sheet(dataset, np.array([*samples, *pairs], np.int64), lines, side=_SAMPLE_SIDE)


def plot_label_issues(dataset: Dataset, titles: Mapping[int, str]) -> Sheet:
    """Draw a contact sheet of some images, each with a title and its path.

    Args:
        dataset: The Dataset that holds the images.
        titles: The title of each image, by index, in drawing order.
    """
    lines = [(title, dataset.records[index].path) for index, title in titles.items()]
    return _sheet(dataset, np.array(list(titles), np.int64), lines, side=_ISSUE_SIDE)


def plot_mistakes(dataset: Dataset, predictions: Predictions, *, num_images: int = 24) -> Sheet:
    """Draw a contact sheet of the wrong predictions, the most confident first.

    Above each image are the prediction, its probability, the label and the path.

    Args:
        dataset: The Dataset that holds the images.
        predictions: The predictions of a run, or what `predict_dataset` returned.
        num_images: Maximum number of images.

    Raises:
        SettingsError: `num_images` is below 1, or the predictions are for other images.

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
        raise SettingsError("these predictions are for other images. Pass the Dataset that was predicted")
    chosen, sure = predictions.probs.argmax(axis=1), predictions.probs.max(axis=1)
    wrong = np.flatnonzero(chosen != predictions.labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:num_images]
    if not len(worst):
        return _note(f"No mistakes in {counted(len(sure), 'prediction')}")
    names = [shorten(visible(name), 10) for name in predictions.class_names]
    titles = [f"{names[chosen[i]]} {sure[i]:.0%}, not {names[predictions.labels[i]]}" for i in worst]
    return plot_label_issues(dataset, dict(zip(predictions.indexes[worst].tolist(), titles, strict=True)))


def _sheet(dataset: Dataset, indexes: NDArray[np.int64], lines: Sequence[tuple[str, ...]], *, side: int) -> Sheet:
    """Draw images in equal frames of about `side` pixels squared, in rows of equal length."""
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
    """Return the aspect ratio at which to show an image; a stretched image gets its own back."""
    record, (height, width) = dataset.records[index], dataset.config.image_size
    if dataset.config.resize_mode == "stretch" and record.width and record.height:
        return record.width / record.height
    return width / height


def _draw_caption(paper: Image.Image, corner: tuple[int, int], lines: tuple[str, ...], width: int) -> tuple[str, ...]:
    """Draw caption lines, the first one larger, and return them as drawn."""
    (left, top), pen, drawn = corner, ImageDraw.Draw(paper), []
    for place, line in enumerate(lines):
        font = load_font(_size(place))
        drawn.append(fitting(visible(line), font, width))
        pen.text((left, top), drawn[-1], _GREY if place else _INK, font)
        top += _line_height(place)
    return tuple(drawn)


def _draw_image(paper: Image.Image, frame: tuple[int, int, int, int], pixels: NDArray[np.uint8], shape: float) -> None:
    """Draw an image centred in a frame, as large as it fits."""
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
    """Draw a sentence instead of images."""
    font = load_font(_TITLE_SIZE)
    size = (math.ceil(font.getlength(text)) + 4 * _MARGIN, _line_height(0) + 2 * _MARGIN)
    paper = Image.new("RGB", size, "white")
    ImageDraw.Draw(paper).text((2 * _MARGIN, _MARGIN), text, _INK, font)
    return Sheet(paper, ((text,),))


def _size(place: int) -> int:
    return _LINE_SIZE if place else _TITLE_SIZE


def _line_height(place: int) -> int:
    # High enough for any font that `load_font` finds.
    return round(_size(place) * 1.35)
