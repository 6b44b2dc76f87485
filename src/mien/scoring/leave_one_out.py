"""Leave-one-out: predictions for each image by a kernel classifier fitted on all others, in closed form."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import threads_for
from mien.core.probabilities import best_temperature, cross_entropy, softmax

# Larger sets are split into blocks of this size, because the time grows with the cube of the number of images.
_BLOCK_SIZE = 2000
_ROWS = 4096
# Width of the kernel: its square as a share of the median squared distance. Measured, see benchmarks/label_issues.py.
_WIDTH = 0.3
# Strengths of the penalty, as shares of the mean eigenvalue of the kernel.
_PENALTIES = tuple(float(share) for share in np.logspace(-1.5, 2, 8))
# Weights of the face features relative to those of the whole image.
_FACE_SHARES = (0.0, 0.1, 0.3)
# Scores are near 0 and 1; scaled by this, they are logits that a temperature can calibrate.
_STEEPNESS = 10.0


def leave_one_out(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    groups: Sequence[int],
    num_classes: int,
    num_face_features: int = 0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Predict each image with a classifier fitted on all the others.

    The classifier is least squares with a Gaussian kernel, so near images count more than far ones. Its prediction
    without an image follows from a single fit on all of them, which takes a fraction of a second for a few hundred
    images. The weight of the face features is the one with the lowest cross-entropy.

    Args:
        features: float32 (N, D).
        labels: Class numbers, (N,).
        groups: Group number of each image, (N,). A group is left out as a whole.
        num_classes: C.
        num_face_features: How many of the last features describe faces. All are 0 for an image without a face, and the
            last is 1 for an image with one.
        seed: Random seed for the blocks, used above 2,000 images.

    Returns:
        float32 (N, C); each row sums to 1.

    Source:
        G. H. Golub, M. Heath, G. Wahba, Generalized cross-validation as a method for choosing a good ridge parameter,
        Technometrics 21, 1979 (leaving out in closed form).
    """
    of_images, of_faces = np.split(features, [features.shape[1] - num_face_features], axis=1)
    images, faces = _standardised(of_images), _standardised_faces(of_faces)
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    probs = np.zeros((len(labels), num_classes), np.float32)
    shares: tuple[float, ...] = _FACE_SHARES if faces.any() else (0.0,)
    with threads_for(len(labels)):
        for block in _blocks(labels, names, seed):
            # Scaled as if there were this many face features per image feature.
            scales = [math.sqrt(share * images.shape[1] / max(1, faces.shape[1])) for share in shares]
            several = [np.hstack([images[block], scale * faces[block]]).astype(np.float64) for scale in scales]
            found = [_predictions(rows, labels[block], names[block], num_classes) for rows in several]
            losses = [cross_entropy(each, labels[block]) for each in found]
            best = int(np.argmin(losses))
            probs[block] = found[best]
            # The first block chooses the weight for all blocks.
            shares = shares[best : best + 1]
    return probs


def accuracies_without_groups(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groupings: Sequence[NDArray[np.int64]],
    *,
    num_classes: int,
) -> NDArray[np.float64]:
    """Return the accuracy under several groupings, where each image is predicted without its whole group.

    Args:
        features: float32 (N, D), N at most 2,000: the time grows with the third power of their number.
        labels: Class numbers, (N,).
        groupings: Group number of each image, (N,), for each grouping.
        num_classes: C.

    Returns:
        One accuracy for each grouping.
    """
    rows = _standardised(features)
    with threads_for(len(labels)):
        squares, vectors = np.linalg.eigh(_kernel(rows.astype(np.float64)))
        squares, targets = np.maximum(squares, 0), np.eye(num_classes)[labels]
        influences = [_influence(squares, vectors, share) for share in _PENALTIES]
        # The best penalty when each image is left out alone, so that no grouping is favoured.
        alone = np.arange(len(labels))
        right = [(_without_own(found, targets, alone).argmax(axis=1) == labels).mean() for found in influences]
        best = influences[int(np.argmax(right))]
        return np.array([(_without_own(best, targets, groups).argmax(axis=1) == labels).mean() for groups in groupings])


