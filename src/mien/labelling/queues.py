"""Queues: which images to look at, in which order, and why."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.text import visible
from mien.data.dataset import Dataset
from mien.data.kept_splits import sides_of
from mien.scoring.label_issues import LabelIssue, label_margins
from mien.scoring.results import Predictions

# A prediction is unsure or wrong if the label leads the next most probable class by less than this.
_UNSURE = 0.5


@dataclass(frozen=True, eq=False)
class Queue:
    """Images to look at.

    Attributes:
        name: Identifies the queue in requests.
        title: Title for people.
        about: A sentence on what is in the queue.
        places: Positions of the images in the Dataset, in order, (N,).
        notes: Notes on some of the images, by position.
        suggested: The class that a classifier would choose and its probability, for some of the images, by position.
    """

    name: str
    title: str
    about: str
    places: NDArray[np.int64]
    notes: dict[int, str]
    suggested: dict[int, tuple[str, float]] = field(default_factory=dict)

    def about_image(self, place: int) -> dict[str, Any]:
        """Return why an image is in the queue, as plain JSON values."""
        suggested, prob = self.suggested.get(place, ("", 0.0))
        return {"note": visible(self.notes.get(place, "")), "suggested": visible(suggested), "prob": prob}


def queues_of(
    dataset: Dataset,
    labels: Sequence[str],
    hidden: Collection[int],
    predictions: Predictions | None = None,
    label_issues: Sequence[LabelIssue] = (),
) -> tuple[Queue, ...]:
    """Return the queues of a Dataset.

    Args:
        dataset: Result of `clean`, or the dataset of a run.
        labels: The original class of each record, or "" if it has none.
        hidden: Positions of test images, which are in no queue.
        predictions: Out-of-fold predictions, or None if nothing has been trained.
        label_issues: Result of `find_label_issues`.
    """
    queues = []
    if predictions is not None:
        queues.append(_issues(dataset, label_issues))
        queues.append(_doubtful(predictions))
    queues.append(_conflicts(dataset))
    queues += _classes(dataset, labels)
    return tuple(replace(queue, places=_without(queue.places, hidden)) for queue in queues)


def next_queue(notes: dict[int, str]) -> Queue:
    """Return the queue of unlabelled images.

    Args:
        notes: Why to label each image, by position, in the order in which to label them.
    """
    about = "Unlabelled images, starting with those that would teach the classifier most."
    return Queue("next", "To label next", about, np.array(list(notes), np.int64), notes)


def conflicts_of(dataset: Dataset) -> dict[int, list[int]]:
    """Return, for each image with copies in several classes, the positions of it and of all its copies."""
    groups: dict[int, list[int]] = {}
    for place, record in enumerate(dataset.records):
        if record.group is not None and any(problem.code == "conflicting_labels" for problem in record.problems):
            groups.setdefault(record.group, []).append(place)
    return {place: groups[group] for group in sorted(groups) for place in groups[group]}


def of_the_test(dataset: Dataset) -> set[int]:
    """Return the positions of test images and their copies."""
    sides = sides_of(dataset.records)
    return {place for place, record in enumerate(dataset.records) if sides.get(record.sha256) == "test"}


def _without(places: NDArray[np.int64], hidden: Collection[int]) -> NDArray[np.int64]:
    return np.array([place for place in places.tolist() if place not in hidden], np.int64)


def _issues(dataset: Dataset, label_issues: Sequence[LabelIssue]) -> Queue:
    suggested = {issue.index: (issue.suggested, issue.prob_suggested) for issue in label_issues}
    return Queue(
        "issues",
        "Labels to check",
        "Images that look like another class, the most suspicious first.",
        np.array(list(suggested), np.int64),
        {},
        suggested,
    )


def doubtful_rows(predictions: Predictions) -> NDArray[np.int64]:
    """Return the rows of wrong or unsure predictions, worst first."""
    margins = label_margins(predictions.labels, predictions.probs)
    rows = np.argsort(margins, kind="stable")
    return rows[margins[rows] < _UNSURE]


def _doubtful(predictions: Predictions) -> Queue:
    rows = doubtful_rows(predictions)
    return Queue(
        "doubtful",
        "Wrong or unsure",
        "Images that a classifier got wrong or was unsure about without having seen them in training, worst first.",
        predictions.indexes[rows],
        {},
        dict(zip(predictions.indexes[rows].tolist(), _answers(predictions, rows), strict=True)),
    )


def _answers(predictions: Predictions, rows: NDArray[np.int64]) -> Iterator[tuple[str, float]]:
    for probs in predictions.probs[rows]:
        best = int(probs.argmax())
        yield predictions.class_names[best], float(probs[best])


def _conflicts(dataset: Dataset) -> Queue:
    places = list(conflicts_of(dataset))
    return Queue(
        "conflicts",
        "Copies in several classes",
        "The same image in more than one class. None of the copies is used. Your decision on one applies to all.",
        np.array(places, np.int64),
        {place: dataset.records[place].problems[-1].detail for place in places},
    )


def _classes(dataset: Dataset, labels: Sequence[str]) -> Iterator[Queue]:
    by_name: dict[str, list[int]] = {name: [] for name in dataset.class_names}
    for place, (record, label) in enumerate(zip(dataset.records, labels, strict=True)):
        if record.phash and label:
            by_name[label].append(place)
    for number, (name, places) in enumerate(by_name.items()):
        yield Queue(
            f"class-{number}",
            name,
            "All images in this class, decided or not, except those of the test split.",
            np.array(places, np.int64),
            {},
        )
