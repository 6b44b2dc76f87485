"""The learning curve: accuracy with fewer training images, and the gain expected from twice as many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import Z_95, Score, fold_inflation, wilson_score

# Below this share, a curve is steeper than it will ever be again, which says nothing about what comes next.
_LEAST_SHARE = 0.4
# With fewer images than this at that share, the result depends mostly on which ones were drawn.
_FEWEST = 30
# The next doubling brings this share of what the last one brought, plus or minus as much: benchmarks/enough.py.
_NEXT = 0.6
# Even if no prediction changed, chance plays a part: two images are added, one changed each way.
_NUM_ADDED = 2


@dataclass(frozen=True)
class AnswersByShare:
    """Which images are classified correctly after training on parts of the others.

    Attributes:
        shares: Shares of the training images of each fold, S of them, from the smallest to 1.
        num_trained: Number of training images for each share, averaged over the folds.
        right: Which images were classified correctly, (S, N).
        labels: True class numbers, (N,).
        groups: Group number of each image, (N,); no group is ever divided.
    """

    shares: tuple[float, ...]
    num_trained: tuple[int, ...]
    right: NDArray[np.bool_]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy after training on a part of the images.

    Attributes:
        share: Share of the training images of each fold.
        num_trained: Number of training images, averaged over the folds.
        accuracy: Accuracy on the held-out images, which are the same at each point.
    """

    share: float
    num_trained: int
    accuracy: Score


@dataclass(frozen=True)
class LearningCurve:
    """How the accuracy grows with the number of images.

    Attributes:
        points: From the smallest share to all images.
        gain: What twice as many images like these would add to the accuracy; `low` and `high` are between -1 and 1.
        is_rising: Whether the accuracy rises with the number of images, beyond chance.
        is_long_enough: Whether the smaller parts have enough images to draw conclusions.
        gains_most: The class that gains more than the others, beyond chance; "" for none.
    """

    points: tuple[CurvePoint, ...]
    gain: Score
    is_rising: bool
    is_long_enough: bool
    gains_most: str = ""

    def __post_init__(self) -> None:
        if len(self.points) < 2 or min(point.num_trained for point in self.points) < 1:
            raise ValueError(f"not a learning curve: {self.points}")


def measure_learning_curve(
    answers: AnswersByShare, *, class_names: Sequence[str], num_folds: int, by_groups: bool = False
) -> LearningCurve:
    """Return the learning curve of a cross-validation, and the gain expected from twice as many images.

    The gain from a doubling so far is the slope of the accuracy over the logarithm of the number of images, by least
    squares from 40% of them on. By a power law the next doubling brings less: 0.6 times as much, plus or minus 0.6
    times as much. The interval combines this with the sampling error of the slope and of the next doubling, counting
    images by group and with the effective sample size of the folds.

    Args:
        answers: Results for all images of the folds.
        class_names: Their classes.
        num_folds: Number of folds.
        by_groups: Whether the scores count groups; the slope always does.

    Source:
        J. Hestness et al., Deep learning scaling is predictable, empirically, 2017 (power law); A. Agresti, Y. Min,
        Simple improved confidence intervals for comparing matched proportions, Statistics in Medicine 24, 2005 (added
        images); C. Nadeau, Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003 (folds).
    """
    num_images, groups = len(answers.labels), answers.groups if by_groups else None
    accuracies = [
        wilson_score(int(right.sum()), num_images, num_folds=num_folds, groups=groups) for right in answers.right
    ]
    slope, half = _slope(answers, num_folds)
    last, rise = accuracies[-1], max(slope, 0.0)
    # The slope and the next doubling both have a sampling error, and the curve may flatten or stay straight.
    room = _NEXT * math.hypot(half, half, rise)
    share_right = last.value or 0.0
    gain = Score(
        value=min(_NEXT * rise, 1 - share_right),
        low=max(_NEXT * rise - room, -share_right),
        # Even 100% on a sample does not mean that nothing is left to gain.
        high=min(_NEXT * rise + room, 1 - last.low),
        num_images=num_images,
        method=f"{_NEXT} ± {_NEXT} times the slope by doubling, {num_folds} folds",
        num_groups=last.num_groups,
    )
    points = tuple(map(CurvePoint, answers.shares, answers.num_trained, accuracies))
    fewest = min(point.num_trained for point in points if point.share >= _LEAST_SHARE)
    return LearningCurve(
        points,
        gain,
        is_rising=slope > half,
        is_long_enough=fewest >= _FEWEST,
        gains_most=_gains_most(answers, class_names, num_folds),
    )


def _contrast(shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the factors, (S,), that turn accuracies into their least-squares slope per doubling."""
    doublings = np.log2(shares)
    is_late = np.array(shares) >= _LEAST_SHARE
    apart = np.where(is_late, doublings - doublings[is_late].mean(), 0.0)
    contrast: NDArray[np.float64] = apart / (apart**2).sum()
    return contrast


def _slope(
    answers: AnswersByShare, num_folds: int, among: NDArray[np.bool_] | slice = slice(None)
) -> tuple[float, float]:
    """Return the rise of the accuracy per doubling, and half the width of its 95% interval."""
    contrast = _contrast(answers.shares)
    slopes = contrast @ answers.right[:, among]
    mean = float(slopes.mean())
    by_group = np.bincount(np.unique(answers.groups[among], return_inverse=True)[1], slopes - mean)
    squares = float((by_group**2).sum()) + _NUM_ADDED * float(np.abs(contrast).max()) ** 2
    return mean, Z_95 * math.sqrt(fold_inflation(num_folds) * squares) / (len(slopes) + _NUM_ADDED)


def _gains_most(answers: AnswersByShare, class_names: Sequence[str], num_folds: int) -> str:
    """Return the class whose accuracy gains most, if it clearly gains more than the others together; otherwise ""."""
    places = np.unique(answers.labels).tolist()
    if len(places) < 2:
        return ""
    found = {place: _slope(answers, num_folds, answers.labels == place) for place in places}
    best = max(places, key=lambda place: found[place][0] - found[place][1])
    (own, own_half), (others, others_half) = found[best], _slope(answers, num_folds, answers.labels != best)
    return class_names[best] if own - others > math.hypot(own_half, others_half) else ""
