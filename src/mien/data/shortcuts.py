"""Shortcuts: file properties, such as size, that predict the label without showing anything about it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mien.config import Aspect
from mien.core.scores import Score, wilson_score
from mien.data.dataset import Dataset, ImageRecord
from mien.errors import SourceNotFoundError
from mien.fetching.source_log import load_sources

# Use at most this many images, and at least the number below.
_MAX_IMAGES = 1000
_MIN_IMAGES = 20
_NUM_SHUFFLES = 200
# The promise is 0.95; the margin covers randomness of the shuffling.
_CONFIDENCE = 0.97
_NUM_BINS = 6
_MAX_VALUES = 12
# Ridge penalty for standardised features of some hundred images: enough to limit chance fits.
_PENALTY = 10.0
_MAX_TOLD = 3
_TOGETHER = "all together"
_ASPECTS: dict[str, Aspect] = {
    "brightness": "brightness",
    "colour": "colour",
    "bytes per pixel": "sharpness",
    "file size": "sharpness",
    "number of pixels": "sharpness",
}


@dataclass(frozen=True)
class Shortcut:
    """A file property that predicts the class without looking at the image content.

    Attributes:
        fact: Its name, e.g. "file size".
        accuracy: Share of images whose class it predicts, each judged by the others.
        baseline: Share of the largest class.
        baseline_label: Name of the largest class.
        text: A description, including how the classes differ.
    """

    fact: str
    accuracy: Score
    baseline: Score
    baseline_label: str
    text: str

    @property
    def aspect(self) -> Aspect | None:
        """The visible aspect behind the fact that augmentation can change, if there is one."""
        return _ASPECTS.get(self.fact)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Measure:
    """A numeric property.

    Attributes:
        name: Its name in messages.
        value: Its value for an image, above 0.
        least: Description of a class with low values.
        most: Description of a class with high values.
        shown: Formats a value.
    """

    name: str
    value: Callable[[ImageRecord], float]
    least: str
    most: str
    shown: Callable[[float], str]


def _kilobytes(num_bytes: float) -> str:
    return f"{num_bytes / 1024:.0f} KB" if num_bytes >= 10 * 1024 else f"{num_bytes / 1024:.1f} KB"


def _pixels(number: float) -> str:
    return f"{number:.0f} pixels"


def _of_white(share: float) -> str:
    return f"{share:.0%} of full brightness"


def _of_full_colour(share: float) -> str:
    return f"{share:.0%} of full colour"


_MEASURES = (
    _Measure("file size", lambda r: r.num_bytes, "are smaller files", "are larger files", _kilobytes),
    _Measure("width", lambda r: r.width, "are narrower", "are wider", _pixels),
    _Measure("height", lambda r: r.height, "are shorter", "are taller", _pixels),
    _Measure(
        "number of pixels",
        lambda r: r.width * r.height / 1e6,
        "have fewer pixels",
        "have more pixels",
        lambda number: f"{number:.2g} megapixels",
    ),
    _Measure(
        "shape",
        lambda r: r.width / max(r.height, 1),
        "are narrower for their height",
        "are wider for their height",
        lambda ratio: f"{ratio:.2f}:1",
    ),
    _Measure(
        "bytes per pixel",
        lambda r: r.num_bytes / max(r.width * r.height, 1),
        "are compressed more",
        "are compressed less",
        lambda number: f"{number:.2f} bytes per pixel",
    ),
    _Measure("brightness", lambda r: r.brightness or 0, "are darker", "are brighter", _of_white),
    _Measure("colour", lambda r: r.colour or 0, "are greyer", "are more colourful", _of_full_colour),
)


def find_shortcuts(dataset: Dataset, *, seed: int = 0) -> tuple[Shortcut, ...]:
    """Find file properties that predict the class of an image without looking at its content, the best first.

    The properties are file size, width, height, number of pixels, shape, bytes per pixel, brightness, colour, format,
    and the source host if the folder has a sources.csv, each alone and all together. Each image is judged by the
    others, and near-duplicates count as one. A property is reported if its interval is above always guessing the
    largest class, and if it beats nearly all properties on shuffled labels. Without real shortcuts, at most about one
    dataset in twenty gets a false report.

    Source:
        P. H. Westfall, S. S. Young, Resampling-Based Multiple Testing, Wiley 1993 (the largest of several statistics).

    Args:
        dataset: Result of `clean`.
        seed: Seed for shuffling, and for sampling 1,000 images from larger datasets.
    """
    rng = np.random.default_rng(seed)
    records = _distinct(dataset, rng)
    labels = np.array([dataset.class_names.index(record.label) for record in records], np.int64)
    if len(records) < _MIN_IMAGES or len(np.unique(labels)) < 2:
        return ()
    hosts = load_hosts(dataset.root)
    facts = {name: rows for name, rows in _facts(records, hosts).items() if rows.size}
    if len(facts) > 1:
        facts[_TOGETHER] = np.hstack(list(facts.values()))
    shuffled = np.stack([labels] + [rng.permutation(labels) for _ in range(_NUM_SHUFFLES)], axis=1)
    rights = {name: _num_right(rows, shuffled, len(dataset.class_names)) for name, rows in facts.items()}
    if not rights:
        return ()
    by_chance = float(np.quantile(np.max(list(rights.values()), axis=0)[1:], _CONFIDENCE))
    largest = int(np.bincount(labels).argmax())
    baseline = wilson_score(int((labels == largest).sum()), len(labels))
    found = []
    for name, right in sorted(rights.items(), key=lambda item: -item[1][0]):
        accuracy = wilson_score(int(right[0]), len(labels))
        if right[0] > by_chance and accuracy.low > (baseline.value or 0):
            text = _words(name, records, hosts, accuracy)
            found.append(Shortcut(name, accuracy, baseline, dataset.class_names[largest], text))
    return tuple(found)


def describe_shortcuts(shortcuts: Sequence[Shortcut]) -> list[str]:
    """Describe the shortcuts in a few lines, or return [] if there are none."""
    if not shortcuts:
        return []
    alone = [shortcut for shortcut in shortcuts if shortcut.fact != _TOGETHER]
    lines = [f"shortcut: {shortcut.text}" for shortcut in alone[:_MAX_TOLD]]
    others = ", ".join(shortcut.fact for shortcut in alone[_MAX_TOLD:])
    lines += [f"  also: {others}"] if others else []
    together = [shortcut.text for shortcut in shortcuts if shortcut.fact == _TOGETHER]
    lines += [f"{'  ' if alone else 'shortcut: '}{text}" for text in together]
    baseline, name = shortcuts[0].baseline, shortcuts[0].baseline_label
    return [
        *lines,
        f"  Always guessing {name!r} gets {baseline.value:.0%}, so a model could cheat. It sees brightness, colour and "
        "shape, and the rest only indirectly, e.g. through blur.",
        "  What to do: collect the images of all classes from the same sources, unless this difference is what you "
        "want to detect.",
    ]


def load_hosts(folder: Path) -> dict[str, str]:
    """Return the source host of each image by path, from sources.csv, or {} if there is none."""
    try:
        return {record.path: urlsplit(record.url).hostname or "" for record in load_sources(folder)}
    except (SourceNotFoundError, ValueError):
        # The user's own sources.csv; do without it.
        return {}


def _distinct(dataset: Dataset, rng: np.random.Generator) -> list[ImageRecord]:
    """Return the used images, one per group of near-duplicates, up to the maximum."""
    firsts: dict[object, ImageRecord] = {}
    for record in dataset.records:
        if record.used:
            firsts.setdefault(record.path if record.group is None else record.group, record)
    records = list(firsts.values())
    chosen = np.sort(rng.permutation(len(records))[:_MAX_IMAGES])
    return [records[place] for place in chosen]


def _facts(records: list[ImageRecord], hosts: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    """Return the feature columns, (N, K), of each property; no columns for constant ones."""
    facts = {m.name: _number_columns(np.array([m.value(r) for r in records], np.float64)) for m in _MEASURES}
    facts["format"] = _value_columns([record.format for record in records])
    facts["source host"] = _value_columns([hosts.get(record.path, "") for record in records])
    return facts


def _number_columns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank and the quantile bin of each value, to capture any monotonic or other relation."""
    ranks = np.searchsorted(np.sort(values), values, side="left").astype(np.float64)
    ranks += np.searchsorted(np.sort(values), values, side="right")
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _NUM_BINS + 1)[1:-1]))
    return _standardised(np.column_stack([ranks, np.eye(len(edges) + 1)[np.searchsorted(edges, values)]]))


