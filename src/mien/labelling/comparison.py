"""The effect of decisions: two refits, compared by the new labels on test images that nobody decided on."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.config import Method
from mien.core.scores import Score, wilson_score
from mien.core.text import counted
from mien.jobs.refit import Refit
from mien.labelling.queues import doubtful_rows
from mien.scoring.paired import mcnemar, num_better, p_value_text

_LEVEL = 0.05


@dataclass(frozen=True)
class ChangedAnswer:
    """An image with a changed prediction.

    Attributes:
        place: Position in the Dataset.
        before: The class predicted before.
        after: The class predicted now.
    """

    place: int
    before: str
    after: str


@dataclass(frozen=True)
class Effect:
    """The effect of a person's decisions.

    Attributes:
        before: Accuracy on the test split with the original labels, or None if there was no classifier.
        after: Accuracy on the test split with the current labels.
        verdict: The result, in a sentence.
        test: The exact test behind it, in a sentence, or "" if there was none.
    """

    before: Score | None
    after: Score
    verdict: str
    test: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the scores and the verdict as plain JSON values."""
        return {
            "before": asdict(self.before) if self.before else None,
            "after": asdict(self.after),
            "num_images": self.after.num_images,
            "verdict": self.verdict,
        }


def effect_of(before: Refit, after: Refit, asked: Collection[int]) -> Effect:
    """Compare two refits on their common test images, by the labels of the second.

    Args:
        before: Refit with the original labels.
        after: Refit with the current labels.
        asked: Positions of images that were decided on. They are left out.
    """
    places, first, second = np.intersect1d(before.test.indexes, after.test.indexes, return_indices=True)
    is_unasked = ~np.isin(places, list(asked))
    places, first, second = places[is_unasked], first[is_unasked], second[is_unasked]
    labels = after.test.labels[second]
    right_before = before.test.probs[first].argmax(axis=1) == labels
    right_after = after.test.probs[second].argmax(axis=1) == labels
    groups = after.dataset.subject_numbers(places)
    return Effect(
        wilson_score(int(right_before.sum()), len(places), groups=groups),
        wilson_score(int(right_after.sum()), len(places), groups=groups),
        *_verdict(right_before, right_after, groups),
    )


def _verdict(before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> tuple[str, str]:
    if not len(after):
        return "Cannot compare: you have decided on all test images.", ""
    num_lost, num_won = num_better(before, after, groups=groups)
    units = "image" if groups is None else "group"
    judged = counted(len(after), "test image")
    if not num_lost + num_won:
        return f"No difference on the {judged}.", ""
    p_value = mcnemar(num_lost, num_won)
    apart = f"{counted(num_won, units)} better, {num_lost} worse, out of {judged}"
    test = f"McNemar's exact test: p = {p_value_text(p_value)}."
    if p_value > _LEVEL:
        return f"Too few changes to tell whether it got better: {apart}.", test
    return f"It got {'better' if num_won > num_lost else 'worse'}: {apart}.", test


def describe_others(before: Refit, after: Refit, *, method: Method) -> tuple[str, ...]:
    """Return sentences on what else changed, and on the limits of the comparison.

    Args:
        before: Refit with the original labels.
        after: Refit with the current labels.
        method: The run's method. If it trains a network, the comparison does not use it.
    """
    labels = f"{counted(len(before.label_issues), 'label')} looked wrong before, {len(after.label_issues)} now"
    doubts = (
        f"{counted(len(doubtful_rows(before.others)), 'prediction')} wrong or unsure before, "
        f"{len(doubtful_rows(after.others))} now"
    )
    network = "This compares linear heads on the old and new labels, as the run's network takes longer to train."
    return (
        *((network,) if method != "linear" else ()),
        f"{labels}; {doubts}. These include images you were asked about, so they prove nothing.",
        "Full training also uses changed copies of images if that helps. This comparison uses none.",
    )


def changed_answers(before: Refit, after: Refit) -> list[ChangedAnswer]:
    """Return the images with changed predictions, except test images, which must not be shown."""
    names, then, now = after.dataset.class_names, before.others, after.others
    places, first, second = np.intersect1d(then.indexes, now.indexes, return_indices=True)
    old, new = then.probs[first].argmax(axis=1), now.probs[second].argmax(axis=1)
    rows = np.flatnonzero(old != new).tolist()
    return [ChangedAnswer(int(places[row]), names[old[row]], names[new[row]]) for row in rows]
