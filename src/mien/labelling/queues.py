"""Queues: which images of a Dataset to look at, in which order, and why."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.kept_splits import sides_of
from mien.scoring.label_issues import LabelIssue, label_margins
from mien.scoring.results import Predictions

# By less than this the label is ahead of the likeliest other class where the answer is unsure, or wrong.
_UNSURE = 0.5


@dataclass(frozen=True, eq=False)
class Queue:
    """Images to look at.

    Attributes:
        name: By which a page asks for it.
        title: For people; likewise `about`, which says in a sentence why these are in it.
        places: Of the images in the Dataset, in their order, (N,).
        notes: What is said of some of them, by place.
    """

    name: str
    title: str
    about: str
    places: NDArray[np.int64]
    notes: dict[int, str]


def queues_of(
    dataset: Dataset,
    labels: Sequence[str],
    hidden: Collection[int],
    predictions: Predictions | None = None,
    label_issues: Sequence[LabelIssue] = (),
) -> tuple[Queue, ...]:
    """Return the queues of a Dataset.

    Args:
        dataset: What `clean` returned, or what a run keeps.
        labels: The class of each record by its folder; "" where it has none.
        hidden: Places of images that are in no queue: those of the test, which judge what is learnt.
        predictions: Answers of classifiers that had not seen the image in question; None where nothing was trained.
        label_issues: What `find_label_issues` returned.
    """
    queues = []
    if predictions is not None:
        queues.append(_issues(dataset, label_issues))
        queues.append(_doubtful(predictions))
    queues.append(_conflicts(dataset))
    queues += _classes(dataset, labels)
    return tuple(replace(queue, places=_without(queue.places, hidden)) for queue in queues)


def next_queue(notes: dict[int, str]) -> Queue:
    """Return the queue of images without a label.

    Args:
        notes: Why each would teach the classifier something, by place; in the order in which to label them.
    """
    about = "Images without a label, those first that would teach the classifier most."
    return Queue("next", "To label next", about, np.array(list(notes), np.int64), notes)


def conflicts_of(dataset: Dataset) -> dict[int, list[int]]:
    """Return the places of copies that stand under several classes, with its own, by the place of each."""
    groups: dict[int, list[int]] = {}
    for place, record in enumerate(dataset.records):
        if record.group is not None and any(problem.code == "conflicting_labels" for problem in record.problems):
            groups.setdefault(record.group, []).append(place)
    return {place: groups[group] for group in sorted(groups) for place in groups[group]}


def of_the_test(dataset: Dataset) -> set[int]:
    """Return the places of images of the test split, and of copies of them."""
    sides = sides_of(dataset.records)
    return {place for place, record in enumerate(dataset.records) if sides.get(record.sha256) == "test"}


def _without(places: NDArray[np.int64], hidden: Collection[int]) -> NDArray[np.int64]:
    return np.array([place for place in places.tolist() if place not in hidden], np.int64)


def _issues(dataset: Dataset, label_issues: Sequence[LabelIssue]) -> Queue:
    notes = {issue.index: f"looks like {issue.suggested} ({issue.prob_suggested:.0%})" for issue in label_issues}
    return Queue(
        "issues",
        "Labels to check",
        "Images that look like another class than the one they are in; the most doubtful come first.",
        np.array(list(notes), np.int64),
        notes,
    )


def doubtful_rows(predictions: Predictions) -> NDArray[np.int64]:
    """Return the rows of answers that are wrong or unsure, the worst first."""
    margins = label_margins(predictions.labels, predictions.probs)
    rows = np.argsort(margins, kind="stable")
    return rows[margins[rows] < _UNSURE]


def _doubtful(predictions: Predictions) -> Queue:
    rows = doubtful_rows(predictions)
    return Queue(
        "doubtful",
        "Wrong or unsure",
        "Images that a classifier which had not seen them got wrong, or was unsure of; the worst come first.",
        predictions.indexes[rows],
        dict(zip(predictions.indexes[rows].tolist(), _answers(predictions, rows), strict=True)),
    )


def _answers(predictions: Predictions, rows: NDArray[np.int64]) -> Iterator[str]:
    for row in rows.tolist():
        probs = predictions.probs[row]
        best = int(probs.argmax())
        said = "taken for" if best != predictions.labels[row] else "unsure:"
        yield f"{said} {predictions.class_names[best]} ({probs[best]:.0%})"


def _conflicts(dataset: Dataset) -> Queue:
    places = list(conflicts_of(dataset))
    return Queue(
        "conflicts",
        "Copies in several classes",
        "The same image in more than one class: none of them is used. What you say of one holds for its copies, too.",
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
            "All images that lie in this class, whatever you decided, but those of the test.",
            np.array(places, np.int64),
            {},
        )
