"""Stress: the accuracy on changed copies of images, compared with the same images unchanged."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mien.config import Aspect
from mien.core.changes import CHANGES, Change
from mien.core.probabilities import cross_entropies, cross_entropy
from mien.core.scores import Score, wilson_score
from mien.data.dataset import Dataset
from mien.scoring.paired import mcnemar

# Significance level, shared by all the changes tested together.
_LEVEL = 0.05
WORDS = {change.name: change.words for change in CHANGES}
ASPECTS_OF: dict[str, tuple[Aspect, ...]] = {change.name: change.aspects for change in CHANGES}


@dataclass(frozen=True)
class Answers:
    """Predictions for N held-out images, unchanged and changed in one way.

    Attributes:
        change: Name of the change.
        labels: True class numbers, (N,).
        unchanged: Probabilities, (N, C), for the unchanged images.
        changed: Probabilities, (N, C), for the changed images.
        groups: Group number of each image, (N,), shared by copies and images of one subject.
    """

    change: str
    labels: NDArray[np.int64]
    unchanged: NDArray[np.float32]
    changed: NDArray[np.float32]
    groups: NDArray[np.int64] = field(repr=False)

    @property
    def gain(self) -> NDArray[np.int64]:
        """For each image, 1 if only the changed version is correct, -1 if only the unchanged one is, otherwise 0."""
        return right(self.changed, self.labels).astype(np.int64) - right(self.unchanged, self.labels)

    def is_worse(self) -> bool:
        """Return whether predictions get worse on changed images, beyond chance.

        Either the accuracy is lower, or the cross-entropy is higher by more than one standard error (by group).
        """
        rise = cross_entropies(self.changed, self.labels) - cross_entropies(self.unchanged, self.labels)
        sums = np.bincount(np.unique(self.groups, return_inverse=True)[1], rise)
        return is_beyond_chance(self.gain, self.groups) or bool(sums.mean() > sums.std() / np.sqrt(len(sums)))

    @property
    def share_right(self) -> float:
        """Accuracy on the changed images."""
        return float(right(self.changed, self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the changed images, in nats."""
        return cross_entropy(self.changed, self.labels)


