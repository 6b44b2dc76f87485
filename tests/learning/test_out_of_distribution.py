"""Distribution: new images of the kind trained on are let pass, others are pointed out; the file says the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.learning.out_of_distribution import fit_distribution


def features(num_images: int, seed: int, *, kind: int = 0) -> NDArray[np.float32]:
    """Draw features that vary in twelve directions, which differ from kind to kind, and a little in all others."""
    directions = np.random.default_rng(kind).normal(size=(12, 200))
    rng = np.random.default_rng(1000 + seed)
    rows = 8 + rng.normal(size=(num_images, 12)) @ directions + 0.5 * rng.normal(size=(num_images, 200))
    return np.maximum(rows, 0).astype(np.float32)


@pytest.mark.parametrize("num_images", [50, 150, 400])
def test_new_images_of_the_same_kind_pass_and_others_do_not(num_images: int) -> None:
    distribution = fit_distribution(features(num_images, 0), groups=range(num_images))
    assert (distribution.distances(features(300, 1)) > distribution.limit).mean() < 0.1
    assert (distribution.distances(features(300, 1, kind=1)) > distribution.limit).mean() > 0.9


def test_images_held_out_set_the_limit_where_there_are_some() -> None:
    held_out = 3 * features(80, 2) + features(80, 3, kind=2)
    usual = fit_distribution(features(150, 0), groups=range(150))
    wider = fit_distribution(features(150, 0), groups=range(150), held_out=held_out)
    assert wider.limit > usual.limit
    assert (wider.distances(held_out) > wider.limit).mean() < 0.1


def test_copies_do_not_make_new_images_look_far_away() -> None:
    once = features(60, 0)
    copies = np.repeat(once, 5, axis=0)
    alone = fit_distribution(once, groups=range(60))
    together = fit_distribution(copies, groups=np.repeat(np.arange(60), 5).tolist())
    assert together.limit > 0.8 * alone.limit
    assert (together.distances(features(300, 1)) > together.limit).mean() < 0.1


@pytest.mark.parametrize(
    "rows", [np.zeros((5, 8), np.float32), np.ones((2, 8), np.float32), np.eye(1, 8, dtype=np.float32)]
)
def test_features_that_say_nothing_break_nothing(rows: NDArray[np.float32]) -> None:
    distribution = fit_distribution(rows, groups=range(len(rows)))
    assert np.isfinite(distribution.limit)
    assert np.isfinite(distribution.distances(np.vstack([rows, 100 * np.ones((1, 8), np.float32)]))).all()


@pytest.mark.medium
def test_very_many_images_take_no_longer() -> None:
    many = np.tile(features(500, 0), (20, 1))
    assert fit_distribution(many, groups=range(len(many))).directions.shape == (200, 32)
