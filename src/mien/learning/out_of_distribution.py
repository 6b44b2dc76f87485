"""Out of distribution: how far the features of an image lie from those of the images that were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import threads_for

_NUM_FOLDS = 5
_MAX_DIRECTIONS = 32
# More images than this hardly change the directions.
_MAX_IMAGES = 2000
# One image in fifty like those of the training is called unlike them, if their distances are normally distributed.
_DEVIATIONS = 2.05
# Two rows of length 1 are no further apart.
_FURTHEST = 2.0


@dataclass(frozen=True)
class Distribution:
    """The directions in which the images of a training differ from one another.

    An image is as far from them as its features, brought to length 1, lie from the plane of these directions.

    Attributes:
        mean: Of the features at length 1, float32 (D,).
        directions: Orthogonal, float32 (D, R).
        limit: Images further away than this are unlike those of the training.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    limit: float

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far images are from those of the training, float32 (N,), by their features (N, D)."""
        return _distances(features, self.mean, self.directions)


def fit_distribution(
    features: NDArray[np.float32],
    *,
    groups: Sequence[int],
    held_out: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Distribution:
    """Learn how the training images are distributed.

    Args:
        features: Of the training images, float32 (N, D).
        groups: A number for each image, (N,): images with the same number are near copies.
        held_out: Features of images that their maker was not trained on, (M, D): where it was trained, only these
            tell how far away new images lie. By default cross-validation tells it.
        seed: Decides the folds, and which images where there are very many.

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
    """Return how far images, (N,), are from those of the other folds."""
    distances = np.empty(len(features), np.float32)
    for fold in np.unique(folds):
        distances[folds == fold] = _distances(features[folds == fold], *_plane(features[folds != fold], num_directions))
    return distances


def _plane(features: NDArray[np.float32], num_directions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean, (D,), and the directions, (D, R), in which features vary most."""
    units = _units(features).astype(np.float64)
    mean = units.mean(axis=0)
    rows = units - mean
    if len(rows) < rows.shape[1]:
        # By the products of the rows with one another: a smaller matrix.
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
