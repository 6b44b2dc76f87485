"""Suspicion: whether the classifier learns subjects, such as patients, whose images have similar names.

If images of one subject are in both the training and the test split, a classifier can recognise the subject, and its
score says nothing about new subjects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.subjects import find_rule, guess_rule
from mien.learning.methods import Method
from mien.scoring.leave_one_out import accuracies_without_groups
from mien.scoring.results import Finding

# More images take too long: the time grows with the cube of their number.
_MAX_IMAGES = 2000
# The groups are compared with random groups of the same sizes, and must do worse than all but a few of them.
_NUM_RANDOM, _MAX_WORSE = 99, 2
# The smallest drop in accuracy that a user would notice.
_LEAST_LOSS = 0.03


@dataclass(frozen=True)
class Suspicion:
    """The suspicion that the classifier recognises subjects.

    Attributes:
        rule: How to find the subjects in paths, as a value for --group-by.
        num_groups: Number of subjects.
        by_images: Accuracy when other images of the subject were used in training.
        by_groups: Accuracy when none were.
    """

    rule: str
    num_groups: int
    by_images: float
    by_groups: float

    def finding(self, *, kept_together: bool) -> Finding:
        """Return the suspicion as a finding.

        Args:
            kept_together: Whether the split and the scores keep subjects together.
        """
        text = (
            f"It may have learnt the subjects instead of the classes: {self.by_images:.0%} accurate on known subjects, "
            f"{self.by_groups:.0%} on new ones (the names suggest {self.num_groups} subjects)."
        )
        advice = (
            f"The scores already keep subjects together (--group-by '{self.rule}'). If these are not subjects, add "
            "--group-by none."
        )
        if not kept_together:
            advice = (
                "The scores do not keep subjects together, because there are too few for a split, or --split divides "
                f"them. With more subjects, train with --group-by '{self.rule}' and without --split."
            )
        return Finding("subjects", text, advice)


def suspect(method: Method, dataset: Dataset, *, seed: int = 0) -> Suspicion | None:
    """Return a suspicion if the classifier is better on known subjects than chance allows; otherwise None.

    Args:
        method: What `prepare` returned. Without features, there is no result.
        dataset: What `clean` returned.
        seed: Random seed for the random groups, and for sampling if there are very many images.
    """
    rule = guess_rule(dataset)
    if rule is None:
        return None
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(dataset.indexes())[:_MAX_IMAGES])
    features = method.features_of(places)
    if features is None:
        return None
    group_of = find_rule(rule, dataset.layout)
    names = [group_of(dataset.records[place].path) or f"/{place}" for place in places]
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    labels = dataset.labels(places)
    random = [_shuffled(groups, labels, rng) for _ in range(_NUM_RANDOM)]
    groupings = [np.arange(len(places)), groups, *random]
    by_images, by_groups, *by_chance = accuracies_without_groups(
        features, labels, groupings, num_classes=len(dataset.class_names)
    ).tolist()
    num_worse = sum(found <= by_groups for found in by_chance)
    if num_worse > _MAX_WORSE or float(np.median(by_chance)) - by_groups < _LEAST_LOSS:
        return None
    return Suspicion(rule, len(set(names)), by_images, by_groups)


def _shuffled(groups: NDArray[np.int64], labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return random groups with the same sizes within each class."""
    shuffled = groups.copy()
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        shuffled[places] = rng.permutation(groups[places])
    return shuffled
