"""The results: Score, Evaluation, Finding and Prediction, and what they look like as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Score:
    """A share of pictures, with its 95% interval.

    Attributes:
        value: Between 0 and 1; None where there was nothing to count.
        low: Lower end of the interval; likewise `high`.
        num_images: How many pictures it is the share of.
    """

    value: float | None
    low: float
    high: float
    num_images: int

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        return f"{self.value:.0%} (95% interval {self.low:.0%} to {self.high:.0%}, n = {self.num_images})"


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told apart; `num_images` of the recall is the number of its pictures."""

    label: str
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True)
class Evaluation:
    """What a classifier scores on labelled pictures that it was not trained on.

    Attributes:
        class_names: The order of rows and columns.
        confusion: Number of pictures, by true class (row) and answer (column).
        accuracy: Share answered right.
        baseline: Share answered right by always saying `baseline_label`.
        baseline_label: The largest class of these pictures; among equals that of the training pictures.
        loss: Mean cross-entropy, in nats.
        classes: Scores of every class.
    """

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    accuracy: Score
    baseline: Score
    baseline_label: str
    loss: float
    classes: tuple[ClassScores, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def evaluation_from_dict(document: Mapping[str, Any]) -> Evaluation:
    """Read what `Evaluation.to_dict` gave, as it comes back from JSON.

    Raises:
        KeyError, TypeError: It is something else.
    """
    classes = [
        ClassScores(item["label"], *(Score(**item[name]) for name in ("precision", "recall", "f1")))
        for item in document["classes"]
    ]
    return Evaluation(
        class_names=tuple(document["class_names"]),
        confusion=tuple(map(tuple, document["confusion"])),
        accuracy=Score(**document["accuracy"]),
        baseline=Score(**document["baseline"]),
        baseline_label=document["baseline_label"],
        loss=document["loss"],
        classes=tuple(classes),
    )


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict, and what to do next.

    Attributes:
        kind: "underfitting", "overfitting", "too_little_data" or "fine".
    """

    kind: str
    text: str
    advice: str


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one picture.

    Attributes:
        source: The file, URL, or "-".
        label: A class name; None where `error` is set.
        probs: Probability of every class.
        error: Why there is no answer.
    """

    source: str
    label: str | None
    probs: dict[str, float]
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def wilson_score(num_right: int, num_images: int) -> Score:
    """Return a share with its 95% Wilson interval.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.

    Example:
        >>> print(wilson_score(27, 30))
        90% (95% interval 74% to 97%, n = 30)
    """
    if not num_images:
        return Score(None, 0.0, 1.0, 0)
    share, weight = num_right / num_images, _Z_95**2 / num_images
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Score(share, max(0.0, middle - half), min(1.0, middle + half), num_images)


def f1_score(num_right: int, num_false: int, num_missed: int) -> Score:
    """Return the F1 of one class with its 95% interval.

    F1 is 2J / (1 + J), where J is the share of right answers among all pictures that are of the class or were called
    it. J is a share of pictures, so it has a Wilson interval; its ends are carried over.
    """
    jaccard = wilson_score(num_right, num_right + num_false + num_missed)
    if jaccard.value is None:
        return jaccard
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Score(value, low, high, jaccard.num_images)


def class_scores(class_names: Sequence[str], confusion: NDArray[np.int64]) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of every class.

    Args:
        class_names: C names.
        confusion: Numbers of pictures, shape (C, C), by true class (row) and answer (column).
    """
    scores = []
    for number, label in enumerate(class_names):
        right = int(confusion[number, number])
        called, present = int(confusion[:, number].sum()), int(confusion[number].sum())
        scores.append(
            ClassScores(
                label,
                precision=wilson_score(right, called),
                recall=wilson_score(right, present),
                f1=f1_score(right, called - right, present - right),
            )
        )
    return tuple(scores)
