"""Probabilities: logits -> probabilities, and what they cost against the true classes."""

import numpy as np
from numpy.typing import NDArray

_TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8), 201))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return probabilities, (N, C), that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.floating] = powers / powers.sum(axis=1, keepdims=True)
    return probs


def cross_entropy(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy, in nats, of probabilities (N, C) for true class numbers (N,)."""
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-7)).mean())


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return what to divide logits (N, C) by, for the lowest cross-entropy."""
    losses = [cross_entropy(softmax(logits / temperature), labels) for temperature in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
