"""Withstanding: how heads do on changed copies of held-out images, and whether training on such copies helps."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.core.changes import Change, changes_but
from mien.data.dataset import SPLITS, Dataset
from mien.learning.features import ChangedImages
from mien.learning.heads import Head
from mien.scoring.stress import Answers, joined, places_to_change

# Each change is tried on 40 images, or on an eighth of them if that is more, up to a limit. All changes together take
# about half as long as the unchanged images.
_NUM_TRIED, _SHARE, _MAX_TRIED = 40, 8, 1000
# The time for a fit grows with images times classes. Above this product, fewer folds decide whether copies help.
_MAX_CELLS = 100_000


@dataclass(frozen=True)
class Withstood:
    """The result of trying changed images.

    Attributes:
        learnt_from: Changed images to add to the training of heads.
        answers: Predictions for held-out changed images, for each change.
        before: The same by heads trained without changed images.
        gain: Change of the accuracy on unchanged images from training on changed ones.
    """

    learnt_from: tuple[ChangedImages, ...]
    answers: tuple[Answers, ...]
    before: tuple[Answers, ...]
    gain: float


def images_to_change(dataset: Dataset, may_matter: Sequence[str]) -> dict[Change, NDArray[np.int64]]:
    """Choose some images for each change that must not matter.

    Args:
        dataset: One fold, which contains no image of the locked test split.
        may_matter: Aspects that may tell the classes apart.
    """
    seen = np.sort(np.concatenate([dataset.indexes(name) for name in SPLITS]))
    num_tried = min(max(_NUM_TRIED, len(seen) // _SHARE), _MAX_TRIED)
    return places_to_change(dataset, seen, changes_but(may_matter), num_tried)


def withstand(
    copies: Sequence[ChangedImages],
    parts: Sequence[Dataset],
    features: NDArray[np.float32],
    fit: Callable[[Dataset, Sequence[ChangedImages]], Head],
    *,
    shortcuts: Collection[str] = (),
) -> Withstood:
    """Evaluate heads on changed copies of held-out images, and decide whether to train on such copies.

    They are used if that lowers the cross-entropy of changed images, while the accuracy on unchanged ones does not drop
    beyond chance and their cross-entropy rises by no more than one standard error. First all changes are tried
    together, then only those that helped with images changed in the same way. If a shortcut was found, the accuracy on
    unchanged images partly depends on it, so it may drop by less than that on changed images rises.

    Args:
        copies: Changed images, for each change.
        parts: The folds, each with its images to fit on and to hold out.
        features: Features of the unchanged images: a row for each record.
        fit: Fits a head on the images of a fold that are not held out, and on changed copies of them.
        shortcuts: Aspects that give the class away, as found by `mien.data.shortcuts`.
    """

    def ask(some: Sequence[Dataset], learnt_from: Sequence[ChangedImages]) -> tuple[dict[str, Answers], Answers]:
        return ask_about(copies, some, features, [fit(part, learnt_from) for part in some])

    num_cells = len(parts[0].indexes()) * len(parts[0].class_names)
    trials = parts[: max(_MAX_CELLS // num_cells, 1)]
    before, plain = ask(trials, ())
    gain, learnt_from = 0.0, tuple[ChangedImages, ...]()
    some = [each for each in copies if each.change.name in before]
    for _ in range(2):
        if not some:
            break
        after, learnt = ask(trials, some)
        helped = [each for each in some if after[each.change.name].loss < before[each.change.name].loss]
        names = [each.change.name for each in some]
        then, now = joined(before.values(), names), joined(after.values(), names)
        unchanged = replace(plain, changed=learnt.changed)
        is_owed = any(aspect in shortcuts for each in some for aspect in each.change.aspects)
        is_made_up = is_owed and now.share_right - then.share_right > -unchanged.gain.mean()
        if now.loss < then.loss and (is_made_up or not unchanged.is_worse()):
            gain, learnt_from = float(unchanged.gain.mean()), tuple(some)
            break
        some = helped if len(helped) < len(some) else []
    told = tuple(ask(parts, ())[0].values()) if learnt_from else ()
    return Withstood(learnt_from, tuple(ask(parts, learnt_from)[0].values()), told, gain)


def ask_about(
    copies: Sequence[ChangedImages], parts: Sequence[Dataset], features: NDArray[np.float32], heads: Sequence[Head]
) -> tuple[dict[str, Answers], Answers]:
    """Predict held-out images with heads.

    Args:
        copies: Changed images, for each change. Images that no part holds out are ignored.
        parts: The folds, each with its images to hold out.
        features: Features of the unchanged images: a row for each record.
        heads: One head for each part.

    Returns:
        The predictions by name of the change, and those for all unchanged images (given as the changed ones too).
    """
    places = [part.indexes("test") for part in parts]
    unchanged = np.full((len(features), heads[0].bias.shape[0]), np.nan, np.float32)
    for some, head in zip(places, heads, strict=True):
        unchanged[some] = head.probs(features[some])
    dataset, answers = parts[0], {}
    groups = np.array(dataset.group_numbers(np.arange(len(features))), np.int64)
    for each in copies:
        changed = np.full((len(each.places), unchanged.shape[1]), np.nan, np.float32)
        for some, head in zip(places, heads, strict=True):
            is_asked = np.isin(each.places, some)
            changed[is_asked] = head.probs(each.features[is_asked])
        known = ~np.isnan(changed[:, 0])
        if known.any():
            asked = each.places[known]
            answers[each.change.name] = Answers(
                each.change.name, dataset.labels(asked), unchanged[asked], changed[known], groups[asked]
            )
    every = np.concatenate(places)
    return answers, Answers("", dataset.labels(every), unchanged[every], unchanged[every], groups[every])
