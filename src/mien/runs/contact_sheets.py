"""Contact sheets: images of a Dataset in rows with captions, drawn with Pillow."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.config import expect
from mien.core import files
from mien.core.fonts import Font, has_letters, load_font
from mien.core.text import as_percent, counted, fitting, short_names, visible
from mien.data.dataset import Dataset
from mien.errors import SettingsError
from mien.scoring.label_issues import LabelIssue
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
# A line above an image: what stands before a class name, the name, and what stands after it.
_Line = tuple[str, str, str]
# An image enlarged by this factor or more is not smoothed.
_MUCH_LARGER = 3


@dataclass(frozen=True)
class Sheet:
    """A contact sheet. A notebook displays it as the last value of a cell.

    Attributes:
        image: The drawing.
        captions: The caption lines above each image, shortened to fit.
        note: A line below all images.
    """

    image: Image.Image
    captions: tuple[tuple[str, ...], ...]
    note: str = ""

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
    lines = [(("", dataset.records[index].label, ""),) for index in chosen]
    num_shown, num_classes = len({*lines}), len(dataset.class_names)
    note = f"{num_shown} of {num_classes:,} classes" if num_shown < num_classes else ""
    return _sheet(dataset, chosen, lines, side=_SAMPLE_SIDE, with_paths=False, note=note)


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
    lines = [(("", dataset.records[index].label, ""),) for index in samples]
    places = {record.path: place for place, record in enumerate(dataset.records)}
    pairs: list[int] = []
    # Sets with conflicting labels come first.
    for copies in sorted(dataset.groups(), key=lambda copies: len({copy.label for copy in copies}) < 2)[:_MAX_SETS]:
        for number, copy in enumerate(sorted(copies, key=lambda copy: not copy.used)[:_MAX_OF_SET]):
            pairs.append(places[copy.path])
            lines.append((("copy: " if number else "image: ", copy.label, "" if copy.used else ", skipped"),))
    return _sheet(dataset, np.array([*samples, *pairs], np.int64), lines, side=_SAMPLE_SIDE)


def plot_label_issues(dataset: Dataset, label_issues: Sequence[LabelIssue]) -> Sheet:
    """Draw a contact sheet of label issues, each with its label, the class that it looks like, and its path.

    Args:
        dataset: The Dataset that holds the images.
        label_issues: What `find_label_issues` returned, or some of it.
    """
    lines = [
        (("labelled ", found.label, ""), ("looks like ", found.suggested, f" {as_percent(found.prob_suggested)}"))
        for found in label_issues
    ]
    return _sheet(dataset, np.array([found.index for found in label_issues], np.int64), lines, side=_ISSUE_SIDE)


def plot_mistakes(dataset: Dataset, predictions: Predictions, *, num_images: int = 24) -> Sheet:
    """Draw a contact sheet of the wrong predictions, the most confident first.

    Above each image are the label, the prediction with its probability, and the path.

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
    names = predictions.class_names
    lines = [
        (
            ("labelled ", names[predictions.labels[i]], ""),
            ("predicted ", names[chosen[i]], f" {as_percent(float(sure[i]))}"),
        )
        for i in worst
    ]
    return _sheet(dataset, predictions.indexes[worst], lines, side=_ISSUE_SIDE)


