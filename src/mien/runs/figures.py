"""Figures: results -> charts side by side, as SVG. They are returned, not shown."""

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
    """Charts side by side. A notebook displays them as the last value of a cell.

    Attributes:
        charts: The charts, from left to right.
        legend: The legend, as pairs of CSS class and text.
    """

    charts: tuple[Chart, ...]
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def svg(self) -> str:
        """The figure as a self-contained SVG document."""
        height = _HEAD + max(chart.height for chart in self.charts) + (_FOOT if self.legend else 0) + _GAP
        x, parts = float(_GAP), []
        for chart in self.charts:
            parts.append(f'<text class="strong" x="{x:g}" y="{_HEAD - 6}">{escape(chart.title)}</text>')
            # Numbers at the edges overflow slightly.
            paper = f'x="{x:g}" y="{_HEAD}" width="{chart.width:g}" height="{chart.height:g}" overflow="visible"'
            parts.append(f"<svg {paper}>{''.join(chart.parts)}</svg>")
            x += chart.width + _GAP
        place = float(_GAP)
        for style, words in self.legend:
            y = height - _GAP / 2 - 8
            parts.append(f'<line class="{style}" x1="{place:g}" x2="{place + 26:g}" y1="{y - 4:g}" y2="{y - 4:g}"/>')
            parts.append(f'<text x="{place + 36:g}" y="{y:g}">{escape(words)}</text>')
            place += 36 + 7 * len(words) + _GAP
        width = max(x, place, *(2 * _GAP + 9 * len(chart.title) for chart in self.charts))
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
        """Save the figure to a file.

        Args:
            path: The extension sets the format: .svg or .png.

        Raises:
            SettingsError: The extension is neither .svg nor .png.
            OutputError: The file cannot be written.
            MissingExtraError: A PNG file needs the package resvg-py, which is not installed.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".svg", ".png"):
            raise SettingsError(f"cannot save a figure as {str(path)!r}. Use the extension .svg or .png")
        content = self.png() if suffix == ".png" else self.svg.encode("utf-8")
        with files.replacing(Path(path)) as temporary:
            temporary.write_bytes(content)

    def _repr_svg_(self) -> str:
        return self.svg


def plot_history(history: Sequence[Epoch]) -> Figure:
    """Draw loss and accuracy by epoch, for training and validation. The lowest validation loss is marked.

    Args:
        history: The history of a run, or what `load_history` returned.

    Raises:
        SettingsError: There are no epochs, as in a run with the preset fast.

    Example:
        >>> import mien
        >>> from mien.core.progress import Epoch
        >>> history = [Epoch(1, 0.7, 0.5, 0.6, 0.6, 1.0), Epoch(2, 0.5, 0.8, 0.7, 0.6, 1.0)]
        >>> mien.plot_history(history).savefig("curves.svg")
    """
    if not history:
        raise SettingsError("there are no epochs to plot. The preset fast has none; classic and best do")
    legend = (("line a", "training"), ("line b", "validation"), ("mark", "lowest validation loss"))
    return Figure((plot_epochs(history, "loss"), plot_epochs(history, "accuracy")), legend)


def plot_confusion(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix, with true classes as rows and predicted classes as columns.

    With more than 20 classes, list the most confused pairs instead.

    Args:
        evaluation: The evaluation of a run, or what `evaluate` returned.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.plot_confusion(mien.evaluate(classifier, dataset)).savefig("confusion.svg")
    """
    return Figure((plot_matrix(evaluation),))


def plot_reliability(evaluation: Evaluation) -> Figure:
    """Draw the accuracy by confidence, and the accuracy by share of images answered.

    Args:
        evaluation: The evaluation of a run, or what `evaluate` returned.
    """
    legend = (("line ideal", "perfect calibration"), ("band", "95% interval"))
    return Figure((plot_sureness(evaluation), plot_coverage(evaluation)), legend)


@cache
def _style() -> str:
    """Return the chart style with the light colours inlined, because a separate file has no page style."""
    base = (package_files("mien.core") / "base.css").read_text("utf-8")
    colours = dict(re.findall(r"(--[\w-]+): (#\w+);", base[: base.index("@media")]))
    css = (package_files("mien.runs") / "page" / "charts.css").read_text("utf-8")
    return re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], f"{css}.paper {{ fill: var(--card); }}")
