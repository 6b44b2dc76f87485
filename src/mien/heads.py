"""The linear head: features -> probabilities, by logistic regression whose strength cross-validation chooses."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.extras import needing

# Inverse strengths of the penalty, for features with mean 0 and variance 1; the largest penalty first.
_STRENGTHS = tuple(float(c) for c in np.logspace(-4.5, 0, 10))
_NUM_FOLDS = 5
_FEW_PICTURES = 5000
_TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8), 201))


@dataclass(frozen=True)
class Head:
    """A linear layer and a softmax.

    Attributes:
        weights: float32 (D, C).
        bias: float32 (C,).
        strength: Inverse of the penalty's strength, as scikit-learn counts it ("C").
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

    Strength and temperature are those with the lowest cross-entropy on pictures that were left out of the fit.

    Args:
        features: float32 (N, D).
        labels: Class numbers, (N,); every class is there.
        groups: A number for each picture, (N,): pictures with the same number are never divided. By default each
            picture is alone.
        num_classes: C.
        balanced: Weigh the classes so that each counts the same.
        seed: Decides the folds.

    Source:
        C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature).
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A feature that never moved says nothing; where it moves later on, that must not count for much.
    scale = np.maximum(scale, 1e-3 * max(float(scale.max()), 1e-6))
    weights = _picture_weights(labels, num_classes, balanced=balanced)
    with _threads_for(features):
        rows, back = _rotated((features - mean) / scale)
        strength, temperature = _chosen(rows, labels, weights, _groups(groups, labels), num_classes, seed)
        slopes, bias = next(_fits(rows, labels, weights, num_classes, (strength,)))
    slopes = back @ slopes / scale[:, None] / temperature
    bias = bias / temperature - mean @ slopes
    return Head(slopes.astype(np.float32), bias.astype(np.float32), strength, temperature)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return probabilities, (N, C), that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: NDArray[np.floating] = powers / powers.sum(axis=1, keepdims=True)
    return probs


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return what to divide logits (N, C) by, for the lowest cross-entropy."""
    losses = [cross_entropy(softmax(logits / temperature), labels) for temperature in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def cross_entropy(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy, in nats, of probabilities (N, C) for true class numbers (N,)."""
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-7)).mean())


def _threads_for(features: NDArray[np.float32]) -> AbstractContextManager[object]:
    """Keep the algebra of the block to one thread where there is little of it: several would wait for one another."""
    with needing("train"):
        from threadpoolctl import threadpool_limits
    return threadpool_limits(1) if len(features) < _FEW_PICTURES else nullcontext()


def _rotated(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same rows in as few dimensions as they span, and the way back, (D, R).

    A penalty on the length of the weights does not see a rotation, so the fit is the same, and much faster where
    there are fewer pictures than features.
    """
    if len(rows) >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    # By the products of the rows with one another: a small matrix, unlike the one that a SVD would take apart.
    squares, left = np.linalg.eigh(rows @ rows.T)
    kept = squares > 1e-10 * squares[-1]
    lengths = np.sqrt(squares[kept])
    return left[:, kept] * lengths, rows.T @ (left[:, kept] / lengths)


def _picture_weights(labels: NDArray[np.int64], num_classes: int, *, balanced: bool) -> NDArray[np.float64]:
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
    """Return the strength and the temperature that do best on pictures left out."""
    with needing("train"):
        from sklearn.model_selection import StratifiedGroupKFold
    num_units = min(len(np.unique(groups[labels == number])) for number in range(num_classes))
    if num_units < 2:
        return _STRENGTHS[len(_STRENGTHS) // 2], 1.0
    logits = np.zeros((len(_STRENGTHS), len(labels), num_classes))
    folds = StratifiedGroupKFold(min(_NUM_FOLDS, num_units), shuffle=True, random_state=seed)
    for seen, unseen in folds.split(rows, labels, groups):
        fits = _fits(rows[seen], labels[seen], weights[seen], num_classes, _STRENGTHS)
        for place, (slopes, bias) in enumerate(fits):
            logits[place, unseen] = rows[unseen] @ slopes + bias
    best = int(np.argmin([cross_entropy(softmax(given), labels) for given in logits]))
    return _STRENGTHS[best], best_temperature(logits[best], labels)


def _fits(
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    num_classes: int,
    strengths: Sequence[float],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield slopes (R, C) and bias (C,) for each strength; each fit begins where the one before ended."""
    with needing("train"):
        from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(max_iter=1000, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength).fit(rows, labels, weights)
        slopes, bias = model.coef_.T, model.intercept_
        if num_classes == 2:
            # One column for the second class: half of it each way gives the same probabilities.
            slopes, bias = np.hstack([-slopes, slopes]) / 2, np.concatenate([-bias, bias]) / 2
        yield slopes, bias
