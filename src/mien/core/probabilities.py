"""Probabilities: softmax, cross-entropy, and temperature fitting."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Convert logits (N, C) to probabilities that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.floating] = powers / powers.sum(axis=1, keepdims=True)
    return probs


def cross_entropies(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.floating]:
    """Return the cross-entropy of each image, (N,), in nats, from probabilities (N, C) and true class numbers (N,)."""
    found: NDArray[np.floating] = -np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-7))
    return found


def cross_entropy(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy, in nats, of probabilities (N, C) for true class numbers (N,)."""
    return float(cross_entropies(probs, labels).mean())


def mean_auc(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> float | None:
    """Return the area under the ROC curve of each class against the rest, averaged over the classes that have images.

    For one class, it is the probability that an image of the class gets a higher probability for it than an image of
    another class does; ties count half. scikit-learn calls the mean `roc_auc_score(..., multi_class="ovr")`.

    Args:
        probs: Probabilities, (N, C).
        labels: True class numbers, (N,).

    Returns:
        Between 0 and 1, or None if the images are all of one class.

    Source:
        J. A. Hanley, B. J. McNeil, The meaning and use of the area under a receiver operating characteristic (ROC)
        curve, Radiology 143, 1982.
    """
    areas = []
    for number in np.unique(labels):
        is_inside = labels == number
        inside, outside = probs[is_inside, number], np.sort(probs[~is_inside, number])
        if len(outside):
            lower, not_higher = (np.searchsorted(outside, inside, side=side) for side in ("left", "right"))
            areas.append(float((lower + not_higher).mean()) / (2 * len(outside)))
    return sum(areas) / len(areas) if areas else None


def best_weights(parts: Sequence[NDArray[np.floating]], labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """Return weights from 0 to 4 that minimise the cross-entropy of a weighted sum of logits, and that cross-entropy.

    Args:
        parts: Logits, (N, C) each.
        labels: True class numbers, (N,).
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        probs = softmax(sum(weight * part for weight, part in zip(weights, parts, strict=True)))
        entropy = cross_entropy(probs, labels)
        slopes = [float(((probs * part).sum(axis=1) - part[rows, labels]).mean()) for part in parts]
        return entropy, np.array(slopes)

    start = np.full(len(parts), 1 / len(parts))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 4)] * len(parts))
    return found.x, float(found.fun)


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature, 1/4 to 8, to divide logits (N, C) by for the lowest cross-entropy."""
    from scipy.optimize import minimize_scalar

    # The cross-entropy is a convex function of the inverse temperature.
    found = minimize_scalar(lambda inverse: cross_entropy(softmax(logits * inverse), labels), bounds=(1 / 8, 4))
    return float(1 / found.x)