def _sheet(
    dataset: Dataset,
    indexes: NDArray[np.int64],
    lines: Sequence[tuple[_Line, ...]],
    *,
    side: int,
    with_paths: bool = True,
    note: str = "",
) -> Sheet:
    """Draw images in equal frames of about `side` pixels squared, in rows of equal length."""
    if not len(indexes):
        return _note("No images")
    shapes = [_shape(dataset, index) for index in indexes]
    shape = min(max(median(shapes), _NARROWEST), _WIDEST)
    width, height = round(side * math.sqrt(shape)), round(side / math.sqrt(shape))
    most = max(1, (_PAPER_WIDTH - 2 * _MARGIN + _GAP) // (width + _GAP))
    num_rows = math.ceil(len(indexes) / most)
    num_columns = math.ceil(len(indexes) / num_rows)
    paths = [dataset.records[index].path for index in indexes if with_paths]
    letters = "…".join(["Aa0", *map(visible, dataset.class_names)])
    fonts = load_font(_TITLE_SIZE, letters), load_font(_LINE_SIZE, letters)
    captions = _captions(dataset, lines, paths, fonts=fonts, width=width)
    head = sum(_line_height(is_title=place < len(lines[0])) for place in range(len(captions[0]))) + _GAP // 3
    across, down = width + _GAP, head + height + _GAP
    foot = 2 * _MARGIN - _GAP + num_rows * down
    size = (2 * _MARGIN - _GAP + num_columns * across, foot + (_line_height(is_title=True) + _GAP if note else 0))
    paper = Image.new("RGB", size, "white")
    for place, (pixels, own_shape) in enumerate(zip(dataset.pixels(indexes), shapes, strict=True)):
        left, top = _MARGIN + place % num_columns * across, _MARGIN + place // num_columns * down
        _draw_caption(paper, (left, top), captions[place], num_titles=len(lines[0]), fonts=fonts)
        _draw_image(paper, (left, top + head, left + width, top + head + height), pixels, own_shape)
    ImageDraw.Draw(paper).text((_MARGIN, foot), note, _INK, load_font(_TITLE_SIZE))
    return Sheet(paper, captions, note)


def _captions(
    dataset: Dataset, lines: Sequence[tuple[_Line, ...]], paths: Sequence[str], *, fonts: tuple[Font, Font], width: int
) -> tuple[tuple[str, ...], ...]:
    """Return the lines above each image, with its path if there are `paths`, shortened to a width."""
    font, small = fonts
    class_names = dict.fromkeys([*dataset.class_names, *(name for titles in lines for _, name, _ in titles)])
    readable = {
        name: name if has_letters(font, visible(name)) else f"class {number}"
        for number, name in enumerate(class_names, start=1)
    }

    @cache
    def names(before: str, after: str) -> dict[str, str]:
        short = short_names([*readable.values()], width - font.getlength(before + after), font.getlength)
        return {name: short[readable[name]] for name in readable}

    titles = [tuple(f"{before}{names(before, after)[name]}{after}" for before, name, after in some) for some in lines]
    below = [fitting(visible(path), width, small.getlength) for path in paths]
    return tuple((*some, *below[place : place + 1]) for place, some in enumerate(titles))


def _shape(dataset: Dataset, index: int) -> float:
    """Return the aspect ratio at which to show an image; a stretched image gets its own back."""
    record, (height, width) = dataset.records[index], dataset.config.image_size
    if dataset.config.resize_mode == "stretch" and record.width and record.height:
        return record.width / record.height
    return width / height


def _draw_caption(
    paper: Image.Image, corner: tuple[int, int], lines: tuple[str, ...], *, num_titles: int, fonts: tuple[Font, Font]
) -> None:
    """Draw the lines above an image, the titles larger."""
    (left, top), pen = corner, ImageDraw.Draw(paper)
    for place, line in enumerate(lines):
        is_title = place < num_titles
        pen.text((left, top), line, _INK if is_title else _GREY, fonts[0] if is_title else fonts[1])
        top += _line_height(is_title=is_title)


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
    size = (math.ceil(font.getlength(text)) + 4 * _MARGIN, _line_height(is_title=True) + 2 * _MARGIN)
    paper = Image.new("RGB", size, "white")
    ImageDraw.Draw(paper).text((2 * _MARGIN, _MARGIN), text, _INK, font)
    return Sheet(paper, ((text,),))


def _line_height(*, is_title: bool) -> int:
    # High enough for any font that `load_font` finds.
    return round((_TITLE_SIZE if is_title else _LINE_SIZE) * 1.35)
