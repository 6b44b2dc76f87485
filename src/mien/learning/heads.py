"""The linear head: features -> probabilities, by logistic regression whose strength cross-validation chooses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import threads_for
from mien.core.probabilities import best_temperature, cross_entropy, softmax

# Inverse strengths of the penalty, for features with mean 0 and variance 1; the largest penalty first.
_STRENGTHS = tuple(float(c) for c in np.logspace(-4.5, 0, 10))
_NUM_FOLDS = 5
_MAX_STEPS = 1000
# A fit is done when a step changes no logit by more than this.
_STILL = 1e-4


@dataclass(frozen=True)
class Head:
    """A linear layer and a softmax.

    Attributes:
        weights: float32 (D, C).
        bias: float32 (C,).
        strength: Inverse of the penalty on the weights, as scikit-learn counts it ("C") for more than two classes.
        temperature: What the layer was divided by, so that the probabilities are neither too sure nor too unsure.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    temperature: float

    def probs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of every class, float32 (N, C), from features (N, D)."""
        return softmax(features @ self.weights + self.bias).astype(np.float32)


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    groups: Sequence[int] | None = None,
    num_classes: int,
    balanced: bool = False,
    seed: int = 0,
) -> Head:
    """Fit a regularised logistic regression, choose its strength by cross-validation, and calibrate it.

    Strength and temperature are those with the lowest cross-entropy on images that were left out of the fit.

    Args:
        features: float32 (N, D).
        labels: Class numbers, (N,); every class is there.
        groups: A number for each image, (N,): images with the same number are never divided. By default each
            image is alone.
        num_classes: C.
        balanced: Weigh the classes so that each counts the same.
        seed: Decides the folds.

    Source:
        C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature).
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A feature that never moved says nothing; where it moves later on, that must not count for much.
    scale = np.maximum(scale, 1e-3 * max(float(scale.max()), 1e-6))
    weights = _image_weights(labels, num_classes, balanced=balanced)
    with threads_for(len(features)):
        rows, back = _rotated((features - mean) / scale)
        strength, temperature = _chosen(rows, labels, weights, _groups(groups, labels), num_classes, seed)
        slopes, bias = next(_fits(rows, labels, weights, num_classes, (strength,)))
    slopes = back @ slopes / scale[:, None] / temperature
    bias = bias / temperature - mean @ slopes
    return Head(slopes.astype(np.float32), bias.astype(np.float32), strength, temperature)


def _rotated(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same rows in as few dimensions as they span, and the way back, (D, R).

    A penalty on the length of the weights does not see a rotation, so the fit is the same, and much faster where
    there are fewer images than features.
    """
    if len(rows) >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    # By the products of the rows with one another: a small matrix, unlike the one that a SVD would take apart.
    squares, left = np.linalg.eigh(rows @ rows.T)
    kept = squares > 1e-10 * squares[-1]
    lengths = np.sqrt(squares[kept])
    return left[:, kept] * lengths, rows.T @ (left[:, kept] / lengths)


def _image_weights(labels: NDArray[np.int64], num_classes: int, *, balanced: bool) -> NDArray[np.float64]:
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * counts))[labels] if balanced else np.ones(len(labels))


def _groups(groups: Sequence[int] | None, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.arange(len(labels)) if groups is None else np.asarray(groups, np.int64)


def _chosen(
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
    num_classes: int,
    seed: int,
) -> tuple[float, float]:
    """Return the strength and the temperature that do best on images left out."""
    num_units = min(len(np.unique(groups[labels == number])) for number in range(num_classes))
    if num_units < 2:
        return _STRENGTHS[len(_STRENGTHS) // 2], 1.0
    folds = _folds(labels, groups, min(_NUM_FOLDS, num_units), seed)
    parts = [(folds != number, folds == number) for number in range(folds.max() + 1)]
    paths = [_fits(rows[seen], labels[seen], weights[seen], num_classes, _STRENGTHS) for seen, _ in parts]
    logits, losses = [], []
    for fits in zip(*paths, strict=True):
        given = np.zeros((len(labels), num_classes))
        for (_, unseen), (slopes, bias) in zip(parts, fits, strict=True):
            given[unseen] = rows[unseen] @ slopes + bias
        logits.append(given)
        losses.append(cross_entropy(softmax(given), labels))
        if len(losses) > 2 and min(losses) < min(losses[-2:]):
            # Weaker penalties only get worse from here, and take longest.
            break
    best = int(np.argmin(losses))
    return _STRENGTHS[best], best_temperature(logits[best], labels)


def _folds(labels: NDArray[np.int64], groups: NDArray[np.int64], num_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the number of the fold of each image, (N,): each class is shared out evenly, and no group divided."""
    rng = np.random.default_rng(seed)
    sizes = np.zeros((labels.max() + 1, num_folds))
    folds = np.zeros(len(labels), np.int64)
    names, firsts, counts = np.unique(groups, return_index=True, return_counts=True)
    # The large groups first: the small ones fill up what they leave.
    for place in sorted(rng.permutation(len(names)), key=lambda place: -counts[place]):
        label = labels[firsts[place]]
        fold = int(np.argmin(sizes[label] + 1e-9 * sizes.sum(axis=0)))
        sizes[label, fold] += counts[place]
        folds[groups == names[place]] = fold
    return folds


def _fits(
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    num_classes: int,
    strengths: Sequence[float],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield slopes (R, C) and bias (C,) for each strength; each fit begins where the one before ended.

    The sum of the weighted cross-entropies and of the squared slopes over twice the strength is as small as it gets.
    Steps are those of the quadratic that bounds the cross-entropy from above, with momentum: they need no line search.

    Source:
        D. Boehning, Multinomial logistic regression algorithm, Annals of the Institute of Statistical Mathematics 44,
        1992; B. O'Donoghue, E. Candes, Adaptive restart for accelerated gradient schemes, FoCM 15, 2015.
    """
    ones = np.ones((len(rows), 1))
    inputs = np.hstack([rows, ones])
    targets = np.eye(num_classes)[labels]
    bound = (inputs * weights[:, None]).T @ inputs / 2
    found = np.zeros((inputs.shape[1], num_classes))
    for strength in strengths:
        penalty = np.full((inputs.shape[1], 1), 1 / strength)
        # The bias is free.
        penalty[-1] = 1e-9
        steps = np.linalg.inv(bound + np.diag(penalty[:, 0]))
        found = _descended(found, steps, penalty, inputs, targets, weights)
        yield found[:-1], found[-1]


def _descended(
    start: NDArray[np.float64],
    steps: NDArray[np.float64],
    penalty: NDArray[np.float64],
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the coefficients (R + 1, C) at the foot of the slope."""
    found = ahead = start
    momentum = 1.0
    for _ in range(_MAX_STEPS):
        errors = (softmax(inputs @ ahead) - targets) * weights[:, None]
        gradient = inputs.T @ errors + penalty * ahead
        after = ahead - steps @ gradient
        moved = after - found
        if float((gradient * moved).sum()) > 0:
            # It has run past: start anew from here.
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / faster * moved
        found, momentum = after, faster
        if np.abs(inputs @ moved).max() < _STILL:
            break
    return found
