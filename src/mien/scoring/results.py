"""The results: Predictions, Evaluation, Scores and Finding, and their JSON form."""

import math
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import ClassScores, Score
from mien.schema import built
from mien.scoring.calibration import Calibration, Coverage
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.stress import Stressed

# Who predicted: the classifier itself on the test split, or the classifiers of its cross-validation on the rest.
Source = Literal["test", "out_of_fold"]
# What the JSON form of an Evaluation says besides its fields. They follow from these.
_MEANS = ("balanced_accuracy", "macro_f1")


def percent(share: float | None) -> str:
    """Return a share as a percentage; only exact shares become 100% or 0%.

    Example:
        >>> percent(0.84), percent(0.9997), percent(1.0), percent(0.001)
        ('84%', '99.9%', '100%', '0.1%')
    """
    if share is None:
        return "–"
    if 0.995 <= share < 1:
        return f"{math.floor(1000 * share) / 10:.1f}%"
    return f"{math.ceil(1000 * share) / 10:.1f}%" if 0 < share < 0.005 else f"{share:.0%}"


@dataclass(frozen=True)
class Predictions:
    """Predicted probabilities for labelled images.

    Attributes:
        indexes: Indexes of the images in the Dataset, (N,).
        labels: True class numbers: indexes in `class_names`, (N,).
        probs: float32 (N, C).
        out_of_distribution: Which images are unlike the training images, (N,); None if not checked.
        num_folds: Folds of the cross-validation; 0 if a single classifier made all predictions.
        groups: Group number of each image, (N,); None if no groups are known.
        class_names: The classes, in the order of the columns of `probs`.
    """

    indexes: NDArray[np.int64]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    out_of_distribution: NDArray[np.bool_] | None = None
    num_folds: int = 0
    groups: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = field(kw_only=True)

    def mistakes(self) -> NDArray[np.int64]:
        """Return the rows of the wrong predictions, the most confident first."""
        rows = np.flatnonzero(self.probs.argmax(axis=1) != self.labels)
        return rows[np.argsort(-self.probs[rows].max(axis=1), kind="stable")]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a classifier on labelled images that it was not trained on.

    Attributes:
        class_names: The classes, in the order of rows and columns.
        confusion: Number of images, by true class (row) and predicted class (column).
        accuracy: Share of correct predictions.
        baseline: Accuracy of always guessing `baseline_label`.
        baseline_label: The largest class of these images; in a tie, the largest class in training.
        loss: Mean cross-entropy, in nats.
        classes: Scores of every class.
        calibration: How well the probabilities match the accuracy.
        coverage: Share answered, and the accuracy of those answers, for each threshold.
        out_of_distribution: Share of images unlike the training images; None if not checked.
        num_folds: Folds of the cross-validation; 0 if a single classifier made all predictions.
        auc: Area under the ROC curve, each class against the rest, averaged over the classes that have images; None if
            there is only one.
    """

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    accuracy: Score
    baseline: Score
    baseline_label: str
    loss: float
    classes: tuple[ClassScores, ...]
    calibration: Calibration
    coverage: tuple[Coverage, ...]
    out_of_distribution: Score | None = None
    num_folds: int = 0
    auc: float | None = None

    def __repr__(self) -> str:
        return f"Evaluation({self.accuracy}, {len(self.class_names)} classes)"

    @property
    def num_right(self) -> int:
        """Number of correct predictions."""
        return sum(row[place] for place, row in enumerate(self.confusion))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have images, so that small classes count as much as large ones."""
        return fmean(scores.recall.value for scores in self.classes if scores.recall.value is not None)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have images or were predicted."""
        return fmean(scores.f1.value for scores in self.classes if scores.f1.value is not None)

    @property
    def calibration_text(self) -> str:
        """How confident it is, how often it is right, and the calibration error, in a few words."""
        sure, right = percent(self.calibration.confidence), percent(self.accuracy.value)
        return f"{sure} confident on average and {right} correct; calibration error {self.calibration.error_text}"

    def weakest(self, most: int) -> tuple[ClassScores, ...]:
        """Return the scores of the classes with the lowest F1, lowest first.

        Args:
            most: Maximum number of classes.
        """
        return tuple(sorted(self.classes, key=lambda scores: scores.f1.value or 0)[:most])

    def most_confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return pairs of true and predicted class with the number of such mistakes, the most frequent first.

        Args:
            most: Maximum number of pairs.
        """
        counts = np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
        names = self.class_names
        return [(names[row], names[column], int(counts[row, column])) for row, column in pairs if counts[row, column]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), **{name: getattr(self, name) for name in _MEANS}}


