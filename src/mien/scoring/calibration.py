"""Calibration: whether probabilities mean what they say, and how much is answered right above a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import Score, wilson_score

_THRESHOLDS = (*(step / 40 for step in range(1, 40)), 0.99)
_MAX_RESAMPLES, _MAX_DRAWN = 1000, 10_000_000
# So many images in a bin say something about it; and more bins than this nobody looks at.
_BIN_SIZE, _MAX_BINS = 40, 10
# A threshold that leaves fewer answers than this was not tried enough to be relied on.
_FEW_ANSWERS = 10
# So many parts, of which one after another is answered with a threshold that the others chose.
_NUM_PARTS = 5


@dataclass(frozen=True)
class Bin:
    """Images of which the classifier was about as sure.

    Attributes:
        confidence: Mean probability of the label given.
        accuracy: Share answered right.
    """

    confidence: float
    accuracy: Score


@dataclass(frozen=True)
class Calibration:
    """Whether a classifier is right as often as it says.

    Attributes:
        confidence: Mean probability of the label given; to be compared with the accuracy.
        error: Expected calibration error: how far the two lie apart in a bin, averaged over the images.
        chance: A classifier that is right exactly as often as it says has an error below this 19 times in 20.
        bins: By confidence, the least sure first; as many images in each.
    """

    confidence: float
    error: Score
    chance: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Coverage:
    """What is left when a classifier answers only where it is sure enough.

    Attributes:
        threshold: Least probability of the label.
        answered: Share of the images that get an answer.
        accuracy: Share of those answered right.
    """

    threshold: float
    answered: Score
    accuracy: Score


def round_thresholds(coverage: Sequence[Coverage], room: float) -> list[Coverage]:
    """Return the rows to name in a drawing of what thresholds leave: those of 5%, 10% ..., as far as they have room.

    Args:
        coverage: What `measure_coverage` returned.
        room: How far apart they must be at least, as a share of the images.
    """
    chosen: list[Coverage] = []
    for row in coverage:
        is_round = abs(row.threshold * 20 - round(row.threshold * 20)) < 1e-9
        has_room = not chosen or (chosen[-1].answered.value or 0.0) - (row.answered.value or 0.0) > room
        if row.threshold and is_round and has_room and row.accuracy.value is not None:
            chosen.append(row)
    return chosen


def measure_calibration(
    probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    num_folds: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> Calibration:
    """Compare the probabilities of the labels given with how often they are right.

    Args:
        probs: (N, C); N is at least 1.
        labels: True class numbers, (N,).
        num_folds: Of the cross-validation that judged them, if any.
        groups: A number for each image, (N,), which those of one group share.

    Source:
        M. P. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015 (error);
        J. Broecker, L. A. Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting 22, 2007
        (what is chance).
    """
    confidence, right = probs.max(axis=1).astype(np.float64), probs.argmax(axis=1) == labels
    num_bins = int(np.clip(len(labels) // _BIN_SIZE, 1, _MAX_BINS))
    # Images of which it is exactly as sure stay together.
    ends = np.unique(np.quantile(confidence, np.arange(1, num_bins) / num_bins))
    places = np.unique(np.searchsorted(ends, confidence, side="right"), return_inverse=True)[1]
    bins = tuple(
        Bin(
            float(confidence[places == number].mean()),
            wilson_score(
                int(right[places == number].sum()),
                int((places == number).sum()),
                num_folds=num_folds,
                groups=None if groups is None else groups[places == number],
            ),
        )
        for number in range(places.max() + 1)
    )
    error, chance = _error(confidence, right, places, labels, groups)
    return Calibration(float(confidence.mean()), error, chance, bins)


def measure_coverage(
    probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    threshold: float = 0.0,
    num_folds: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Coverage, ...]:
    """Say for thresholds from 0 up how much is answered, and how much of that is right.

    Args:
        probs: (N, C); N is at least 1.
        labels: True class numbers, (N,).
        threshold: One that is to be among them.
        num_folds: Of the cross-validation that judged them, if any.
        groups: A number for each image, (N,), which those of one group share.
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    # Below one over the number of classes nothing is unsure.
    thresholds = {0.0, threshold, *(value for value in _THRESHOLDS if value > 1 / probs.shape[1])}
    return tuple(
        Coverage(
            value,
            wilson_score(int(sure.sum()), len(labels), num_folds=num_folds, groups=groups),
            wilson_score(
                int(right[sure].sum()),
                int(sure.sum()),
                num_folds=num_folds,
                groups=None if groups is None else groups[sure],
            ),
        )
        for value in sorted(thresholds)
        for sure in (confidence >= value,)
    )