def moments(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each feature, (D,) each.

    A nearly constant feature gets a larger deviation, so that it does not count for much if it varies later.

    Args:
        features: (N, D), read a few rows at a time: as doubles, all of them could fill the memory.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(features), _ROWS):
        squares += ((features[start : start + _ROWS] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(features))
    return mean, np.maximum(deviation, 1e-3 * max(float(deviation.max()), 1e-6))


def _standardised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (N, D) with mean 0 and variance 1, except for nearly constant ones."""
    mean, deviation = moments(features)
    rows: NDArray[np.float32] = features - mean.astype(np.float32)
    rows /= deviation.astype(np.float32)
    return rows


def _standardised_faces(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return face features, without the flag, with mean 0 and variance 1 among images that have a face."""
    rows = np.zeros((len(features), max(0, features.shape[1] - 1)), np.float32)
    with_face = features[:, -1:].any(axis=1)
    if with_face.any():
        rows[with_face] = _standardised(features[with_face, :-1])
    return rows


def _influence(squares: NDArray[np.float64], vectors: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the influence of each image's target on each image's score, (N, N); the constant is not penalised."""
    kept = squares / (squares + max(share * squares.mean(), 1e-12))
    influence: NDArray[np.float64] = (vectors * kept) @ vectors.T + 1 / len(squares)
    return influence


def _blocks(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Divide the images into blocks, with whole groups and evenly spread classes."""
    num_blocks = -(-len(labels) // _BLOCK_SIZE)
    firsts = np.unique(groups, return_index=True)[1]
    chance = np.random.default_rng(seed).random(len(firsts))
    block_of = np.empty(len(firsts), np.int64)
    block_of[np.lexsort((chance, labels[firsts]))] = np.arange(len(firsts)) % num_blocks
    return [np.flatnonzero(block_of[groups] == number) for number in range(num_blocks)]


def _predictions(
    rows: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64], num_classes: int
) -> NDArray[np.float64]:
    """Return the probabilities (N, C) for the penalty and temperature with the lowest cross-entropy."""
    squares, vectors = np.linalg.eigh(_kernel(rows))
    squares = np.maximum(squares, 0)
    targets = np.eye(num_classes)[labels]
    found: list[tuple[float, NDArray[np.float64]]] = []
    for share in _PENALTIES:
        logits = _STEEPNESS * _without_own(_influence(squares, vectors, share), targets, groups)
        probs = softmax(logits / best_temperature(logits, labels))
        found.append((cross_entropy(probs, labels), np.asarray(probs, np.float64)))
    return min(found, key=lambda pair: pair[0])[1]


def _kernel(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centred Gaussian kernel of the images, (N, N)."""
    lengths = (rows**2).sum(axis=1)
    distances = np.maximum(lengths[:, None] + lengths - 2 * rows @ rows.T, 0)
    near = np.exp(-distances / max(2 * _WIDTH * float(np.median(distances)), 1e-12))
    centred: NDArray[np.float64] = near - near.mean(axis=0) - near.mean(axis=1)[:, None] + near.mean()
    return centred


def _without_own(
    influence: NDArray[np.float64], targets: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the scores (N, C) that each image would get from a fit without its group."""
    errors = targets - influence @ targets
    scores = targets - errors / np.maximum(1 - np.diag(influence), 1e-9)[:, None]
    names, counts = np.unique(groups, return_counts=True)
    for name in names[counts > 1]:
        places = np.flatnonzero(groups == name)
        own = np.eye(len(places)) - influence[np.ix_(places, places)]
        scores[places] = targets[places] - np.linalg.lstsq(own, errors[places], rcond=None)[0]
    return scores
