"""Out of distribution: how far the features of an image are from those of the training images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import threads_for

_NUM_FOLDS = 5
_MAX_DIRECTIONS = 32
# More images than this hardly change the directions.
_MAX_IMAGES = 2000
# If distances are normally distributed, one in fifty images like the training images is flagged as unlike them.
_DEVIATIONS = 2.05
# The maximum distance between two unit vectors.
_FURTHEST = 2.0


@dataclass(frozen=True)
class Distribution:
    """The main directions in which the training images vary.

    The distance of an image is that of its unit-length features from the plane of these directions.

    Attributes:
        mean: Mean of the unit-length features, float32 (D,).
        directions: Orthogonal directions, float32 (D, R).
        limit: Images further away than this are unlike the training images.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    limit: float

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distances of images from the training images, float32 (N,), by their features (N, D)."""
        return _distances(features, self.mean, self.directions)


def fit_distribution(
    features: NDArray[np.float32],
    *,
    groups: Sequence[int],
    held_out: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Distribution:
    """Learn the distribution of the training images.

    Args:
        features: Features of the training images, float32 (N, D).
        groups: Group number of each image, (N,), shared by near-duplicates.
        held_out: Features of images that the network was not trained on, (M, D). If it was trained, only these show how
            far away new images are. Default: use cross-validation.
        seed: Random seed for the folds, and for sampling if there are very many images.

    Source:
        H. Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022 (the residual).
    """
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(features))[:_MAX_IMAGES]
    features, numbers = features[some], np.unique(np.asarray(groups)[some], return_inverse=True)[1]
    num_directions = min(_MAX_DIRECTIONS, max(1, (numbers.max() + 1) // 4))
    folds = rng.permutation(numbers.max() + 1)[numbers] % _NUM_FOLDS
    with threads_for(len(features)):
        mean, directions = _plane(features, num_directions)
        if held_out is not None:
            distances = _distances(held_out, mean, directions)
        elif folds.any():
            distances = _left_out(features, folds, num_directions)
        else:
            distances = np.array([_FURTHEST], np.float32)
    return Distribution(mean, directions, float(distances.mean() + _DEVIATIONS * distances.std()))


def _left_out(features: NDArray[np.float32], folds: NDArray[np.int64], num_directions: int) -> NDArray[np.float32]:
    """Return the distances of images, (N,), from those of the other folds."""
    distances = np.empty(len(features), np.float32)
    for fold in np.unique(folds):
        distances[folds == fold] = _distances(features[folds == fold], *_plane(features[folds != fold], num_directions))
    return distances


def _plane(features: NDArray[np.float32], num_directions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean, (D,), and the directions of greatest variance, (D, R)."""
    units = _units(features).astype(np.float64)
    mean = units.mean(axis=0)
    rows = units - mean
    if len(rows) < rows.shape[1]:
        # Via the Gram matrix of the rows, which is smaller.
        squares, left = np.linalg.eigh(rows @ rows.T)
        lengths = np.sqrt(np.maximum(squares[-num_directions:], 1e-12))
        directions = rows.T @ (left[:, -num_directions:] / lengths)
    else:
        directions = np.linalg.eigh(rows.T @ rows)[1][:, -num_directions:]
    return mean.astype(np.float32), directions.astype(np.float32)


def _distances(
    features: NDArray[np.float32], mean: NDArray[np.float32], directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    rows = _units(features) - mean
    squares = (rows**2).sum(axis=1) - ((rows @ directions) ** 2).sum(axis=1)
    distances: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0)).astype(np.float32)
    return distances


def _units(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units: NDArray[np.float32] = features / np.maximum(lengths, 1e-6)
    return units