def evaluation_from_dict(document: Any) -> Evaluation:
    """Read back what `Evaluation.to_dict` returned, after a round trip through JSON.

    Raises:
        ValueError: The document is not a valid evaluation.
    """
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in _MEANS}
    evaluation = built(Evaluation, document)
    names = evaluation.class_names
    if len(names) < 2 or tuple(scores.label for scores in evaluation.classes) != names:
        raise ValueError(f"the scores do not belong to the classes {names}")
    if [len(row) for row in evaluation.confusion] != [len(names)] * len(names):
        raise ValueError(f"the confusion matrix does not have {len(names)} rows and columns")
    classes = [score for c in evaluation.classes for score in (c.precision, c.recall, c.f1)]
    coverage = [score for row in evaluation.coverage for score in (row.answered, row.accuracy)]
    bins = [item.accuracy for item in evaluation.calibration.bins]
    for score in (evaluation.accuracy, evaluation.baseline, evaluation.calibration.error, *classes, *coverage, *bins):
        if not 0 <= score.low <= score.high <= 1 or not 0 <= (score.value or 0) <= 1 or score.num_images < 0:
            raise ValueError(f"impossible score: {score}")
    if not 0 <= (evaluation.auc or 0) <= 1:
        raise ValueError(f"impossible AUC: {evaluation.auc}")
    if not bins or not evaluation.coverage or None in [score.value for score in (evaluation.accuracy, *bins)]:
        raise ValueError("a required score is missing")
    return evaluation


@dataclass(frozen=True)
class Scores:
    """The scores of a classifier on held-out images.

    Attributes:
        test: Scores of the classifier itself, on the test split or on another folder.
        out_of_fold: Scores of classifiers trained in the same way, in cross-validation on all other images, if any.
        stressed: Scores on changed images, from the cross-validation if it tried any, otherwise from the test split.
        learning_curve: Accuracy with fewer training images, and the gain expected from more; None if not measured.
    """

    test: Evaluation
    out_of_fold: Evaluation | None = None
    stressed: tuple[Stressed, ...] = ()
    learning_curve: LearningCurve | None = None

    def __repr__(self) -> str:
        return f"Scores({', '.join(f'{source}: {evaluation}' for source, evaluation in self.by_source.items())})"

    @property
    def judged(self) -> Evaluation:
        """The scores to judge by, based on the most images: cross-validation if there is one, otherwise the test."""
        return self.out_of_fold or self.test

    @property
    def by_source(self) -> dict[Source, Evaluation]:
        """The scores by source; the ones to judge by come first."""
        found: dict[Source, Evaluation] = {"out_of_fold": self.out_of_fold} if self.out_of_fold else {}
        return {**found, "test": self.test}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        document: dict[str, Any] = {source: evaluation.to_dict() for source, evaluation in self.by_source.items()}
        document["stressed"] = [asdict(stressed) for stressed in self.stressed]
        if self.learning_curve:
            document["learning_curve"] = asdict(self.learning_curve)
        return document


def scores_from_dict(document: Any) -> Scores:
    """Read back what `Scores.to_dict` returned, after a round trip through JSON. Other keys are ignored.

    Raises:
        ValueError: The document does not hold valid scores.
    """
    if not isinstance(document, dict) or not document.get("test"):
        raise ValueError("the scores of the test split are missing")
    out_of_fold, curve = document.get("out_of_fold"), document.get("learning_curve")
    return Scores(
        evaluation_from_dict(document["test"]),
        evaluation_from_dict(out_of_fold) if out_of_fold else None,
        tuple(built(Stressed, stressed) for stressed in document.get("stressed", [])),
        built(LearningCurve, curve) if curve else None,
    )


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict, and what to do about it.

    Attributes:
        kind: "subjects", "underfitting", "overfitting", "stopped_in_time", "too_little_data", "no_better",
            "weak", "fine", "one_class", "missed_class", "miscalibrated", "out_of_distribution", "mended", "changed",
            "more_images", "enough_images", "short_curve", "threshold", "threshold_tried" or "out_of_reach".
    """

    kind: str
    text: str
    advice: str