def choose_threshold(coverage: Sequence[Coverage], target_precision: float, *, least: float = 0.0) -> Coverage | None:
    """Return the lowest threshold above which that share of the answers was right; None where there is none.

    Fewer than ten answers count for nothing.

    Args:
        coverage: What `measure_coverage` returned.
        target_precision: Share of the answers that is to be right.
        least: No threshold below this one.
    """
    tried = [row for row in coverage if row.accuracy.num_images >= _FEW_ANSWERS and row.threshold >= least]
    return next((row for row in tried if (row.accuracy.value or 0.0) >= target_precision), None)


def closest_threshold(coverage: Sequence[Coverage], *, least: float = 0.0) -> Coverage:
    """Return the threshold, not below `least`, above which most answers are surely right, where none is good enough."""
    tried = [row for row in coverage if row.threshold >= least]
    return max(tried, key=lambda row: (row.accuracy.low, row.threshold))


def try_thresholds(
    probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    target_precision: float,
    *,
    least: float = 0.0,
    num_folds: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Score, Score]:
    """Return how much is answered, and how much of that is right, where the threshold is chosen on other images.

    In five parts: each in turn is answered with the threshold that the other four would choose.

    Args:
        probs: (N, C), of images that were not trained on.
        labels: True class numbers, (N,).
        target_precision: As for `choose_threshold`; where none is good enough, `closest_threshold` is taken.
        least: No threshold below this one.
        num_folds: Of the cross-validation that judged the images, if any.
        groups: A number for each image, (N,), which those of one group share.
    """
    names = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    parts = np.random.default_rng(0).permutation(names.max() + 1)[names] % _NUM_PARTS
    sure = np.zeros(len(labels), np.bool_)
    for part in np.unique(parts):
        others = parts != part
        if not others.any():
            continue
        coverage = measure_coverage(probs[others], labels[others], threshold=least)
        chosen = choose_threshold(coverage, target_precision, least=least) or closest_threshold(coverage, least=least)
        sure[~others] = probs[~others].max(axis=1) >= chosen.threshold
    right = probs.argmax(axis=1) == labels
    answered = wilson_score(int(sure.sum()), len(labels), num_folds=num_folds, groups=groups)
    of_answered = None if groups is None else groups[sure]
    return answered, wilson_score(int(right[sure].sum()), int(sure.sum()), num_folds=num_folds, groups=of_answered)


def _error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    places: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
) -> tuple[Score, float]:
    """Return the expected calibration error of images whose bins are `places`, (N,), and what may be chance."""
    rng = np.random.default_rng(0)
    gaps = confidence - right
    found = _mean_gap(gaps, places)
    members = [np.flatnonzero(labels == number) for number in np.unique(labels)]
    of_group = None if groups is None else [np.flatnonzero(groups == number) for number in np.unique(groups)]
    num_resamples = int(np.clip(_MAX_DRAWN // len(labels), 100, _MAX_RESAMPLES))
    again, by_chance = np.empty(num_resamples), np.empty(num_resamples)
    for number in range(num_resamples):
        drawn = np.concatenate([rng.choice(some, len(some)) for some in members])
        if of_group is not None:
            drawn = np.concatenate([of_group[place] for place in rng.integers(0, len(of_group), len(of_group))])
        again[number] = _mean_gap(gaps[drawn], places[drawn])
        by_chance[number] = _mean_gap(confidence - (rng.random(len(labels)) < confidence), places)
    # Few images make it too large by chance, and resamples of them more so: the larger side is the honest one.
    half = float(np.quantile(again, 0.975)) - found
    chance = float(np.quantile(by_chance, 0.95))
    low = 0.0 if found <= chance else max(0.0, found - half)
    method = "stratified bootstrap" if of_group is None else "bootstrap of groups"
    num_groups = None if of_group is None else len(of_group)
    return Score(found, low, min(1.0, found + half), len(labels), method, num_groups), chance


def _mean_gap(gaps: NDArray[np.float64], places: NDArray[np.int64]) -> float:
    return float(np.abs(np.bincount(places, gaps)).sum() / len(gaps))
