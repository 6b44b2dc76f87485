"""Learning from fewer images: what heads say that were fitted on parts of the training images of each fold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.learning.heads import Head
from mien.learning.methods import places_seen
from mien.scoring.learning_curve import AnswersByShare, LearningCurve, measure_learning_curve

# A fit takes as long as there are images times classes: of more, one part tells what twice as many would bring.
_SHARES, _FEW_SHARES = (0.2, 0.4, 0.6), (0.4,)
_MAX_CELLS = 5000


def learn_from_fewer(
    parts: Sequence[Dataset], features: NDArray[np.float32], fit: Callable[[Dataset], Head], *, seed: int = 0
) -> LearningCurve:
    """Fit heads on a part of the training images of each fold, and ask them about the same images as ever.

    A part is of every class, and holds the smaller parts; images that belong together are in it together. Of many
    images or classes there is only one part, for it takes long.

    Args:
        parts: Folds: each says which images are fitted on, and which are asked about.
        features: A row for each record.
        fit: Fits a head on the images of a fold that are not asked about.
        seed: Decides which images are in the parts.
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
    """Return a fold with a share of its training and validation images; those to be asked about are the same.

    Args:
        fold: What `folds` yielded.
        share: Of the images or groups of each class, at least one of which is kept.
        seed: Decides which. The same one keeps more of the same for a larger share.
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
