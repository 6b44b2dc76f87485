"""Figures: results -> matplotlib figures. They are returned, never shown by themselves."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.config import expect
from mien.core import files
from mien.core.extras import needing
from mien.core.progress import Epoch, best_epoch
from mien.core.scores import Score
from mien.core.text import shorten, visible
from mien.data.dataset import Dataset
from mien.errors import SettingsError
from mien.scoring.calibration import round_thresholds
from mien.scoring.results import Evaluation, Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.runs.drawing import Drawing

_DPI = 120
# Of the width of a plot: what a threshold beside another takes.
_ROOM = 0.09
_BLUE, _ORANGE, _GREY = "#1f6fb4", "#d9622b", "#777777"


def plot_samples(dataset: Dataset, *, num_images: int = 24, seed: int = 0) -> "Drawing":
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
    indexes = dataset.indexes()
    labels = dataset.labels(indexes)
    rng = np.random.default_rng(seed)
    per_class = max(1, num_images // len(dataset.class_names))
    chosen = np.concatenate(
        [rng.permutation(indexes[labels == number])[:per_class] for number in range(len(dataset.class_names))]
    )[:num_images]
    return _sheet(dataset, chosen, [shorten(visible(dataset.records[index].label), 16) for index in chosen])


def plot_label_issues(dataset: Dataset, titles: Mapping[int, str]) -> "Drawing":
    """Draw a contact sheet of some images, each with its file and a title.

    Args:
        dataset: Where they are.
        titles: What to write above each, by its place; in the order of drawing.
    """
    lines = [f"{visible(title)}\n{visible(dataset.records[index].path)}" for index, title in titles.items()]
    return _sheet(dataset, np.array(list(titles), np.int64), lines, num_columns=6, side=1.9, font_size=8)


def plot_mistakes(dataset: Dataset, predictions: Predictions, *, num_images: int = 24) -> "Drawing":
    """Draw a contact sheet of the images that were answered wrongly, those of which it was surest first.

    Above each stand the answer and its probability, the label, and the file.

    Args:
        dataset: Where the images are.
        predictions: Those of a run, or what `predict_dataset` returned.
        num_images: How many images at most.

    Raises:
        SettingsError: `num_images` is below 1, or the answers are about other images.

    Example:
        >>> import mien
        >>> run = mien.train("data", out="runs/looked-at")
        >>> mien.plot_mistakes(run.dataset, run.predictions).savefig("mistakes.png")
        >>> other = mien.clean(mien.scan("data", run.classifier.facts.scan_config()))
        >>> mien.plot_mistakes(other, mien.predict_dataset(run.classifier, other)).savefig("others.png")
    """
    expect(num_images >= 1, "num_images", num_images, "1 or more")
    labels = dict(enumerate(record.label for record in dataset.records))
    asked = zip(predictions.indexes.tolist(), predictions.labels.tolist(), strict=True)
    if any(labels.get(place) != predictions.class_names[label] for place, label in asked):
        raise SettingsError("these answers are about other images: name the Dataset that was asked about")
    chosen, sure = predictions.probs.argmax(axis=1), predictions.probs.max(axis=1)
    wrong = np.flatnonzero(chosen != predictions.labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:num_images]
    if not len(worst):
        with _names_as_they_are():
            figure = _figure(4, 0.6)
            figure.text(0.5, 0.5, f"No mistake among {len(sure)} answers", ha="center", va="center")
            return figure
    names = [shorten(visible(name), 10) for name in predictions.class_names]
    lines = [f"{names[chosen[i]]} {sure[i]:.0%}, not {names[predictions.labels[i]]}" for i in worst]
    return plot_label_issues(dataset, dict(zip(predictions.indexes[worst].tolist(), lines, strict=True)))


def plot_history(history: Sequence[Epoch]) -> "Drawing":
    """Draw loss and accuracy by epoch, for training and validation; the lowest validation loss is marked.

    Args:
        history: That of a run whose network was trained by epochs, or what `load_history` read.

    Raises:
        SettingsError: There are no epochs, as in a run of the preset fast.

    Example:
        >>> import mien
        >>> from mien.core.progress import Epoch
        >>> history = [Epoch(1, 0.7, 0.5, 0.6, 0.6, 1.0), Epoch(2, 0.5, 0.8, 0.7, 0.6, 1.0)]
        >>> mien.plot_history(history).savefig("curves.png")
    """
    if not history:
        raise SettingsError("there are no epochs to draw: the preset fast has none; classic and best have")
    with _names_as_they_are():
        figure = _figure(9, 3.6)
        epochs = [epoch.epoch for epoch in history]
        best = best_epoch(history).epoch
        for place, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            place.plot(epochs, [getattr(e, name) for e in history], color=_BLUE, marker=".", label="training")
            place.plot(
                epochs, [getattr(e, f"val_{name}") for e in history], color=_ORANGE, marker=".", label="validation"
            )
            place.axvline(best, color=_GREY, linestyle=":", label=f"lowest validation loss: epoch {best}")
            place.set(title=name.capitalize(), xlabel="epoch")
            place.xaxis.get_major_locator().set_params(integer=True)
            place.grid(alpha=0.25)
            place.set_ylim(*((0, 1.02) if name == "accuracy" else (0, None)))
        # Curves may be anywhere in their frames: one legend for both, below.
        figure.legend(*place.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        return figure


def plot_confusion(evaluation: Evaluation) -> "Drawing":
    """Draw the confusion matrix: true classes down, answers across, numbers of images in the cells.

    Args:
        evaluation: That of a run, or what `evaluate` returned.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.plot_confusion(mien.evaluate(classifier, dataset)).savefig("confusion.png")
    """
    counts = np.array(evaluation.confusion)
    names = [shorten(visible(name), 24) for name in evaluation.class_names]
    side = min(2.6 + 0.55 * len(names), 20)
    with _names_as_they_are():
        figure = _figure(side + 0.6, side)
        place = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        place.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)
        place.set_yticks(range(len(names)), names)
        place.set(xlabel="answer", ylabel="truth", title=f"{counts.sum()} images that it had not seen")
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            place.text(column, row, str(count), ha="center", va="center", color=colour)
        return figure


def plot_reliability(evaluation: Evaluation) -> "Drawing":
    """Draw how often it is right by how sure it is, and how often among the answers that a threshold leaves.

    Args:
        evaluation: That of a run, or what `evaluate` returned.
    """
    accuracy, rows = evaluation.accuracy, [row for row in evaluation.coverage if row.accuracy.value is not None]
    with _names_as_they_are():
        figure = _figure(9, 3.8)
        sure, left = figure.subplots(1, 2)
        sure.plot((0, 1), (0, 1), color=_GREY, linestyle=":", label="right as often as it says")
        bins = evaluation.calibration.bins
        _plot_scores(sure, [item.confidence for item in bins], [item.accuracy for item in bins], _BLUE)
        sure.set(title="Is it as sure as it is right?", xlabel="probability of the answer", ylabel="share right")
        left.axhline(accuracy.value or 0, color=_GREY, linestyle=":", label="when it answers all")
        answered = [row.answered.value or 0.0 for row in rows]
        _plot_scores(left, answered, [row.accuracy for row in rows], _ORANGE)
        left.set(title="What does being unsure buy?", xlabel="share of the images answered", ylabel="share right")
        above = left.secondary_xaxis("top")
        shown = round_thresholds(evaluation.coverage, _ROOM)
        above.set_xticks(
            [row.answered.value or 0.0 for row in shown], [f"{row.threshold:.0%}" for row in shown], fontsize=8
        )
        above.set_xlabel("by a threshold of")
        least = min(item.low for item in (*(b.accuracy for b in bins), *(row.accuracy for row in rows)))
        for place in (sure, left):
            place.set(xlim=(0 if place is left else min(1 / len(evaluation.class_names), 0.5), 1.02))
            place.set_ylim(max(0.0, least - 0.05), 1.02)
            place.grid(alpha=0.25)
            place.legend(frameon=False, loc="lower right")
        return figure


def _plot_scores(place: "Axes", across: Sequence[float], scores: Sequence[Score], colour: str) -> None:
    """Draw scores with their intervals as bars."""
    values = np.array([score.value for score in scores], np.float64)
    below, above = (np.array([getattr(score, end) for score in scores]) for end in ("low", "high"))
    lengths = (np.maximum(values - below, 0), np.maximum(above - values, 0))
    place.errorbar(across, values, yerr=lengths, color=colour, marker="o", markersize=4, elinewidth=0.8, capsize=2)


def save_figure(figure: "Drawing", path: Path) -> None:
    """Write a figure as a PNG file, in one piece.

    Raises:
        OutputError: It cannot be written.
    """
    content = figure.png()
    with files.replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def _names_as_they_are() -> Iterator[None]:
    """Draw the names of classes and files letter by letter: "$" starts no formula."""
    with needing("train"):
        import matplotlib
    with matplotlib.rc_context({"text.parse_math": False, "font.size": 9}):
        yield


def _figure(width: float, height: float) -> "Drawing":
    from mien.runs.drawing import Drawing

    return Drawing(figsize=(width, height), dpi=_DPI, layout="constrained")


def _sheet(
    dataset: Dataset,
    indexes: NDArray[np.int64],
    titles: Sequence[str],
    *,
    num_columns: int = 8,
    side: float = 1.4,
    font_size: float = 9,
) -> "Drawing":
    """Draw images in rows, each `side` inches wide, with a title above. One image and one place for all: quick."""
    num_columns = min(num_columns, max(len(indexes), 1))
    num_rows = max(1, -(-len(indexes) // num_columns))
    height, width = dataset.config.image_size
    across, gap = round(0.96 * side * _DPI), round(0.04 * side * _DPI)
    down, head = round(across * height / width), round(0.15 * _DPI * max(1, *(t.count("\n") + 1 for t in titles)))
    paper = np.full((num_rows * (down + head + gap), num_columns * (across + gap), 3), 255, np.uint8)
    places = list(np.ndindex(num_rows, num_columns))[: len(indexes)]
    corners = [(row * (down + head + gap) + head, column * (across + gap) + gap // 2) for row, column in places]
    for (top, left), pixels in zip(corners, dataset.pixels(indexes), strict=True):
        paper[top : top + down, left : left + across] = np.asarray(Image.fromarray(pixels).resize((across, down)))
    with _names_as_they_are():
        # A pixel of the paper is one of the file, and nothing is to be arranged: both would take long.
        figure = _figure(paper.shape[1] / _DPI, paper.shape[0] / _DPI)
        figure.set_layout_engine("none")
        place = figure.add_axes((0, 0, 1, 1))
        place.set_axis_off()
        place.imshow(paper, aspect="auto", interpolation="nearest")
        room = (across + gap / 2) * 72 / _DPI
        for (top, left), lines in zip(corners, titles, strict=True):
            title = "\n".join(_fitting(line, room, font_size) for line in lines.split("\n"))
            place.text(left + across / 2, top - gap / 4, title, ha="center", va="bottom", fontsize=font_size)
        return figure


def _fitting(line: str, room: float, font_size: float) -> str:
    """Return a line as it is, or with "…" for its middle where it would be wider than so many points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=font_size)
    # No letter is so narrow that more would fit.
    shown, kept = line, min(len(line) - 1, int(room / font_size * 4))
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box: see Drawing.png.
        warnings.filterwarnings("ignore", message="Glyph")
        while kept and text_to_path.get_text_width_height_descent(shown, font, False)[0] > room:
            shown, kept = f"{line[: kept - kept // 2]}…{line[len(line) - kept // 2 :]}", kept - 1
    return shown
