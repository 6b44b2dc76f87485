"""Figures: results -> matplotlib figures. They are returned, never shown by themselves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.core import files
from mien.core.extras import needing
from mien.core.progress import Epoch, best_epoch
from mien.core.scores import Score
from mien.core.text import shorten, visible
from mien.errors import SettingsError
from mien.scoring.calibration import round_thresholds
from mien.scoring.results import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.runs.contact_sheets import Sheet
    from mien.runs.drawing import Drawing

_DPI = 120
# Of the width of a plot: what a threshold beside another takes.
_ROOM = 0.09
_BLUE, _ORANGE, _GREY = "#1f6fb4", "#d9622b", "#777777"


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
        place.set(xlabel="predicted", ylabel="truth", title=f"{counts.sum()} images that it had not seen")
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
        sure.set(title="Is it as sure as it is right?", xlabel="probability of the prediction", ylabel="share right")
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


def save_figure(figure: "Drawing | Sheet", path: Path) -> None:
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
