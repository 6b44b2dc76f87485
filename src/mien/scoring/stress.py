"""Stress: how often a classifier is right on changed copies of images, beside the same images as they are."""

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

# Beyond chance is what happens by chance once in twenty times, in any of the changes that are tested together.
_LEVEL = 0.05
WORDS = {change.name: change.words for change in CHANGES}
ASPECTS_OF: dict[str, tuple[Aspect, ...]] = {change.name: change.aspects for change in CHANGES}


@dataclass(frozen=True)
class Answers:
    """What is said of N images that were not trained on, as they are and changed in one way.

    Attributes:
        change: Name of the change.
        labels: True class numbers, (N,).
        unchanged: Probabilities, (N, C), for the images as they are.
        changed: Likewise, for the changed ones.
        groups: A number for each image, (N,), which copies and images of one subject share.
    """

    change: str
    labels: NDArray[np.int64]
    unchanged: NDArray[np.float32]
    changed: NDArray[np.float32]
    groups: NDArray[np.int64] = field(repr=False)

    @property
    def gain(self) -> NDArray[np.int64]:
        """Of each image 1 where only the changed one is answered right, -1 where only the other is, otherwise 0."""
        return right(self.changed, self.labels).astype(np.int64) - right(self.unchanged, self.labels)

    def is_worse(self) -> bool:
        """Return whether changed images are answered worse than unchanged ones: less often right, beyond chance.

        Or with a cross-entropy that is higher by more than a standard error, where a group counts as one.
        """
        rise = cross_entropies(self.changed, self.labels) - cross_entropies(self.unchanged, self.labels)
        sums = np.bincount(np.unique(self.groups, return_inverse=True)[1], rise)
        return is_beyond_chance(self.gain, self.groups) or bool(sums.mean() > sums.std() / np.sqrt(len(sums)))

    @property
    def share_right(self) -> float:
        """Share of the changed images that are answered right."""
        return float(right(self.changed, self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the changed images, in nats."""
        return cross_entropy(self.changed, self.labels)


def joined(answers: Iterable[Answers], names: Sequence[str]) -> Answers:
    """Return what is said of images that are changed in one of several ways, as if that were one."""
    some = [each for each in answers if each.change in names]
    columns = zip(*((each.labels, each.unchanged, each.changed, each.groups) for each in some), strict=True)
    return Answers("", *(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Stressed:
    """How often a classifier is right on images that are changed in one way.

    Attributes:
        change: Name of the change, as in `mien.core.changes.CHANGES`.
        unchanged: Share of these images that it answers right as they are.
        changed: Share that it answers right when they are changed.
        baseline: Share that is answered right by always saying the class that most of them have.
        is_lower: Whether it falls beyond chance, by McNemar's exact test, corrected for the number of changes.
        before: What `changed` would be without changed copies among the images trained on; None where there are none.
        was_lower: Whether that falls beyond chance.
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
            raise ValueError(f"there is no change {self.change!r} with a baseline of {self.baseline}")
        for score in (self.unchanged, self.changed, *([self.before] if self.before else [])):
            shares_fit = 0 <= score.low <= score.high <= 1 and 0 <= (-1 if score.value is None else score.value) <= 1
            if not shares_fit or score.num_images < 1:
                raise ValueError(f"a score of {self.change} images is {score}")

    @property
    def sentence(self) -> str:
        """What falls, in words that go on after "it does worse on images that are"."""
        told = f"{WORDS[self.change]}: right for {self.changed.value:.0%} instead of {self.unchanged.value:.0%}"
        if not self.changed.low <= self.baseline < 1:
            return told
        is_sure = (self.changed.value or 0) <= self.baseline
        return f"{told}, {'' if is_sure else 'perhaps '}no better than guessing"


def places_to_change(
    dataset: Dataset, places: NDArray[np.int64], changes: Sequence[Change], most: int
) -> dict[Change, NDArray[np.int64]]:
    """Choose for each change some images that it applies to.

    Their content decides, so that most are the same again where images are added. A change that applies to none of them
    is passed over.

    Args:
        dataset: Where the images are.
        places: Which to choose from.
        changes: What is to be done to them.
        most: How many at most for each change.
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
    """Return which answers are right, (N,)."""
    is_right: NDArray[np.bool_] = probs.argmax(axis=1) == labels
    return is_right


def is_beyond_chance(gains: NDArray[np.int64], groups: NDArray[np.int64], *, num_tests: int = 1) -> bool:
    """Return whether answers are more often lost than won, and not by chance.

    Args:
        gains: Of each image 1 for an answer won, -1 for one lost, (N,).
        groups: A number for each image, (N,): those of a group count as one.
        num_tests: How many such questions are asked at a time.

    Source:
        C. Bonferroni, Teoria statistica delle classi e calcolo delle probabilita, 1936.
    """
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], gains)
    num_lost, num_won = int((sums < 0).sum()), int((sums > 0).sum())
    return num_lost > num_won and mcnemar(num_lost, num_won) * num_tests < _LEVEL


def weakness_of(stressed: Sequence[Stressed]) -> str:
    """Return in one sentence in which changed images a classifier is right less often, beyond chance; "" for none."""
    lower = [each.sentence for each in stressed if each.is_lower]
    return f"It does worse on images that are {'; '.join(lower)}." if lower else ""


def judge_stress(
    answers: Sequence[Answers],
    *,
    before: Iterable[Answers] = (),
    shortcuts: Collection[str] = (),
    num_folds: int = 0,
    by_groups: bool = False,
) -> tuple[Stressed, ...]:
    """Score what is said of changed images; first the changes by which a shortcut would be seen.

    Args:
        answers: For each change.
        before: Likewise, of classifiers that were trained on no changed copies.
        shortcuts: Aspects that are known to give the class away: of changes in these a fall is expected, and takes less
            to be told than among all.
        num_folds: Of the cross-validation that gave them; 0 where one classifier gave all.
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
