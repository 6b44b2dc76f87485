"""Learning from fewer images: parts are nested, fair and whole, and the same seed gives the same curve."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from conftest import dataset_of, record
from mien.config import SplitConfig
from mien.data.dataset import Dataset
from mien.data.splitting import folds, split
from mien.learning.fewer import learn_from_fewer, thinned
from mien.learning.heads import Head
from mien.learning.methods import places_seen
from mien.scoring.learning_curve import LearningCurve

NUM_FEATURES = 8


def dataset(*counts: int, subjects: int = 0) -> Dataset:
    """Return a split Dataset with so many images of each class; of so many subjects each, where told."""
    records = [
        record(f"{label}/{n}.jpg", subject=f"{label}{n % subjects}" if subjects else "")
        for label, count in zip("abcdefghij", counts, strict=False)
        for n in range(count)
    ]
    return split(dataset_of(*records))


def curve_of(given: Dataset, *, seed: int = 0, noise: float = 1.0) -> tuple[LearningCurve, list[int]]:
    """Return the curve of drawn features, and from how many images each head learnt."""
    labels = given.labels(np.arange(len(given.records)))
    rng = np.random.default_rng(7)
    directions = rng.standard_normal((len(given.class_names), NUM_FEATURES))
    features = (directions[labels] + noise * rng.standard_normal((len(labels), NUM_FEATURES))).astype(np.float32)
    sizes = []

    def fit(fold: Dataset) -> Head:
        """Return a head that goes by the nearest mean of a class."""
        places = places_seen(fold)
        sizes.append(len(places))
        of_class = fold.labels(places) == np.arange(len(fold.class_names))[:, None]
        means = np.array([features[places[some]].mean(axis=0) for some in of_class])
        return Head(means.T, -0.5 * (means**2).sum(axis=1), 1.0, 1.0)

    return learn_from_fewer(list(folds(given, 5, SplitConfig())), features, fit, seed=seed), sizes


def test_a_part_holds_the_smaller_parts_and_leaves_those_to_be_asked_about() -> None:
    fold = next(folds(dataset(50, 30), 5))
    parts = [set(places_seen(thinned(fold, share, seed=3)).tolist()) for share in (0.2, 0.4, 0.6, 1.0)]
    assert all(smaller < larger for smaller, larger in pairwise(parts))
    assert parts[-1] == set(places_seen(fold).tolist())
    np.testing.assert_array_equal(thinned(fold, 0.2).indexes("test"), fold.indexes("test"))


def test_a_part_has_its_share_of_every_class_and_of_a_tiny_one_at_least_one() -> None:
    fold = next(folds(dataset(100, 50, 10), 5))
    whole, part = (Counter(some.labels(places_seen(some)).tolist()) for some in (fold, thinned(fold, 0.2)))
    assert all(abs(part[label] - 0.2 * count) < 1 for label, count in whole.items())
    assert part[2] >= 1


def test_groups_are_in_a_part_together() -> None:
    fold = next(folds(dataset(80, 80, subjects=10), 5))
    part = thinned(fold, 0.4)
    inside = {fold.records[place].subject for place in places_seen(part).tolist()}
    outside = {
        fold.records[place].subject for place in set(places_seen(fold).tolist()) - set(places_seen(part).tolist())
    }
    assert inside and outside and not inside & outside


@pytest.mark.parametrize("counts", [(60, 60), (40, 40, 40, 40)])
def test_the_curve_rises_where_images_help_and_ends_with_all_of_them(counts: tuple[int, ...]) -> None:
    curve, _ = curve_of(dataset(*counts), noise=1.5)
    accuracies = [point.accuracy.value or 0.0 for point in curve.points]
    assert accuracies[0] < accuracies[-1]
    assert [point.share for point in curve.points] == [0.2, 0.4, 0.6, 1.0]
    numbers = [point.num_trained for point in curve.points]
    assert numbers == sorted(numbers)
    assert len({point.accuracy.num_images for point in curve.points}) == 1


def test_the_same_seed_gives_the_same_curve() -> None:
    given = dataset(40, 40)
    assert curve_of(given) == curve_of(given)
    assert curve_of(given, seed=1) != curve_of(given)


def test_scores_count_groups_where_they_are_known() -> None:
    curve, _ = curve_of(dataset(80, 80, subjects=10))
    assert curve.gain.num_groups == curve.points[0].accuracy.num_groups
    assert (curve.gain.num_groups or 0) < 25


def test_of_many_images_and_classes_one_part_is_enough() -> None:
    curve, sizes = curve_of(dataset(*[62] * 10))
    assert [point.share for point in curve.points] == [0.4, 1.0]
    assert len(sizes) == 2 * 5


def test_of_an_uneven_folder_even_the_tiny_class_is_learnt_from() -> None:
    curve, _ = curve_of(dataset(100, 10))
    assert curve.points[0].accuracy.value is not None
