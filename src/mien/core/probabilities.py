"""Probabilities: logits -> probabilities, and what they cost against the true classes."""

import numpy as np
from numpy.typing import NDArray

from mien.core.extras import needing


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return probabilities, (N, C), that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.floating] = powers / powers.sum(axis=1, keepdims=True)
    return probs


def cross_entropy(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy, in nats, of probabilities (N, C) for true class numbers (N,)."""
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-7)).mean())


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return what to divide logits (N, C) by, from a quarter to eight, for the lowest cross-entropy.

    Raises:
        MissingExtraError: The package scipy is not installed.
    """
    with needing("train"):
        from scipy.optimize import minimize_scalar
    # Of the inverse, the cross-entropy is a convex function.
    found = minimize_scalar(lambda inverse: cross_entropy(softmax(logits * inverse), labels), bounds=(1 / 8, 4))
    return float(1 / found.x)
