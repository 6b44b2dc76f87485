"""Scores: proportions of images, each with its 95% interval and the method behind it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.text import counted

# The quantile of the normal distribution with 2.5% above it, for two-sided 95% intervals.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Score:
    """A proportion of images, with its 95% interval.

    Attributes:
        value: Between 0 and 1, or None if there was nothing to count.
        low: Lower end of the interval.
        high: Upper end of the interval.
        num_images: Number of images that the proportion is based on.
        method: How the interval was computed.
        num_groups: Number of groups of these images, if groups are known. The interval is then based on groups.
    """

    value: float | None
    low: float
    high: float
    num_images: int
    method: str = "Wilson"
    num_groups: int | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        return f"{self.value:.0%} (95% interval {self.low:.0%} to {self.high:.0%}, {self.basis})"

    @property
    def basis(self) -> str:
        """The sample size: "n = 320", or "320 images of 40 groups"."""
        if self.num_groups is None:
            return f"n = {self.num_images}"
        return f"{counted(self.num_images, 'image')} of {counted(self.num_groups, 'group')}"


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class; `num_images` of the recall is the number of its images."""

    label: str
    precision: Score
    recall: Score
    f1: Score


def wilson_score(
    num_right: int, num_images: int, *, num_folds: int = 0, groups: NDArray[np.int64] | None = None
) -> Score:
    """Return a proportion with its 95% Wilson interval.

    Args:
        num_right: Number of images that count.
        num_images: Total number of images.
        num_folds: Number of cross-validation folds, or 0 if one classifier judged all images. The classifiers of
            different folds share most of their training images, so their answers carry less information than
            independent ones: the interval is the one for num_images / (1 + K / (K - 1)) images.
        groups: A number for each image, (num_images,), equal within a group. The interval is the one for as many images
            as there are groups, or for fewer if group sizes differ widely.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927; C. Nadeau,
        Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003 (folds); L. Kish, Survey Sampling,
        1965 (groups: their effective number if all images of a group get the same answer).

    Example:
        >>> print(wilson_score(27, 30))
        90% (95% interval 74% to 97%, n = 30)
        >>> print(wilson_score(27, 30, num_folds=5))
        90% (95% interval 64% to 98%, n = 30)
    """
    inflation = fold_inflation(num_folds)
    method = f"Wilson, for n / {inflation:.4g} (Nadeau and Bengio, {num_folds} folds)" if num_folds else "Wilson"
    num_groups = None
    if groups is not None:
        sizes = np.unique(groups, return_counts=True)[1]
        num_groups = len(sizes)
        inflation *= float((sizes**2).sum()) / max(num_images, 1)
        method = method.replace("for n", "for groups") if num_folds else "Wilson, for groups"
    if not num_images:
        return Score(None, 0.0, 1.0, 0, method, num_groups)
    share, weight = num_right / num_images, Z_95**2 * inflation / num_images
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Score(share, max(0.0, middle - half), min(1.0, middle + half), num_images, method, num_groups)


def fold_inflation(num_folds: int) -> float:
    """Return how many times as many images K folds need to match independent answers: 1 + K / (K - 1).

    Source:
        C. Nadeau, Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003.
    """
    return 1 + num_folds / (num_folds - 1) if num_folds else 1.0


def f1_score(
    num_right: int, num_false: int, num_missed: int, *, num_folds: int = 0, groups: NDArray[np.int64] | None = None
) -> Score:
    """Return the F1 of one class with its 95% interval.

    F1 is 2J / (1 + J), where J is the share of correct answers among all images that belong to the class or were
    predicted as it. J is a proportion of images, so it has a Wilson interval, whose ends are transformed to F1.
    """
    jaccard = wilson_score(num_right, num_right + num_false + num_missed, num_folds=num_folds, groups=groups)
    if jaccard.value is None:
        return jaccard
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Score(value, low, high, jaccard.num_images, jaccard.method, jaccard.num_groups)


def class_scores(
    class_names: Sequence[str],
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    *,
    num_folds: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> tuple[ClassScores, ...]:
    """Return precision, recall and F1 of every class.

    Args:
        class_names: C names.
        labels: True class numbers, (N,).
        answers: Predicted class numbers, (N,).
        num_folds: Number of cross-validation folds, if any.
        groups: A number for each image, (N,), equal within a group.
    """
    scores = []
    for number, label in enumerate(class_names):
        called, present = answers == number, labels == number
        right = int((called & present).sum())
        num_called, num_present = int(called.sum()), int(present.sum())
        of_called, of_present, of_either = (
            None if groups is None else groups[mask] for mask in (called, present, called | present)
        )
        scores.append(
            ClassScores(
                label,
                precision=wilson_score(right, num_called, num_folds=num_folds, groups=of_called),
                recall=wilson_score(right, num_present, num_folds=num_folds, groups=of_present),
                f1=f1_score(right, num_called - right, num_present - right, num_folds=num_folds, groups=of_either),
            )
        )
    return tuple(scores)
