"""Withstanding: heads learn from changed images where that helps, and never where it costs more than chance allows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from conftest import dataset_of, record
from mien.config import SplitConfig
from mien.core.changes import CHANGES
from mien.data.dataset import Dataset
from mien.data.splitting import folds, split
from mien.learning.features import ChangedImages
from mien.learning.heads import Head, fit_head
from mien.learning.methods import places_seen
from mien.learning.withstanding import Withstood, images_to_change, withstand

GREY, MIRRORED = CHANGES[0], next(change for change in CHANGES if change.mirrors)
DATASET = split(dataset_of(*(record(f"{label}/{n}.jpg") for label in ("happy", "sad") for n in range(80))))
LABELS = DATASET.labels(np.arange(160))
SIGNS = (2 * LABELS - 1).astype(np.float32)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((160, 6)).astype(np.float32)


def try_(features: np.ndarray, changed: dict[str, np.ndarray], shortcuts: Sequence[str] = ()) -> Withstood:
    parts = list(folds(DATASET, 5, SplitConfig()))
    seen = places_seen(DATASET)
    changes = {change.name: change for change in CHANGES}
    copies = [ChangedImages(changes[name], seen, rows[seen]) for name, rows in changed.items()]

    def fit(part: Dataset, learnt_from: Sequence[ChangedImages]) -> Head:
        places = places_seen(part)
        rows, labels = [features[places]], [part.labels(places)]
        for each in learnt_from:
            kept = np.isin(each.places, places)
            rows.append(each.features[kept])
            labels.append(part.labels(each.places[kept]))
        return fit_head(np.concatenate(rows), np.concatenate(labels), num_classes=2)

    return withstand(copies, parts, features, fit, shortcuts=shortcuts)


def coloured() -> tuple[np.ndarray, np.ndarray]:
    """Column 0 is what counts, column 1 a colour that goes with the class, and is gone in grey."""
    features = noise(0)
    features[:, 0] += 2 * SIGNS
    features[:, 1] += 3 * SIGNS
    grey = features.copy()
    grey[:, 1] = -3
    return features, grey


def test_a_colour_that_gives_the_class_away_is_unlearnt() -> None:
    features, grey = coloured()
    withstood = try_(features, {"grey": grey}, ["colour"])
    assert [each.change for each in withstood.learnt_from] == [GREY]
    (before,), (after,) = withstood.before, withstood.answers
    assert after.gain.mean() > before.gain.mean() + 0.1


def test_what_contradicts_the_labels_is_not_learnt_from() -> None:
    # In the mirror each class looks like the other.
    features = noise(1)
    features[:, 0] += 3 * SIGNS
    mirrored = features.copy()
    mirrored[:, 0] -= 6 * SIGNS
    withstood = try_(features, {"mirrored": mirrored})
    assert withstood.learnt_from == () and withstood.before == () and withstood.gain == 0
    assert [each.change for each in withstood.answers] == [MIRRORED.name]


def test_what_contradicts_is_left_out_and_what_helps_is_learnt_from() -> None:
    features = noise(2)
    features[:, :2] += 2 * SIGNS[:, None]
    grey, mirrored = features.copy(), noise(3)
    grey[:, 1] = -4
    withstood = try_(features, {"grey": grey, "mirrored": mirrored}, ["colour"])
    assert GREY in [each.change for each in withstood.learnt_from]


def test_changes_that_change_nothing_are_told_to_fall_in_nothing() -> None:
    features = noise(4)
    features[:, 0] += SIGNS
    withstood = try_(features, {"grey": features})
    assert not withstood.answers[0].gain.any()


@pytest.mark.parametrize(("num_images", "num_tried"), [(20, 18), (600, 67)])
def test_what_is_tried_stays_a_share_of_the_images(num_images: int, num_tried: int) -> None:
    dataset = split(dataset_of(*(record(f"{label}/{n}.jpg") for label in "ab" for n in range(num_images // 2))))
    dataset = replace(dataset, config=replace(dataset.config, faces="off"))
    chosen = images_to_change(next(folds(dataset, 5)), ["mirror"])
    assert MIRRORED not in chosen
    assert len(chosen[GREY]) == pytest.approx(num_tried, abs=2)
    tested = set(dataset.indexes("test").tolist())
    assert not any(tested & set(places.tolist()) for places in chosen.values())


def test_what_makes_unchanged_images_worse_is_not_learnt_from() -> None:
    # As far as anybody knows, the colour counts: it helps as long as it is there.
    features = noise(5)
    features[:, 1] += 3 * SIGNS
    grey = noise(6)
    assert try_(features, {"grey": grey}).learnt_from == ()


def test_where_heads_take_long_one_fold_tells_and_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.learning.withstanding._MAX_CELLS", 1)
    features, grey = coloured()
    withstood = try_(features, {"grey": grey}, ["colour"])
    assert [each.change for each in withstood.learnt_from] == [GREY]
    assert (
        len(withstood.answers[0].labels)
        == len(withstood.before[0].labels)
        == len(LABELS) - len(DATASET.indexes("test"))
    )
    mirrored = features.copy()
    mirrored[:, 0] -= 6 * SIGNS
    assert len(try_(features, {"mirrored": mirrored}).answers[0].labels) == len(withstood.answers[0].labels)
