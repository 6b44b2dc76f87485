"""What pairs of answers say: the values that were published, and those that counting gives."""

import math

import numpy as np
import pytest

from mien.scoring.paired import mcnemar, num_needed, paired_difference


def test_the_exact_test_gives_published_and_enumerated_values() -> None:
    # The first is the worked example of Wikipedia's page on McNemar's test.
    assert mcnemar(6, 16) == mcnemar(16, 6) == pytest.approx(0.0525, abs=5e-5)
    assert (mcnemar(0, 0), mcnemar(5, 5), mcnemar(0, 1)) == (1.0, 1.0, 1.0)
    for first, second in ((0, 6), (1, 9), (3, 17), (40, 60)):
        num = first + second
        chances = [math.comb(num, k) / 2**num for k in range(num + 1)]
        as_uneven = sum(p for k, p in enumerate(chances) if abs(2 * k - num) >= abs(first - second))
        assert mcnemar(first, second) == pytest.approx(as_uneven)
    assert 0 < mcnemar(9_800, 10_200) < 0.01


def test_the_interval_for_pairs_gives_published_values() -> None:
    # Newcombe 1998, table II; then Altman and others, Statistics with Confidence, 2000, table 6.2.
    score = paired_difference(36, 12, 2, 0)
    assert (score.low, score.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    score = paired_difference(14, 5, 0, 22)
    assert (score.value, score.low, score.high) == pytest.approx((0.122, 0.011, 0.226), abs=5e-4)


def test_the_interval_for_pairs_names_its_method() -> None:
    assert paired_difference(36, 12, 2, 0).method == "Newcombe's method 10 for pairs"
    assert paired_difference(0, 0, 0, 0).method == "Newcombe's method 10 for pairs"
    by_groups = paired_difference(1, 1, 0, 0, groups=np.array([0, 1]))
    assert by_groups.method == "Newcombe's method 10 for pairs, for groups"


def test_the_interval_for_pairs_is_symmetric_and_stays_in_range() -> None:
    for table in ((0, 5, 0, 0), (0, 0, 0, 5), (5, 0, 0, 0), (3, 1, 4, 2), (0, 7, 7, 0)):
        score = paired_difference(*table)
        other = paired_difference(table[0], table[2], table[1], table[3])
        assert -1 <= score.low <= (score.value or 0) <= score.high <= 1
        assert (other.low, other.high) == pytest.approx((-score.high, -score.low))


def test_more_images_are_needed_than_were_too_few_and_fewer_for_a_larger_difference() -> None:
    assert num_needed(5, 5, 100) is None
    small, large = num_needed(6, 10, 229), num_needed(5, 0, 15)
    assert small is not None and large is not None
    assert small > 229
    assert 15 < large < small
