"""Charts: results -> SVG, for a page or a figure. Colours come from the surrounding style sheet."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from mien.core.progress import Epoch, best_epoch
from mien.core.scores import Score
from mien.core.text import MANY_CLASSES, counted, short_names
from mien.scoring.calibration import round_thresholds
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.results import Evaluation, percent

_WIDTH, _HEIGHT = 360, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 26, 42
_MAX_POINTS = 400
# The widest class name.
_MAX_NAME = 300
# Space for threshold labels: the distance between two as a share of the width, their share of the height, and where
# their heading ends.
_LABEL_ROOM, _LABEL_HEIGHT, _HEADING_END = 0.15, 0.1, 64
Point = tuple[float, float]
_ENDS = ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end"))


class Svg(str):
    """SVG made here, which a template may include unescaped."""

    def __html__(self) -> str:
        return self


@dataclass(frozen=True)
class Chart:
    """A chart, which a template may include unescaped.

    Attributes:
        title: A short title.
        told: A full description for screen readers.
        parts: SVG elements.
        width: Width of the drawing, in units in which text is 12 high.
        height: Height of the drawing.
    """

    title: str
    told: str
    parts: tuple[str, ...]
    width: float = _WIDTH
    height: float = _HEIGHT

    def __html__(self) -> str:
        name = "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())
        return (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-labelledby="{name} {name}-told"><title id="{name}">{escape(self.title)}</title>'
            f'<desc id="{name}-told">{escape(self.told)}</desc>{"".join(self.parts)}</svg>'
        )


@dataclass(frozen=True)
class _Plane:
    """The plotting area of a chart, which maps values to coordinates.

    Attributes:
        across: Lowest and highest value on the x-axis.
        up: Lowest and highest value on the y-axis.
    """

    across: Point
    up: Point

    def x(self, value: float) -> float:
        share = (value - self.across[0]) / ((self.across[1] - self.across[0]) or 1)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.up[0]) / ((self.up[1] - self.up[0]) or 1)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def line(self, points: Sequence[Point], name: str) -> str:
        """Draw a line through points; `name` is its CSS class."""
        places = " ".join(f"{self.x(across)},{self.y(up)}" for across, up in points)
        return f'<polyline class="line {name}" points="{places}"/>'

    def upright(self, across: float, low: float, high: float, name: str) -> str:
        """Draw a vertical line, such as an interval."""
        x = self.x(across)
        return f'<line class="{name}" x1="{x}" x2="{x}" y1="{self.y(low)}" y2="{self.y(high)}"/>'

    def dot(self, across: float, up: float, name: str) -> str:
        """Draw a point."""
        return f'<circle class="dot {name}" cx="{self.x(across)}" cy="{self.y(up)}" r="3.5"/>'

    def frame(
        self, x_label: str, y_label: str, x_ticks: Sequence[float], *, x_percent: bool = True, y_percent: bool = True
    ) -> Iterator[str]:
        """Draw the grid, the tick labels and the axis labels."""
        yield f'<text class="axis" x="{_LEFT - 38}" y="13">{escape(y_label)}</text>'
        for value in ticks(*self.up):
            y = self.y(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value, y_percent)}</text>'
        for value in x_ticks:
            x, y = self.x(value), _HEIGHT - _BOTTOM + 17
            yield f'<text x="{x}" y="{y}" text-anchor="middle">{_number(value, x_percent)}</text>'
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        yield f'<text class="axis" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'


def ticks(low: float, high: float, *, most: int = 6, whole: bool = False) -> list[float]:
    """Return round numbers within a range, about `most` at most.

    Example:
        >>> ticks(0.43, 1.0)
        [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
        >>> ticks(1, 20, whole=True)
        [5.0, 10.0, 15.0, 20.0]
    """
    span = high - low
    # The smallest floating-point numbers cannot be divided further.
    if not span / most > sys.float_info.min:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * times for times in (1, 2, 5, 10) if span / (power * times) <= most)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def plot_accuracy(evaluation: Evaluation) -> Chart:
    """Draw the accuracy with its interval, and the baseline, on a line from 0% to 100%."""
    accuracy, baseline = evaluation.accuracy, evaluation.baseline
    value, always = accuracy.value or 0.0, baseline.value or 0.0
    x = {
        share: round(10 + 340 * share, 1)
        for share in (0, 0.25, 0.5, 0.75, 1, value, always, accuracy.low, accuracy.high)
    }
    told = (
        f"Accuracy {percent(value)}, 95% interval {accuracy.low:.0%} to {accuracy.high:.0%}. The baseline of "
        f"{always:.0%} is {_side(always, accuracy)}."
    )
    # Keep the label inside the drawing.
    anchor = "start" if always < 0.15 else "end" if always > 0.85 else "middle"
    return Chart(
        "Accuracy and baseline",
        told,
        (
            '<line class="rail" x1="10" x2="350" y1="34" y2="34"/>',
            f'<line class="band" x1="{x[accuracy.low]}" x2="{x[accuracy.high]}" y1="34" y2="34"/>',
            f'<line class="mark" x1="{x[always]}" x2="{x[always]}" y1="22" y2="46"/>',
            f'<circle class="dot a" cx="{x[value]}" cy="34" r="7"/>',
            f'<text class="strong" x="{x[value]}" y="16" text-anchor="middle">{percent(value)}</text>',
            f'<text x="{x[always]}" y="60" text-anchor="{anchor}">baseline {always:.0%}</text>',
            *(f'<text class="faint" x="{x[s]}" y="78" text-anchor="{a}">{s:.0%}</text>' for s, a in _ENDS),
        ),
        height=84,
    )


def plot_epochs(history: Sequence[Epoch], measure: str) -> Chart:
    """Draw the loss or accuracy of every epoch, in training and validation. The lowest validation loss is marked.

    Args:
        history: At least one epoch.
        measure: "loss" or "accuracy".
    """
    shown = [epoch for epoch in history if math.isfinite(getattr(epoch, measure) + getattr(epoch, f"val_{measure}"))]
    thinned = shown[:: max(1, len(shown) // _MAX_POINTS)]
    best = best_epoch(history)
    highest = max((max(getattr(e, measure), getattr(e, f"val_{measure}")) for e in thinned), default=1.0)
    plane = _Plane((history[0].epoch, history[-1].epoch), (0, 1 if measure == "accuracy" else highest * 1.05 or 1.0))
    first, last = history[0], history[-1]
    told = (
        f"{measure.capitalize()} in training and validation. First: {_epoch(first, measure)}. Best, with the lowest "
        f"validation loss: {_epoch(best, measure)}. Last: {_epoch(last, measure)}."
    )
    epochs = ticks(*plane.across, whole=True)
    parts = [*plane.frame("epoch", measure, epochs, x_percent=False, y_percent=measure == "accuracy")]
    parts.append(plane.upright(best.epoch, *plane.up, name="mark"))
    for name, style in ((measure, "a"), (f"val_{measure}", "b")):
        points = [(epoch.epoch, getattr(epoch, name)) for epoch in thinned]
        parts.append(plane.line(points, style))
        parts += [plane.dot(*point, style) for point in points if len(points) <= 30]
    return Chart(f"{measure.capitalize()} by epoch", told, tuple(parts))


def plot_sureness(evaluation: Evaluation) -> Chart:
    """Draw a reliability diagram: accuracy by confidence, with intervals, and the line of perfect calibration."""
    bins = evaluation.calibration.bins
    left = min(1 / len(evaluation.class_names), 0.5)
    low = min(left, *(item.accuracy.low for item in bins))
    plane = _Plane((left, 1.0), (math.floor(low * 10) / 10, 1.0))
    told = "; ".join(
        f"{item.confidence:.0%} confident: {item.accuracy.value:.0%} of {counted(item.accuracy.num_images, 'image')} "
        "correct"
        for item in bins
    )
    parts = [*plane.frame("predicted probability", "accuracy", ticks(*plane.across))]
    parts.append(plane.line([(max(left, plane.up[0]), max(left, plane.up[0])), (1, 1)], "ideal"))
    for item in bins:
        parts.append(plane.upright(item.confidence, item.accuracy.low, item.accuracy.high, "whisker a"))
        parts.append(plane.dot(item.confidence, item.accuracy.value or 0.0, "a"))
    return Chart("Accuracy by confidence", f"{told}.", tuple(parts))


def plot_coverage(evaluation: Evaluation) -> Chart:
    """Draw the accuracy of the answers that a threshold leaves, by the share of images answered."""
    rows = [row for row in evaluation.coverage if row.accuracy.value is not None]
    least = math.floor(min(row.accuracy.low for row in rows) * 10) / 10
    plane = _Plane((0.0, 1.0), (least, 1 + _LABEL_HEIGHT * (1 - least)))
    points = [(row.answered.value or 0.0, row.accuracy.value or 0.0) for row in rows]
    edge = [(row.answered.value or 0.0, row.accuracy.high) for row in rows]
    edge += [(row.answered.value or 0.0, row.accuracy.low) for row in reversed(rows)]
    outline = " ".join(f"{plane.x(across)},{plane.y(up)}" for across, up in edge)
    first, last = rows[0], rows[-1]
    told = (
        f"Without a threshold, {first.accuracy.value:.0%} of the answers are correct. With a threshold of "
        f"{last.threshold:.0%}, {last.answered.value:.0%} of the images get an answer, and {last.accuracy.value:.0%} "
        "of those answers are correct."
    )
    parts = [*plane.frame("share of images answered", "accuracy", ticks(0, 1))]
    parts.append(f'<polygon class="area" points="{outline}"/>')
    parts += _thresholds(evaluation, plane)
    parts.append(plane.line(points, "a"))
    parts += [plane.dot(*point, "a") for point in points]
    return Chart("Accuracy by share of images answered", told, tuple(parts))


def plot_learning_curve(curve: LearningCurve) -> Chart:
    """Draw the accuracy by the number of training images, and what twice as many may bring."""
    points = [(float(point.num_trained), point.accuracy.value or 0.0) for point in curve.points]
    (most, reached), gain = points[-1], curve.gain
    doubled, low, high = (min(max(reached + by, 0.0), 1.0) for by in (gain.value or 0.0, gain.low, gain.high))
    lowest = min(low, *(point.accuracy.low for point in curve.points))
    plane = _Plane((0.0, 2.1 * most), (math.floor(lowest * 10) / 10, 1.0))
    by_number = "; ".join(f"{share:.0%} with {counted(round(number), 'image')}" for number, share in points)
    told = f"Accuracy by training images: {by_number}. With {2 * most:,.0f}, expect {low:.0%} to {high:.0%}."
    numbers = ticks(*plane.across, most=4, whole=True)
    parts = [*plane.frame("training images", "accuracy", numbers, x_percent=False)]
    for point, (number, _) in zip(curve.points, points, strict=True):
        parts.append(plane.upright(number, point.accuracy.low, point.accuracy.high, "whisker a"))
    parts.append(plane.line([(most, reached), (2 * most, doubled)], "b"))
    parts.append(plane.upright(2 * most, low, high, "whisker b"))
    parts.append(plane.line(points, "a"))
    parts += [*(plane.dot(*point, "a") for point in points), plane.dot(2 * most, doubled, "b")]
    return Chart("Accuracy by number of training images", told, tuple(parts))


def plot_matrix(evaluation: Evaluation) -> Chart:
    """Draw the confusion matrix, with true classes as rows and predicted classes as columns.

    With more than 20 classes, list the most confused pairs instead.
    """
    num_classes, num_images = len(evaluation.class_names), evaluation.accuracy.num_images
    title = f"Confusion matrix, {counted(num_images, 'image')}"
    if num_classes > MANY_CLASSES:
        return _plot_pairs(evaluation)
    names = list(short_names(evaluation.class_names, _MAX_NAME, _width).values())
    longest = max(len(f"{count:,}") for counts in evaluation.confusion for count in counts)
    side = max(46 if num_classes < 8 else 30, 8 * longest + 8)
    left = 12 + round(max(map(_width, names)))
    turned = left > side + 12
    # Names that are turned by 60° are 87% as high as they are wide, and stick out to the right by half their width.
    top, overhang = (34 + round(0.87 * left), left // 2) if turned else (46, 0)
    parts = ['<text class="axis" x="0" y="12">rows: true class; columns: predicted</text>']
    for place, name in enumerate(names):
        middle = round(side * (place + 0.5))
        parts.append(f'<text x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{escape(name)}</text>')
        lean = f'transform="rotate(-60 {left + middle} {top - 6})"' if turned else 'text-anchor="middle"'
        parts.append(f'<text x="{left + middle}" y="{top - 6}" {lean}>{escape(name)}</text>')
    for row, counts in enumerate(evaluation.confusion):
        for column, count in enumerate(counts):
            x, y, right = left + side * column, top + side * row, row == column
            cell = f'class="cell {"a" if right else "b"}" x="{x}" y="{y}" width="{side - 2}" height="{side - 2}"'
            parts.append(f'<rect {cell} fill-opacity="{shade(count, sum(counts), right=right) / 100}"/>')
            centre = f'x="{x + side // 2 - 1}" y="{y + side // 2 + 3}"'
            shown = f'class="count" {centre}' if count else centre
            parts.append(f'<text {shown} text-anchor="middle">{f"{count:,}" if count else "·"}</text>')
    rows = "; ".join(
        f"{name}: " + ", ".join(f"{count} as {other}" for other, count in zip(names, counts, strict=True) if count)
        for name, counts in zip(names, evaluation.confusion, strict=True)
    )
    width = max(left + side * num_classes + 4 + overhang, 200)
    told = f"True class, and what was predicted. {rows}."
    return Chart(title, told, tuple(parts), width, top + side * num_classes + 4)


def shade(count: int, total: int, *, right: bool) -> int:
    """Return how dark a cell of the confusion matrix is in percent: 0 if it is empty, otherwise 18, 23 and so on to 48.

    Args:
        count: The images in the cell.
        total: The images of its true class.
        right: Whether they are predicted correctly. Mistakes are few, so they darken faster.
    """
    share = count / max(total, 1)
    return 18 + 5 * round(6 * (share if right else math.sqrt(share))) if count else 0


def _plot_pairs(evaluation: Evaluation) -> Chart:
    """Draw a bar for each of the most confused pairs of classes."""
    pairs, line = evaluation.most_confused(MANY_CLASSES), 20
    num_wrong = evaluation.accuracy.num_images - evaluation.num_right
    title = f"{counted(num_wrong, 'mistake')} in {counted(evaluation.accuracy.num_images, 'image')}"
    names = short_names(evaluation.class_names, _MAX_NAME, _width)
    said = [f"{names[label]} mistaken for {names[predicted]}" for label, predicted, _ in pairs]
    left = 12 + round(max(map(_width, said), default=0))
    most = max((count for *_, count in pairs), default=1)
    parts = ['<text class="axis" x="0" y="12">most confused classes, with the number of images</text>']
    for place, (text, (*_, count)) in enumerate(zip(said, pairs, strict=True)):
        y, length = 24 + line * place, round(200 * count / most)
        parts.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{escape(text)}</text>')
        parts.append(f'<rect class="cell b" x="{left}" y="{y + 2}" width="{length}" height="{line - 5}"/>')
        parts.append(f'<text x="{left + length + 6}" y="{y + 13}">{count:,}</text>')
    told = "; ".join(f"{text}: {count}" for text, (*_, count) in zip(said, pairs, strict=True))
    if not pairs:
        told = f"None of the {len(evaluation.class_names)} classes was mistaken for another"
        parts.append(f'<text x="0" y="36">{told}</text>')
    return Chart(title, f"{told}.", tuple(parts), max(left, 100) + 260, 30 + line * max(len(pairs), 1))


def _width(line: str) -> float:
    """Return the width that a line of text takes in most fonts."""
    return sum(12 if ord(letter) > 0x1100 else 7.2 for letter in line)


def _thresholds(evaluation: Evaluation, plane: _Plane) -> Iterator[str]:
    """Label round thresholds at the top of the chart, each above its point."""
    y = plane.y(plane.up[1]) + 10
    yield f'<text class="axis" x="{_LEFT - 38}" y="{y}">threshold</text>'
    for row in round_thresholds(evaluation.coverage, _LABEL_ROOM):
        across = row.answered.value or 0.0
        if plane.x(across) > _HEADING_END + 30:
            yield plane.upright(across, row.accuracy.value or 0.0, 1.0, "grid")
            yield f'<text x="{plane.x(across)}" y="{y}" text-anchor="middle">{row.threshold:.0%}</text>'


def interval_bar(score: Score, *, mark: float | None = None) -> Svg:
    """Draw a score with its interval on a short line from 0% to 100%, to go next to its numbers in a table.

    Args:
        score: The score.
        mark: A share to compare it with.
    """
    if score.value is None:
        return Svg()
    low, high, value = (round(4 + 92 * share, 1) for share in (score.low, score.high, score.value))
    parts = ['<line class="rail" x1="4" x2="96" y1="7" y2="7"/>']
    parts.append(f'<line class="band" x1="{low}" x2="{high}" y1="7" y2="7"/>')
    if mark is not None:
        x = round(4 + 92 * mark, 1)
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="1" y2="13"/>')
    parts.append(f'<circle class="dot a" cx="{value}" cy="7" r="3.5"/>')
    return Svg(f'<svg class="bar" viewBox="0 0 100 14" aria-hidden="true" focusable="false">{"".join(parts)}</svg>')


def _number(value: float, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:g}"


def _side(share: float, score: Score) -> str:
    return "below that" if share < score.low else "above that" if share > score.high else "within that"


def _epoch(epoch: Epoch, measure: str) -> str:
    """Return what an epoch reached, in training and validation."""
    shape = ".0%" if measure == "accuracy" else ".3g"
    values = " and ".join(format(getattr(epoch, name), shape) for name in (measure, f"val_{measure}"))
    return f"epoch {epoch.epoch}, {values}"
