"""Ranking: unlabelled images by how much their labels would help a classifier."""

import numpy as np
from numpy.typing import NDArray

from mien.config import Strategy

# Numbers kept per image: 100 MB for 100,000 images.
NUM_DIMENSIONS = 256
_PORTION = 1024
# The maximum number of images chosen one by one, each unlike those before it; more than anyone labels at a time.
_MAX_SPREAD = 500
# The score of images already chosen, below that of all others.
_CHOSEN = -1.0


def rank(
    strategy: Strategy,
    probs: NDArray[np.float32],
    features: NDArray[np.float32],
    known: NDArray[np.float32],
    *,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return the indexes of all images, (N,), in labelling order.

    The time grows with the number of images times the number of known images.

    Args:
        strategy: random; uncertain: the smallest margin first; diverse: the furthest from the known images and from
            those already chosen; both: the same, with squared distances weighted by one minus the margin.
        probs: Predicted probabilities, (N, C).
        features: Features from `narrowed`, (N, R).
        known: Features of the training images, (M, R); may be empty.
        seed: Random seed for the strategy random; the others are deterministic.

    Source:
        T. Scheffer et al., Active Hidden Markov Models for Information Extraction, IDA 2001 (margin); O. Sener and
        S. Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018 (diverse, as
        k-center-greedy); J. Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, ICLR
        2020 (combining both in one distance).
    """
    if strategy == "random":
        return np.random.default_rng(seed).permutation(len(probs))
    if strategy == "uncertain":
        return np.argsort(margins(probs), kind="stable")
    weights = 1 - margins(probs) if strategy == "both" else np.ones(len(probs), np.float32)
    return _spread(weights, features, known)


def margins(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of the most likely class minus that of the next, (N,).

    Args:
        probs: Predicted probabilities, (N, C).
    """
    ordered = np.sort(probs, axis=1)
    ahead: NDArray[np.float32] = ordered[:, -1] - ordered[:, -2]
    return ahead


def narrowed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit-length features projected to 256 dimensions, float32 (N, 256). Distances change by a few percent.

    Args:
        features: float32 (N, D).

    Source:
        W. Johnson and J. Lindenstrauss, Extensions of Lipschitz Mappings into a Hilbert Space, 1984.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = features / np.maximum(lengths, 1e-6)
    directions = np.random.default_rng(0).standard_normal((features.shape[1], NUM_DIMENSIONS), np.float32)
    rows: NDArray[np.float32] = units @ directions / np.float32(np.sqrt(NUM_DIMENSIONS))
    return rows


def _spread(
    weights: NDArray[np.float32], features: NDArray[np.float32], known: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return indexes so that each is furthest, by weighted distance, from the known images and those before it."""
    squares = (features**2).sum(axis=1)
    distances = _nearest(features, known)
    scores = weights * distances
    chosen = []
    for _ in range(min(len(features), _MAX_SPREAD)):
        best = int(scores.argmax())
        chosen.append(best)
        apart = np.maximum(squares + squares[best] - features @ (2 * features[best]), 0)
        distances = np.minimum(distances, apart)
        scores = weights * distances
        scores[chosen] = _CHOSEN
    rest = np.argsort(-scores, kind="stable")[: len(features) - len(chosen)]
    return np.concatenate([np.array(chosen, np.int64), rest])


def _nearest(features: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared distance to the nearest known image, (N,); 1 if there is none."""
    distances = np.ones(len(features), np.float32)
    if not len(known):
        return distances
    lengths = (known**2).sum(axis=1)
    for start in range(0, len(features), _PORTION):
        some = features[start : start + _PORTION]
        apart = (some**2).sum(axis=1, keepdims=True) + lengths - some @ (2 * known.T)
        distances[start : start + _PORTION] = np.maximum(apart.min(axis=1), 0)
    return distances