def joined(answers: Iterable[Answers], names: Sequence[str]) -> Answers:
    """Merge the predictions for several changes into one."""
    some = [each for each in answers if each.change in names]
    columns = zip(*((each.labels, each.unchanged, each.changed, each.groups) for each in some), strict=True)
    return Answers("", *(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Stressed:
    """The accuracy on images that are changed in one way.

    Attributes:
        change: Name of the change, as in `mien.core.changes.CHANGES`.
        unchanged: Accuracy on these images unchanged.
        changed: Accuracy on these images changed.
        baseline: Accuracy of always guessing their largest class.
        is_lower: Whether the accuracy drops beyond chance, by McNemar's exact test, corrected for multiple changes.
        before: What `changed` would be without changed copies in training; None if there are none in training.
        was_lower: Whether `before` is a drop beyond chance.
    """

    change: str
    unchanged: Score
    changed: Score
    baseline: float
    is_lower: bool
    before: Score | None = None
    was_lower: bool = False

    def __post_init__(self) -> None:
        if self.change not in WORDS or not 0 <= self.baseline <= 1:
            raise ValueError(f"unknown change {self.change!r}, or impossible baseline {self.baseline}")
        for score in (self.unchanged, self.changed, *([self.before] if self.before else [])):
            shares_fit = 0 <= score.low <= score.high <= 1 and 0 <= (-1 if score.value is None else score.value) <= 1
            if not shares_fit or score.num_images < 1:
                raise ValueError(f"impossible score on {self.change} images: {score}")

    @property
    def sentence(self) -> str:
        """The drop, as the end of the sentence "Accuracy drops on images that are"."""
        told = f"{WORDS[self.change]}: {self.changed.value:.0%} instead of {self.unchanged.value:.0%}"
        if not self.changed.low <= self.baseline < 1:
            return told
        is_sure = (self.changed.value or 0) <= self.baseline
        return f"{told}, {'' if is_sure else 'perhaps '}no better than guessing ({self.baseline:.0%})"


def places_to_change(
    dataset: Dataset, places: NDArray[np.int64], changes: Sequence[Change], most: int
) -> dict[Change, NDArray[np.int64]]:
    """Choose some images for each change, among those that it applies to.

    The choice depends on their content, so that it stays mostly the same when images are added. A change that applies
    to none of them is skipped.

    Args:
        dataset: The Dataset that holds the images.
        places: Indexes of the images to choose from.
        changes: The changes.
        most: Maximum number of images for each change.
    """
    boxes = dataset.face_boxes(places)
    chosen = {}
    for change in changes:
        fitting = []
        for place, faces in zip(places.tolist(), boxes, strict=True):
            record = dataset.records[place]
            if change.applies_to(faces, record.width / max(record.height, 1)):
                fitting.append((hashlib.sha256(f"{change.name} {record.sha256}".encode()).digest(), place))
        if fitting:
            chosen[change] = np.array(sorted(place for _, place in sorted(fitting)[:most]), np.int64)
    return chosen


def right(probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which predictions are correct, (N,)."""
    is_right: NDArray[np.bool_] = probs.argmax(axis=1) == labels
    return is_right


def is_beyond_chance(gains: NDArray[np.int64], groups: NDArray[np.int64], *, num_tests: int = 1) -> bool:
    """Return whether more predictions become wrong than become correct, beyond chance.

    Args:
        gains: For each image, 1 if it becomes correct, -1 if it becomes wrong, otherwise 0, (N,).
        groups: Group number of each image, (N,); a group counts as one.
        num_tests: Number of tests made together.

    Source:
        C. Bonferroni, Teoria statistica delle classi e calcolo delle probabilita, 1936.
    """
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], gains)
    num_lost, num_won = int((sums < 0).sum()), int((sums > 0).sum())
    return num_lost > num_won and mcnemar(num_lost, num_won) * num_tests < _LEVEL


def weakness_of(stressed: Sequence[Stressed]) -> str:
    """Return one sentence that names the changes with a drop in accuracy beyond chance; "" for none."""
    lower = [each.sentence for each in stressed if each.is_lower]
    return f"Accuracy drops on images that are {'; '.join(lower)}." if lower else ""


def judge_stress(
    answers: Sequence[Answers],
    *,
    before: Iterable[Answers] = (),
    shortcuts: Collection[str] = (),
    num_folds: int = 0,
    by_groups: bool = False,
) -> tuple[Stressed, ...]:
    """Score predictions for changed images. Changes that would reveal a known shortcut come first.

    Args:
        answers: Predictions for each change.
        before: The same by classifiers trained without changed copies.
        shortcuts: Aspects known to give the class away. A drop is expected for changes in these, so they are tested
            separately, which takes fewer images.
        num_folds: Folds of the cross-validation; 0 if a single classifier made all predictions.
        by_groups: Whether the intervals count groups.
    """
    earlier = {each.change: each for each in before}

    def score(each: Answers, probs: NDArray[np.float32]) -> Score:
        groups = each.groups if by_groups else None
        return wilson_score(int(right(probs, each.labels).sum()), len(each.labels), num_folds=num_folds, groups=groups)

    def is_expected(each: Answers) -> bool:
        return bool(set(ASPECTS_OF[each.change]) & set(shortcuts))

    found = []
    num_expected = sum(map(is_expected, answers))
    for each in sorted(answers, key=lambda each: not is_expected(each)):
        num_tests = num_expected if is_expected(each) else len(answers)
        stressed = Stressed(
            each.change,
            score(each, each.unchanged),
            score(each, each.changed),
            float(np.bincount(each.labels).max() / len(each.labels)),
            is_beyond_chance(each.gain, each.groups, num_tests=num_tests),
        )
        if each.change in earlier:
            was = earlier[each.change]
            was_lower = is_beyond_chance(was.gain, was.groups, num_tests=num_tests)
            stressed = replace(stressed, before=score(each, was.changed), was_lower=was_lower)
        found.append(stressed)
    return tuple(found)
