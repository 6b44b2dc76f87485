"""The results: Predictions, Evaluation, Scores and Finding, and what they look like as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import ClassScores, Score
from mien.schema import built
from mien.scoring.calibration import Calibration, Coverage
from mien.scoring.learning_curve import LearningCurve
from mien.scoring.stress import Stressed

# Who predicted: the classifier itself, on the test split; or those of its cross-validation, on all other images.
Source = Literal["test", "out_of_fold"]


@dataclass(frozen=True)
class Predictions:
    """The probabilities given for labelled images.

    Attributes:
        indexes: Places of the images in the Dataset, (N,).
        labels: Places of their true classes in `class_names`, (N,).
        probs: float32 (N, C).
        out_of_distribution: Which are unlike those of the training, (N,); None where that was not asked.
        num_folds: Of the cross-validation that gave them; 0 where one classifier gave all.
        groups: A number for each image, (N,), which those of one group share; None where no groups are known.
        class_names: The order of the columns of `probs`.
    """

    indexes: NDArray[np.int64]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    out_of_distribution: NDArray[np.bool_] | None = None
    num_folds: int = 0
    groups: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = field(kw_only=True)

    def mistakes(self) -> NDArray[np.int64]:
        """Return the rows of the images that were taken for another class, those first where it was surest."""
        rows = np.flatnonzero(self.probs.argmax(axis=1) != self.labels)
        return rows[np.argsort(-self.probs[rows].max(axis=1), kind="stable")]


@dataclass(frozen=True)
class Evaluation:
    """What a classifier scores on labelled images that it was not trained on.

    Attributes:
        class_names: The order of rows and columns.
        confusion: Number of images, by true class (row) and answer (column).
        accuracy: Share answered right.
        baseline: Share answered right by always saying `baseline_label`.
        baseline_label: The largest class of these images; among equals that of the training images.
        loss: Mean cross-entropy, in nats.
        classes: Scores of every class.
        calibration: Whether the probabilities mean what they say.
        coverage: How much is answered, and how much of that is right, by the least probability for an answer.
        out_of_distribution: Share of images unlike those of the training; None where that was not asked.
        num_folds: Of the cross-validation that gave the answers; 0 where one classifier gave all.
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

    @property
    def num_right(self) -> int:
        """Number of images answered right."""
        return sum(row[place] for place, row in enumerate(self.confusion))

    def weakest(self, most: int) -> tuple[ClassScores, ...]:
        """Return the scores of the classes with the lowest F1, the lowest first.

        Args:
            most: How many classes at most.
        """
        return tuple(sorted(self.classes, key=lambda scores: scores.f1.value or 0)[:most])

    def most_confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return which class was taken for which other, and in how many images; the most frequent first.

        Args:
            most: How many pairs at most.
        """
        counts = np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
        names = self.class_names
        return [(names[row], names[column], int(counts[row, column])) for row, column in pairs if counts[row, column]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def evaluation_from_dict(document: Any) -> Evaluation:
    """Read what `Evaluation.to_dict` gave, as it comes back from JSON.

    Raises:
        ValueError: It is something else.
    """
    evaluation = built(Evaluation, document)
    names = evaluation.class_names
    if len(names) < 2 or tuple(scores.label for scores in evaluation.classes) != names:
        raise ValueError(f"the classes are {names}, and the scores of others")
    if [len(row) for row in evaluation.confusion] != [len(names)] * len(names):
        raise ValueError(f"the confusion matrix of {len(names)} classes has another size")
    classes = [score for c in evaluation.classes for score in (c.precision, c.recall, c.f1)]
    coverage = [score for row in evaluation.coverage for score in (row.answered, row.accuracy)]
    bins = [item.accuracy for item in evaluation.calibration.bins]
    for score in (evaluation.accuracy, evaluation.baseline, evaluation.calibration.error, *classes, *coverage, *bins):
        if not 0 <= score.low <= score.high <= 1 or not 0 <= (score.value or 0) <= 1 or score.num_images < 0:
            raise ValueError(f"a score is {score}")
    if not bins or not evaluation.coverage or None in [score.value for score in (evaluation.accuracy, *bins)]:
        raise ValueError("a score that must be there is missing")
    return evaluation


@dataclass(frozen=True)
class Scores:
    """What a classifier scores on images that it had not seen.

    Attributes:
        test: Of the classifier itself, on the test split or on another folder.
        out_of_fold: By cross-validation on all other images, where there was one: of classifiers made in the same way.
        stressed: On changed images: of the cross-validation or, where that tried none, of the test.
        learning_curve: By cross-validation after learning from fewer images, and what more would bring; None where that
            was not tried.
    """

    test: Evaluation
    out_of_fold: Evaluation | None = None
    stressed: tuple[Stressed, ...] = ()
    learning_curve: LearningCurve | None = None

    @property
    def judged(self) -> Evaluation:
        """The scores to judge by, which rest on most images; by cross-validation where there was one, else the test."""
        return self.out_of_fold or self.test

    @property
    def by_source(self) -> dict[Source, Evaluation]:
        """The scores by where they come from; those to judge by come first."""
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
    """Read what `Scores.to_dict` gave, as it comes back from JSON; what stands beside it is passed over.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(document, dict) or not document.get("test"):
        raise ValueError("there are no scores of the test")
    out_of_fold, curve = document.get("out_of_fold"), document.get("learning_curve")
    return Scores(
        evaluation_from_dict(document["test"]),
        evaluation_from_dict(out_of_fold) if out_of_fold else None,
        tuple(built(Stressed, stressed) for stressed in document.get("stressed", [])),
        built(LearningCurve, curve) if curve else None,
    )


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict, and what to do next.

    Attributes:
        kind: "subjects", "underfitting", "overfitting", "stopped_in_time", "too_little_data", "weak", "fine",
            "one_class", "miscalibrated", "out_of_distribution", "mended", "changed", "more_images", "enough_images",
            "short_curve", "threshold", "threshold_tried" or "out_of_reach".
    """

    kind: str
    text: str
    advice: str
