"""Ranking: what each strategy puts first, for two and for many classes, whatever is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.config import NextConfig, Strategy
from mien.errors import SettingsError
from mien.learning.ranking import margins, narrowed, rank

STRATEGIES: tuple[Strategy, ...] = ("both", "uncertain", "diverse", "random")
NONE = np.zeros((0, 2), np.float32)


def points(*places: tuple[float, float]) -> NDArray[np.float32]:
    return np.array(places, np.float32)


def sure(*firsts: float) -> NDArray[np.float32]:
    """Return probabilities of two classes."""
    return np.array([(first, 1 - first) for first in firsts], np.float32)


def test_uncertain_puts_those_first_between_whose_classes_the_classifier_is_torn() -> None:
    probs = sure(0.9, 0.52, 0.3, 0.5)
    assert rank("uncertain", probs, points(*[(0, 0)] * 4), NONE).tolist() == [3, 1, 2, 0]


def test_of_many_classes_the_likeliest_two_tell_how_torn_it_is() -> None:
    probs = np.array([(0.4, 0.3, 0.3), (0.49, 0.48, 0.03), (0.98, 0.01, 0.01)], np.float32)
    assert margins(probs) == pytest.approx([0.1, 0.01, 0.97], abs=1e-6)
    assert rank("uncertain", probs, points(*[(0, 0)] * 3), NONE).tolist() == [1, 0, 2]


def test_diverse_puts_those_first_that_are_far_from_what_is_known_and_from_one_another() -> None:
    features = points((0, 1), (9, 0), (9.1, 0), (0, 5))
    assert rank("diverse", sure(*[0.5] * 4), features, points((0, 0))).tolist() == [2, 3, 0, 1]


def test_both_passes_over_what_is_far_away_but_sure_and_what_is_torn_but_known() -> None:
    features = points((9, 0), (0, 0.1), (0, 5), (0, 4.95))
    # The third is like the fourth, and has nothing more to tell once that is labelled.
    assert rank("both", sure(1.0, 0.5, 0.6, 0.55), features, points((0, 0))).tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("num_images", [0, 1, 50, 700])
@pytest.mark.parametrize("num_known", [0, 3])
def test_each_image_is_ranked_once_and_in_the_same_order_each_time(
    strategy: Strategy, num_images: int, num_known: int
) -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(5), num_images).astype(np.float32).reshape(-1, 5)
    features, known = (narrowed(rng.normal(size=(n, 40)).astype(np.float32)) for n in (num_images, num_known))
    order = rank(strategy, probs, features, known, seed=7)
    assert sorted(order) == list(range(num_images))
    assert order.tolist() == rank(strategy, probs, features, known, seed=7).tolist()


def test_another_seed_is_another_random_order() -> None:
    features = points(*[(0, 0)] * 30)
    orders = [rank("random", sure(*[0.5] * 30), features, NONE, seed=seed).tolist() for seed in (1, 2)]
    assert orders[0] != orders[1]


def test_images_that_are_all_the_same_are_ranked_all_the_same() -> None:
    features = points(*[(1, 0)] * 5)
    assert sorted(rank("both", sure(*[1.0] * 5), features, features)) == list(range(5))


def test_distances_are_kept_to_a_few_percent() -> None:
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(60, 1984))).astype(np.float32)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    apart, kept = (np.linalg.norm(part[:30] - part[30:], axis=1) for part in (units, narrowed(rows)))
    assert kept == pytest.approx(apart, rel=0.2)
    assert float(np.abs(kept / apart - 1).mean()) < 0.06


@pytest.mark.parametrize("wrong", [{"top": -1}, {"seed": -1}])
def test_settings_without_meaning_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        NextConfig(**wrong)  # type: ignore[arg-type]
