"""Shortcuts: facts about files, such as their size, that give the label away although they show nothing of it."""

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

# So many images tell; of more, so many are drawn.
_MAX_IMAGES = 1000
_MIN_IMAGES = 20
_NUM_SHUFFLES = 200
# A share of 0.95 is what is promised; the rest is for the chance in the shuffling.
_CONFIDENCE = 0.97
_NUM_BINS = 6
_MAX_VALUES = 12
# Of features with mean 0 and variance 1, among some hundred images: enough to keep chance small.
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
    """A fact by which classes can be told apart without looking at what the images show.

    Attributes:
        fact: Its name, such as "file size".
        accuracy: Share of images whose class it tells, each judged by the others.
        baseline: Share of the largest class, and its name `baseline_label`.
        text: The same in words, with how the classes differ.
    """

    fact: str
    accuracy: Score
    baseline: Score
    baseline_label: str
    text: str

    @property
    def aspect(self) -> Aspect | None:
        """What of an image shows the fact, where it can be seen and changed."""
        return _ASPECTS.get(self.fact)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Measure:
    """A fact that is a number.

    Attributes:
        name: As it is said.
        value: What it is for an image; above 0.
        least: How a class is described that has less of it; likewise `most`.
        shown: A value in words.
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
    return f"{share:.0%} of full white"


def _of_full_colour(share: float) -> str:
    return f"{share:.0%} of full colour"


_MEASURES = (
    _Measure("file size", lambda r: r.num_bytes, "are smaller files", "are larger files", _kilobytes),
    _Measure("width", lambda r: r.width, "are narrower", "are wider", _pixels),
    _Measure("height", lambda r: r.height, "are lower", "are taller", _pixels),
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
        "are less wide for their height",
        "are wider for their height",
        lambda ratio: f"{ratio:.2f} to 1",
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
    """Return the facts by which the class of an image can be told without looking at what it shows; the best first.

    The facts are file size, width, height, number of pixels, shape, bytes per pixel, brightness, colour, format, and
    the host of the URL where the folder has a sources.csv; each alone, and all together. An image is judged by the
    others; near copies count as one. A fact is named where its interval lies above always saying the largest class,
    and where hardly ever any fact tells shuffled labels as well: where there is no shortcut, at most about one in
    twenty datasets has one named.

    Source:
        P. H. Westfall, S. S. Young, Resampling-Based Multiple Testing, Wiley 1993 (the largest of several statistics).

    Args:
        dataset: What `clean` returned.
        seed: Decides the shuffling, and which images are looked at where there are more than 1,000.
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
    """Return what was found in a few lines; none where nothing was."""
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
        f"  Always saying {name!r} gets {baseline.value:.0%}: a model could cheat. It sees brightness, colour and "
        "shape; the rest only indirectly, such as by blur.",
        "  What to do: take the images of all classes from the same places, unless this difference is what you want to "
        "detect.",
    ]


def load_hosts(folder: Path) -> dict[str, str]:
    """Return the host that each image came from, by its path, as sources.csv says; empty where there is none."""
    try:
        return {record.path: urlsplit(record.url).hostname or "" for record in load_sources(folder)}
    except (SourceNotFoundError, ValueError):
        # Somebody's own sources.csv: it is one fact less.
        return {}


def _distinct(dataset: Dataset, rng: np.random.Generator) -> list[ImageRecord]:
    """Return the used images, one of each group of near copies, and not too many."""
    firsts: dict[object, ImageRecord] = {}
    for record in dataset.records:
        if record.used:
            firsts.setdefault(record.path if record.group is None else record.group, record)
    records = list(firsts.values())
    chosen = np.sort(rng.permutation(len(records))[:_MAX_IMAGES])
    return [records[place] for place in chosen]


def _facts(records: list[ImageRecord], hosts: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    """Return the columns, (N, K), that stand for each fact; no column for one that is the same everywhere."""
    facts = {m.name: _number_columns(np.array([m.value(r) for r in records], np.float64)) for m in _MEASURES}
    facts["format"] = _value_columns([record.format for record in records])
    facts["source host"] = _value_columns([hosts.get(record.path, "") for record in records])
    return facts


def _number_columns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value, and in which of some bins of equal size it is: any steady or crooked relation."""
    ranks = np.searchsorted(np.sort(values), values, side="left").astype(np.float64)
    ranks += np.searchsorted(np.sort(values), values, side="right")
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _NUM_BINS + 1)[1:-1]))
    return _standardised(np.column_stack([ranks, np.eye(len(edges) + 1)[np.searchsorted(edges, values)]]))


def _value_columns(values: list[str]) -> NDArray[np.float64]:
    """Return a column for each of the values that are there most often."""
    common = [value for value, count in Counter(values).most_common(_MAX_VALUES) if count > 1]
    return _standardised(np.array([[value == other for other in common] for value in values], np.float64))


def _standardised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = columns.std(axis=0)
    moving = scale > 1e-9
    standardised: NDArray[np.float64] = (columns[:, moving] - columns[:, moving].mean(axis=0)) / scale[moving]
    return standardised


def _num_right(rows: NDArray[np.float64], labels: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Return how many images are told right by ridge regression on all the others, for each column of labels.

    What an image's own label does to its score does not depend on the labels: one fit serves all of them.
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
    share = f"enough to guess {accuracy} of the labels"
    for measure in _MEASURES:
        if measure.name == fact:
            return f"{_difference(measure, records)}: {fact} alone is {share}"
    if fact == _TOGETHER:
        source = ", source" if any(hosts.values()) else ""
        return f"file size, format, dimensions{source}, brightness and colour together are {share}"
    values = [f"from {hosts.get(r.path) or 'no known host'}" if fact == "source host" else r.format for r in records]
    return f"{_favourite(values, [r.label for r in records])}: {fact} alone is {share}"


def _difference(measure: _Measure, records: list[ImageRecord]) -> str:
    """Say which class has least of something, and which most."""
    labels = {record.label for record in records}
    medians = {
        name: float(np.median([measure.value(r) for r in records if r.label == name])) for name in sorted(labels)
    }
    low, high = min(medians, key=lambda name: medians[name]), max(medians, key=lambda name: medians[name])
    shown = {name: measure.shown(value) for name, value in medians.items()}
    if shown[low] == shown[high]:
        return f"the classes differ in {measure.name}, if not in its median ({shown[low]})"
    return f"{low} images {measure.least} (median {shown[low]}) than {high} ones ({shown[high]})"


def _favourite(values: list[str], labels: list[str]) -> str:
    """Say which value is most typical of one class against another."""
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
    return f"{shares[name, value]:.0%} of {name} images are {value}, and {shares[other, value]:.0%} of {other} ones"
