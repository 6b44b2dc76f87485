"""Learning from fewer images: fit heads on parts of the training images of each fold, for the learning curve."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.learning.heads import Head
from mien.learning.methods import places_seen
from mien.scoring.learning_curve import AnswersByShare, LearningCurve, measure_learning_curve

# The time for a fit grows with images times classes. Above this product, only one smaller part is tried.
_SHARES, _FEW_SHARES = (0.2, 0.4, 0.6), (0.4,)
_MAX_CELLS = 5000


def learn_from_fewer(
    parts: Sequence[Dataset], features: NDArray[np.float32], fit: Callable[[Dataset], Head], *, seed: int = 0
) -> LearningCurve:
    """Fit heads on parts of the training images of each fold, and evaluate them on the same held-out images.

    Each part has images of every class and contains the smaller parts. Images of a group stay together. With many
    images or classes there is only one part, because it takes long.

    Args:
        parts: The folds, each with its images to fit on and to hold out.
        features: A row for each record.
        fit: Fits a head on the images of a fold that are not held out.
        seed: Random seed for the parts.
    """
    few = len(parts[0].indexes()) * len(parts[0].class_names) <= _MAX_CELLS
    shares = (*(_SHARES if few else _FEW_SHARES), 1.0)
    probs: list[list[NDArray[np.float32]]] = []
    counts = []
    for number, fold in enumerate(parts):
        places = fold.indexes("test")
        smaller = [thinned(fold, share, seed=(seed, number)) for share in shares]
        probs.append([fit(some).probs(features[places]) for some in smaller])
        counts.append([len(places_seen(some)) for some in smaller])
    places = np.concatenate([fold.indexes("test") for fold in parts])
    labels = parts[0].labels(places)
    answers = AnswersByShare(
        shares,
        tuple(np.mean(counts, axis=0).round().astype(int).tolist()),
        np.array([np.concatenate(some).argmax(axis=1) == labels for some in zip(*probs, strict=True)]),
        labels,
        np.array(parts[0].group_numbers(places), np.int64),
    )
    return measure_learning_curve(
        answers, class_names=parts[0].class_names, num_folds=len(parts), by_groups=parts[0].knows_groups
    )


def thinned(fold: Dataset, share: float, *, seed: int | Sequence[int] = 0) -> Dataset:
    """Return a fold with a share of its training and validation images, and the same held-out images.

    Args:
        fold: What `folds` yielded.
        share: Share of the images or groups of each class; at least one is kept.
        seed: Random seed. With the same seed, a larger share contains the smaller ones.
    """
    if share == 1:
        return fold
    places = places_seen(fold)
    labels, units = fold.labels(places), np.array(fold.group_numbers(places), np.int64)
    rng = np.random.default_rng(seed)
    kept: set[int] = set()
    for label in np.unique(labels):
        of_class = rng.permutation(np.unique(units[labels == label]))
        kept |= set(of_class[: math.ceil(share * len(of_class))].tolist())
    left_out = {place for place, unit in zip(places.tolist(), units.tolist(), strict=True) if unit not in kept}
    records = fold.records
    return fold.with_records([replace(r, split="") if i in left_out else r for i, r in enumerate(records)])
