"""Paired comparison: the difference between two accuracies on the same images."""

import math

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import Z_95, Score, wilson_score

# The 80% quantile of the normal distribution: a power of 80%.
_Z_POWER = 0.8416212335729143


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test: how likely a split this uneven is if both are equally good.

    Images that both get right, or both get wrong, do not count. Each of the others is a coin toss.

    Args:
        only_first: Number of images that only the first gets right.
        only_second: Number of images that only the second gets right.

    Source:
        Q. McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
        Psychometrika 12, 1947; its exact, two-sided form by the binomial distribution.

    Example:
        >>> round(mcnemar(6, 16), 4)
        0.0525
    """
    num_apart = only_first + only_second
    ways, term = 0, 1
    for num_right in range(min(only_first, only_second) + 1):
        ways += term
        # The next binomial coefficient follows from this one; in integers it is exact for any number of images.
        term = term * (num_apart - num_right) // (num_right + 1)
    return min(1.0, 2 * ways / (1 << num_apart))


def p_value_text(p_value: float) -> str:
    """Return a p-value as text."""
    if p_value < 0.001:
        return "less than 0.001"
    # 0.0525 must not be rounded to 0.05, the significance level.
    return f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def num_better(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, groups: NDArray[np.int64] | None = None
) -> tuple[int, int]:
    """Return on how many images, or groups, the first is right more often, and on how many the second.

    Args:
        first: Which images the first gets right, (N,).
        second: Which images the second gets right, (N,).
        groups: Group number of each image, (N,).
    """
    apart = first.astype(np.int64) - second
    if groups is not None:
        numbers = np.unique(groups, return_inverse=True)[1]
        apart = np.round(np.bincount(numbers, weights=apart)).astype(np.int64)
    return int((apart > 0).sum()), int((apart < 0).sum())


def paired_difference(
    both_right: int, only_first: int, only_second: int, both_wrong: int, *, groups: NDArray[np.int64] | None = None
) -> Score:
    """Return the difference between two accuracies on the same images, with a 95% interval for paired data.

    Args:
        both_right: Number of images that both get right.
        only_first: Number of images that only the first gets right.
        only_second: Number of images that only the second gets right.
        both_wrong: Number of images that both get wrong.
        groups: Group number of each image; the interval then counts groups.

    Source:
        R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired
        data, Statistics in Medicine 17, 1998: method 10, from Wilson's intervals.

    Example:
        >>> score = paired_difference(36, 12, 2, 0)
        >>> round(score.value, 4), round(score.low, 4), round(score.high, 4)
        (0.2, 0.0569, 0.3404)
    """
    num_images = both_right + only_first + only_second + both_wrong
    first, second = (
        wilson_score(both_right + only_first, num_images, groups=groups),
        wilson_score(both_right + only_second, num_images, groups=groups),
    )
    method = "Newcombe's method 10 for pairs" if groups is None else "Newcombe's method 10 for pairs, for groups"
    if first.value is None or second.value is None:
        return Score(None, -1.0, 1.0, 0, method)
    phi = _correlation(both_right, only_first, only_second, both_wrong)
    value = (only_first - only_second) / num_images
    below = _joined(first.value - first.low, second.high - second.value, phi)
    above = _joined(first.high - first.value, second.value - second.low, phi)
    return Score(value, max(-1.0, value - below), min(1.0, value + above), num_images, method, first.num_groups)


def _joined(first_half: float, second_half: float, phi: float) -> float:
    return math.sqrt(max(0.0, first_half**2 - 2 * phi * first_half * second_half + second_half**2))


def _correlation(both_right: int, only_first: int, only_second: int, both_wrong: int) -> float:
    """Return the correlation of correct answers; a positive one is reduced by Newcombe's correction."""
    first, second = both_right + only_first, both_right + only_second
    num_images = first + only_second + both_wrong
    product = first * (num_images - first) * second * (num_images - second)
    if not product:
        return 0.0
    excess = float(both_right * both_wrong - only_first * only_second)
    corrected = max(0.0, excess - num_images / 2) if excess > 0 else excess
    return corrected / math.sqrt(product)


def num_needed(only_first: int, only_second: int, num_images: int) -> int | None:
    """Return about how many images are needed to confirm the observed difference with a power of 80%.

    Args:
        only_first: Number of images that only the first gets right.
        only_second: Number of images that only the second gets right.
        num_images: Number of all images.

    Returns:
        More than `num_images`; None if there is no difference.

    Source:
        R. J. Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43,
        1987.
    """
    apart, difference = (only_first + only_second) / num_images, (only_first - only_second) / num_images
    if not difference:
        return None
    root = Z_95 * math.sqrt(apart) + _Z_POWER * math.sqrt(apart - difference**2)
    needed = (root / difference) ** 2
    step = int(10 ** max(1, math.floor(math.log10(needed)) - 1))
    # The formula is approximate. It must not suggest a number that was just too small for the exact test.
    return max(math.ceil(needed / step), num_images // step + 1) * step
