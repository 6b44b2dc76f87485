"""Withstanding: what heads say of changed images that they had not seen, and whether learning from such helps."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.core.changes import Change, changes_but
from mien.data.dataset import SPLITS, Dataset
from mien.learning.features import ChangedImages
from mien.learning.heads import Head
from mien.scoring.stress import Answers, joined, places_to_change

# Each change is tried on so many images or, of more than eight times as many, on an eighth of them, up to a limit: all
# changes together take about half as long as the images as they are.
_NUM_TRIED, _SHARE, _MAX_TRIED = 40, 8, 1000
# Whether they help, fewer folds tell where heads take long: a fit grows with the images and with the classes.
_MAX_CELLS = 100_000


@dataclass(frozen=True)
class Withstood:
    """What came of it.

    Attributes:
        learnt_from: Changed images that heads are to be fitted on as well.
        answers: What heads say of changed images of other folds, for each change.
        before: Likewise, of heads that were fitted on no changed images.
        gain: By how much the share of unchanged images that are answered right rises as changed ones are learnt from.
    """

    learnt_from: tuple[ChangedImages, ...]
    answers: tuple[Answers, ...]
    before: tuple[Answers, ...]
    gain: float


def images_to_change(dataset: Dataset, may_matter: Sequence[str]) -> dict[Change, NDArray[np.int64]]:
    """Choose some images for each change that must not matter.

    Args:
        dataset: One fold: of those in its splits, none is for the locked test.
        may_matter: Aspects that may.
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
    """Ask about changed images heads that have not seen them; let heads learn from such images where that helps.

    They are learnt from where that lowers the cross-entropy of changed images, while unchanged ones are answered right
    no less often, beyond chance, and their cross-entropy rises by no more than a standard error: all of them, or else
    those alone that helped with images that are changed likewise. Where a shortcut was found, the score on unchanged
    images owes something to it: there it may fall, by less than that on changed images rises.

    Args:
        copies: Changed images, for each change.
        parts: Folds: each says which images are fitted on, and which are asked about.
        features: Of the unchanged images: a row for each record.
        fit: Fits a head on the images of a fold that are not asked about, and on changed ones made of these.
        shortcuts: Aspects that give the class away, as `mien.data.shortcuts` found.
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
    """Ask heads about images that they have not seen.

    Args:
        copies: Changed images, for each change; those of which no part asks are passed over.
        parts: Folds: each says which images are asked about.
        features: Of the unchanged images: a row for each record.
        heads: One for each part.

    Returns:
        The answers by the name of the change, and those for all unchanged images, in the place of changed ones too.
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
