"""Figures: results -> charts beside one another, as SVG. They are returned, never shown by themselves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files as package_files
from pathlib import Path

from mien.core import files
from mien.core.progress import Epoch
from mien.errors import SettingsError
from mien.runs.charts import Chart, plot_coverage, plot_epochs, plot_matrix, plot_sureness
from mien.scoring.results import Evaluation

_GAP, _HEAD, _FOOT = 24, 30, 26
_PNG_ZOOM = 2


@dataclass(frozen=True)
class Figure:
    """Charts beside one another. A notebook shows them where they are the last value of a cell; nothing else does.

    Attributes:
        charts: From left to right.
        legend: What the lines mean: their styles, and words.
    """

    charts: tuple[Chart, ...]
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def svg(self) -> str:
        """The figure as an SVG document that needs nothing else."""
        height = _HEAD + max(chart.height for chart in self.charts) + (_FOOT if self.legend else 0) + _GAP
        x, parts = float(_GAP), []
        for chart in self.charts:
            parts.append(f'<text class="strong" x="{x:g}" y="{_HEAD - 6}">{escape(chart.title)}</text>')
            # Numbers at the edges stand out a little.
            paper = f'x="{x:g}" y="{_HEAD}" width="{chart.width:g}" height="{chart.height:g}" overflow="visible"'
            parts.append(f"<svg {paper}>{''.join(chart.parts)}</svg>")
            x += chart.width + _GAP
        place = float(_GAP)
        for style, words in self.legend:
            y = height - _GAP / 2 - 8
            parts.append(f'<line class="{style}" x1="{place:g}" x2="{place + 26:g}" y1="{y - 4:g}" y2="{y - 4:g}"/>')
            parts.append(f'<text x="{place + 36:g}" y="{y:g}">{escape(words)}</text>')
            place += 36 + 7 * len(words) + _GAP
        width = max(x, place, *(_GAP + 9 * len(chart.title) for chart in self.charts))
        told = " ".join(f"{chart.title}: {chart.told}" for chart in self.charts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img"><desc>{escape(told)}</desc><style>{_style()}</style>'
            f'<rect class="paper" width="100%" height="100%"/>{"".join(parts)}</svg>'
        )

    def png(self) -> bytes:
        """Return it as the content of a PNG file, in the letters of a font of this machine."""
        import resvg_py

        return bytes(resvg_py.svg_to_bytes(svg_string=self.svg, zoom=_PNG_ZOOM))

    def savefig(self, path: str | Path) -> None:
        """Write it to a file.

        Args:
            path: Its ending decides the format: .svg or .png.

        Raises:
            SettingsError: It has another ending.
            OutputError: It cannot be written.
            MissingExtraError: It is to be a PNG file, and the package resvg-py is not installed.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".svg", ".png"):
            raise SettingsError(f"{str(path)!r} cannot be a figure: expected the ending .svg or .png")
        content = self.png() if suffix == ".png" else self.svg.encode("utf-8")
        with files.replacing(Path(path)) as temporary:
            temporary.write_bytes(content)

    def _repr_svg_(self) -> str:
        return self.svg


def plot_history(history: Sequence[Epoch]) -> Figure:
    """Draw loss and accuracy by epoch, for training and validation; the lowest validation loss is marked.

    Args:
        history: That of a run whose network was trained by epochs, or what `load_history` read.

    Raises:
        SettingsError: There are no epochs, as in a run of the preset fast.

    Example:
        >>> import mien
        >>> from mien.core.progress import Epoch
        >>> history = [Epoch(1, 0.7, 0.5, 0.6, 0.6, 1.0), Epoch(2, 0.5, 0.8, 0.7, 0.6, 1.0)]
        >>> mien.plot_history(history).savefig("curves.svg")
    """
    if not history:
        raise SettingsError("there are no epochs to draw: the preset fast has none; classic and best have")
    legend = (("line a", "training"), ("line b", "validation"), ("mark", "lowest validation loss"))
    return Figure((plot_epochs(history, "loss"), plot_epochs(history, "accuracy")), legend)


def plot_confusion(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix: true classes down, predictions across, numbers of images in the cells.

    Of more than 20 classes, those that are most often confused are listed.

    Args:
        evaluation: That of a run, or what `evaluate` returned.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.plot_confusion(mien.evaluate(classifier, dataset)).savefig("confusion.svg")
    """
    return Figure((plot_matrix(evaluation),))


def plot_reliability(evaluation: Evaluation) -> Figure:
    """Draw how often it is right by how sure it is, and how often among the answers that a threshold leaves.

    Args:
        evaluation: That of a run, or what `evaluate` returned.
    """
    legend = (("line ideal", "right as often as it says"), ("band", "interval of 95%"))
    return Figure((plot_sureness(evaluation), plot_coverage(evaluation)), legend)


@cache
def _style() -> str:
    """Return the style of charts with the light colours of the pages written out: a file of its own has no page."""
    base = (package_files("mien.core") / "base.css").read_text("utf-8")
    colours = dict(re.findall(r"(--[\w-]+): (#\w+);", base[: base.index("@media")]))
    css = (package_files("mien.runs") / "page" / "charts.css").read_text("utf-8")
    return re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], f"{css}.paper {{ fill: var(--card); }}")