def _value_columns(values: list[str]) -> NDArray[np.float64]:
    """Return an indicator column for each of the most common values."""
    common = [value for value, count in Counter(values).most_common(_MAX_VALUES) if count > 1]
    return _standardised(np.array([[value == other for other in common] for value in values], np.float64))


def _standardised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = columns.std(axis=0)
    moving = scale > 1e-9
    standardised: NDArray[np.float64] = (columns[:, moving] - columns[:, moving].mean(axis=0)) / scale[moving]
    return standardised


def _num_right(rows: NDArray[np.float64], labels: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Return how many images leave-one-out ridge regression predicts correctly, for each column of labels.

    The influence of an image's own label does not depend on the labels, so one fit serves all columns.
    """
    effects = np.linalg.solve(rows.T @ rows + _PENALTY * np.eye(rows.shape[1]), rows.T)
    own = (rows * effects.T).sum(axis=1) + 1 / len(rows)
    best = np.full(labels.shape, -np.inf)
    chosen = np.zeros(labels.shape, np.int64)
    for number in range(num_classes):
        targets = (labels == number).astype(np.float64)
        scores = rows @ (effects @ targets) + targets.mean(axis=0)
        scores = targets - (targets - scores) / np.maximum(1 - own, 1e-9)[:, None]
        chosen = np.where(scores > best, number, chosen)
        best = np.maximum(best, scores)
    right: NDArray[np.int64] = (chosen == labels).sum(axis=0)
    return right


def _words(fact: str, records: list[ImageRecord], hosts: Mapping[str, str], accuracy: Score) -> str:
    share = f"the label with an accuracy of {accuracy}"
    for measure in _MEASURES:
        if measure.name == fact:
            return f"{_difference(measure, records)}: {fact} alone predicts {share}{_caution(fact, records)}"
    if fact == _TOGETHER:
        source = ", source" if any(hosts.values()) else ""
        return f"file size, format, dimensions{source}, brightness and colour together predict {share}"
    values = [f"from {hosts.get(r.path) or 'no known host'}" if fact == "source host" else r.format for r in records]
    return f"{_favourite(values, [r.label for r in records])}: {fact} alone predicts {share}"


def _caution(fact: str, records: list[ImageRecord]) -> str:
    """Say that a fact may come from what the images show, where their files are not compressed with losses."""
    num_png = sum(record.format == "PNG" for record in records)
    is_drawn = fact in {"file size", "bytes per pixel"} and num_png > len(records) / 2
    return " (in PNG files, this also depends on what the images show)" if is_drawn else ""


def _difference(measure: _Measure, records: list[ImageRecord]) -> str:
    """Describe which class has the lowest and which the highest values."""
    labels = {record.label for record in records}
    medians = {
        name: float(np.median([measure.value(r) for r in records if r.label == name])) for name in sorted(labels)
    }
    low, high = min(medians, key=lambda name: medians[name]), max(medians, key=lambda name: medians[name])
    shown = {name: measure.shown(value) for name, value in medians.items()}
    if shown[low] == shown[high]:
        return f"the classes differ in {measure.name}, though not in its median ({shown[low]})"
    return f"'{low}' images {measure.least} (median {shown[low]}) than '{high}' images ({shown[high]})"


def _favourite(values: list[str], labels: list[str]) -> str:
    """Describe the value most typical of one class compared with another."""
    counts = {
        name: Counter(v for v, label in zip(values, labels, strict=True) if label == name) for name in set(labels)
    }
    shares = {
        (name, value): count[value] / count.total() for name, count in sorted(counts.items()) for value in set(values)
    }

    def gap(key: tuple[str, str]) -> float:
        return shares[key] - min(shares[name, key[1]] for name in counts)

    name, value = max(sorted(shares), key=gap)
    other = min(sorted(counts), key=lambda label: shares[label, value])
    return (
        f"{shares[name, value]:.0%} of the '{name}' images are {value}, but {shares[other, value]:.0%} of the "
        f"'{other}' images"
    )
