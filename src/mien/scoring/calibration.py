"""Calibration: how far the probabilities can be trusted, and what a threshold would answer correctly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.scores import Score, wilson_score

_THRESHOLDS = (*(step / 40 for step in range(1, 40)), 0.99)
_MAX_RESAMPLES, _MAX_DRAWN = 1000, 10_000_000
# A bin with fewer images says too little; nobody reads a chart with more bins.
_BIN_SIZE, _MAX_BINS = 40, 10
# With fewer answers above it than this, a threshold has not been tested well enough.
_FEW_ANSWERS = 10
# Each part is answered with a threshold chosen on the other parts.
_NUM_PARTS = 5


@dataclass(frozen=True)
class Bin:
    """Images with a similar top probability.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: Share of correct predictions.
    """

    confidence: float
    accuracy: Score


@dataclass(frozen=True)
class Calibration:
    """How well the probabilities match the accuracy.

    Attributes:
        confidence: Mean probability of the predicted class, to compare with the accuracy.
        error: Expected calibration error: the gap between confidence and accuracy in a bin, averaged over the images.
        chance: A perfectly calibrated classifier would have an error below this 19 times out of 20.
        bins: Bins of about equal size, from the least to the most confident.
    """

    confidence: float
    error: Score
    chance: float
    bins: tuple[Bin, ...]

    @property
    def error_text(self) -> str:
        """The error with its 95% interval; "below 1%" if both ends would round to 0%."""
        if round(100 * self.error.high) == 0:
            return "below 1%"
        return f"{self.error.value:.0%} (95% interval {self.error.low:.0%} to {self.error.high:.0%})"


@dataclass(frozen=True)
class Coverage:
    """What a threshold leaves.

    Attributes:
        threshold: Lowest probability at which the classifier answers.
        answered: Share of the images that get an answer.
        accuracy: Share of those answers that are correct.
    """

    threshold: float
    answered: Score
    accuracy: Score


def round_thresholds(coverage: Sequence[Coverage], room: float) -> list[Coverage]:
    """Return the rows to label in a chart of thresholds: 5%, 10% and so on, where there is room.

    Args:
        coverage: What `measure_coverage` returned.
        room: The smallest distance between two labels, as a share of the images.
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
    """Compare how confident the predictions are with how often they are correct.

    Args:
        probs: (N, C); N is at least 1.
        labels: True class numbers, (N,).
        num_folds: Folds of the cross-validation that made the predictions; 0 for none.
        groups: Group number of each image, (N,).

    Source:
        M. P. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015 (error);
        J. Broecker, L. A. Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting 22, 2007
        (chance).
    """
    confidence, right = probs.max(axis=1).astype(np.float64), probs.argmax(axis=1) == labels
    num_bins = int(np.clip(len(labels) // _BIN_SIZE, 1, _MAX_BINS))
    # Images with exactly the same confidence stay together.
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
    """Measure, for thresholds from 0 up, how many images get an answer and how many of those answers are correct.

    Args:
        probs: (N, C); N is at least 1.
        labels: True class numbers, (N,).
        threshold: A threshold to include.
        num_folds: Folds of the cross-validation that made the predictions; 0 for none.
        groups: Group number of each image, (N,).
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    # The top probability is never below one over the number of classes.
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
    """Return the lowest threshold that reaches a precision; None if there is none.

    Thresholds that leave fewer than ten answers are ignored.

    Args:
        coverage: What `measure_coverage` returned.
        target_precision: Share of the answers that should be correct.
        least: The lowest threshold to consider.
    """
    tried = [row for row in coverage if row.accuracy.num_images >= _FEW_ANSWERS and row.threshold >= least]
    return next((row for row in tried if (row.accuracy.value or 0.0) >= target_precision), None)


def closest_threshold(coverage: Sequence[Coverage], *, least: float = 0.0) -> Coverage:
    """Return the threshold, at least `least`, with the highest lower bound of the accuracy."""
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
    """Return the share answered, and the share of those that are correct, with thresholds chosen on other images.

    The images are divided into five parts. Each part is answered with the threshold chosen on the other four.

    Args:
        probs: (N, C), for held-out images.
        labels: True class numbers, (N,).
        target_precision: As for `choose_threshold`. If no threshold reaches it, `closest_threshold` is used.
        least: The lowest threshold to consider.
        num_folds: Folds of the cross-validation that made the predictions; 0 for none.
        groups: Group number of each image, (N,).
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
    """Return the expected calibration error of images in the bins `places`, (N,), and what chance alone would give."""
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
    # With few images the error is biased upwards, and more so in resamples: only the upper half-width is meaningful.
    half = float(np.quantile(again, 0.975)) - found
    chance = float(np.quantile(by_chance, 0.95))
    low = 0.0 if found <= chance else max(0.0, found - half)
    method = "stratified bootstrap" if of_group is None else "bootstrap of groups"
    num_groups = None if of_group is None else len(of_group)
    return Score(found, low, min(1.0, found + half), len(labels), method, num_groups), chance


def _mean_gap(gaps: NDArray[np.float64], places: NDArray[np.int64]) -> float:
    return float(np.abs(np.bincount(places, gaps)).sum() / len(gaps))
