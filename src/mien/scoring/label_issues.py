"""Label issues: images whose label is probably wrong, found by confident learning. They are listed, never removed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import wilson_score
from mien.core.text import as_percent
from mien.data.dataset import Dataset, Problem
from mien.scoring.results import Predictions

# Implemented here in some 50 lines because cleanlab is under the AGPL.
_LIKELY = 0.5


@dataclass(frozen=True)
class LabelIssue:
    """An image whose label is probably wrong.

    Attributes:
        index: Its place in the Dataset.
        label: Its label.
        suggested: The class that it looks like.
        prob_label: Probability of its label, from a classifier not trained on it.
        prob_suggested: Probability of the suggested class.
    """

    index: int
    label: str
    suggested: str
    prob_label: float
    prob_suggested: float

    def to_dict(self, dataset: Dataset) -> dict[str, Any]:
        """Return plain JSON values, with the path instead of the index."""
        found = asdict(self)
        del found["index"]
        return {"path": dataset.records[self.index].path, **found}


def find_label_issues(dataset: Dataset, predictions: Predictions) -> tuple[LabelIssue, ...]:
    """Return the images whose label is probably wrong, the worst first.

    There are none if the predictions are no better than always guessing the largest class. An image is listed only if
    the suggested class is more likely than all others together.

    Args:
        dataset: The Dataset that holds the images.
        predictions: Predictions by classifiers that were not trained on the image in question.
    """
    names, probs = dataset.class_names, predictions.probs
    num_right = int((probs.argmax(axis=1) == predictions.labels).sum())
    if wilson_score(num_right, len(probs)).low <= np.bincount(predictions.labels).max() / len(probs):
        return ()
    label_issues = []
    others = _suggested(predictions.labels, probs)
    for row in label_issue_rows(predictions.labels, probs).tolist():
        label, suggested = int(predictions.labels[row]), int(others[row])
        given, other = float(probs[row, label]), float(probs[row, suggested])
        if other <= _LIKELY:
            continue
        label_issues.append(LabelIssue(int(predictions.indexes[row]), names[label], names[suggested], given, other))
    return tuple(label_issues)


def label_issue_rows(labels: NDArray[np.int64], probs: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rows whose labels are probably wrong, the worst first.

    How many images of each class really show another class is estimated from the confident predictions: those at least
    as probable as the class is on average for images with that label. That many images are taken, by margin.

    Args:
        labels: Class numbers, (N,).
        probs: Out-of-fold probabilities, (N, C).

    Source:
        C. G. Northcutt, L. Jiang, I. L. Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70,
        2021 (the confident joint; pruning by noise rate).

    Example:
        >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
        >>> label_issue_rows(np.array([0, 0, 0, 1, 1]), probs)
        array([2])
    """
    chosen = np.zeros(len(labels), bool)
    joint = confident_joint(labels, probs)
    for label, other in zip(*np.nonzero(joint), strict=True):
        rows = np.flatnonzero(labels == label)
        if label != other:
            margins = probs[rows, other] - probs[rows, label]
            most = np.argsort(-margins, kind="stable")[: round(joint[label, other])]
            # If the label is the more likely of the two, the estimate was too high.
            chosen[rows[most[margins[most] > 0]]] = True
    margins = label_margins(labels, probs)
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(margins[rows], kind="stable")]


def label_margins(labels: NDArray[np.int64], probs: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the probability of each label minus that of the most likely other class, (N,); lower is more doubtful."""
    rows = np.arange(len(labels))
    margins: NDArray[np.floating] = probs[rows, labels] - probs[rows, _suggested(labels, probs)]
    return margins


def confident_joint(labels: NDArray[np.int64], probs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how many images labelled as each class (rows) probably show each class (columns), (C, C).

    Each row sums to the number of images with that label.
    """
    num_classes = probs.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    # A class without images has no average probability, so no prediction of it counts as confident.
    usual = [probs[labels == c, c].mean() if counts[c] else np.inf for c in range(num_classes)]
    confident = np.where(probs >= usual, probs, -1)
    sure = np.flatnonzero(confident.max(axis=1) >= 0)
    joint = np.zeros((num_classes, num_classes))
    np.add.at(joint, (labels[sure], confident[sure].argmax(axis=1)), 1)
    joint *= (counts / np.maximum(joint.sum(axis=1), 1))[:, None]
    return joint


def _suggested(labels: NDArray[np.int64], probs: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the most likely class other than the label, (N,)."""
    others = np.array(probs, np.float64)
    others[np.arange(len(labels)), labels] = -1
    found: NDArray[np.intp] = others.argmax(axis=1)
    return found


def mark_label_issues(dataset: Dataset, label_issues: Sequence[LabelIssue]) -> Dataset:
    """Return the Dataset with the problem `label_issue` added to these images, which stay in use."""
    records = list(dataset.records)
    for issue in label_issues:
        record = records[issue.index]
        problem = Problem("label_issue", f"looks like {issue.suggested} ({as_percent(issue.prob_suggested)})")
        records[issue.index] = replace(record, problems=(*record.problems, problem))
    return dataset.with_records(records)
