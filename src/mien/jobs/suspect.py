"""Suspicion: whether the classifier learns subjects, such as patients, whose images are named alike.

Where the images of one subject stand on both sides of a split, a classifier can know the subject again, and its score
says nothing about subjects that are new.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import Dataset
from mien.data.subjects import find_rule, guess_rule
from mien.learning.methods import Method
from mien.scoring.leave_one_out import accuracies_without_groups
from mien.scoring.results import Finding

# More images take too long: the time grows with the third power of their number.
_MAX_IMAGES = 2000
# The groups are told from as many random ones of the same sizes: they must do worse than all of these but a few.
_NUM_RANDOM, _MAX_WORSE = 99, 2
# And by so much, which a user would notice.
_LEAST_LOSS = 0.03


@dataclass(frozen=True)
class Suspicion:
    """That images of one subject are known again.

    Attributes:
        rule: By what the subjects are told, as --group-by takes it.
        num_groups: How many of them there are.
        by_images: Share answered right where other images of the subject were learnt from.
        by_groups: Share answered right where none was.
    """

    rule: str
    num_groups: int
    by_images: float
    by_groups: float

    def finding(self, *, kept_together: bool) -> Finding:
        """Return it as a sentence of the verdict.

        Args:
            kept_together: Whether the split and the scores keep the subjects together.
        """
        text = (
            f"{self.by_images:.0%} by images, {self.by_groups:.0%} by what look like {self.num_groups} subjects: "
            "it may have learnt the subjects, and not the classes."
        )
        advice = (
            f"The scores keep these subjects together, as --group-by '{self.rule}' does. If they are none: "
            "--group-by none."
        )
        if not kept_together:
            advice = (
                "The scores do not keep them together: there are too few for a split, or --split keeps one that "
                f"divides them. With images of more subjects, train with --group-by '{self.rule}', without --split."
            )
        return Finding("subjects", text, advice)


def suspect(method: Method, dataset: Dataset, *, seed: int = 0) -> Suspicion | None:
    """Say whether a classifier is better at images of subjects that it knows than chance allows; None if it is not.

    Args:
        method: What `prepare` returned; without features it cannot tell.
        dataset: What `clean` returned.
        seed: Decides the random groups, and which images where there are very many.
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
    """Return groups of the same sizes within each class, of images that chance put together."""
    shuffled = groups.copy()
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        shuffled[places] = rng.permutation(groups[places])
    return shuffled
