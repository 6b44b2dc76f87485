"""What decisions on labels brought: two refits, judged by the new labels on images that nobody was asked about."""

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
    """An image that is answered otherwise than before.

    Attributes:
        place: In the Dataset.
        before: The class that was said; likewise `after`.
    """

    place: int
    before: str
    after: str


@dataclass(frozen=True)
class Effect:
    """What the decisions of a person brought.

    Attributes:
        before: Accuracy on the test split with the labels before; None where there was no classifier.
        after: Likewise, with the labels as they are now.
        verdict: What the exact test says of the difference, in a sentence.
    """

    before: Score | None
    after: Score
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Return the scores and the verdict as plain JSON values."""
        return {
            "before": asdict(self.before) if self.before else None,
            "after": asdict(self.after),
            "num_images": self.after.num_images,
            "verdict": self.verdict,
        }


def effect_of(before: Refit, after: Refit, asked: Collection[int]) -> Effect:
    """Compare two refits on the images of the test split that both have, by the labels of the second.

    Args:
        before: With the labels as they were.
        after: With those as they are.
        asked: Places of images that were decided on: these judge nothing.
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
        _verdict(right_before, right_after, groups),
    )


def _verdict(before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> str:
    if not len(after):
        return "No test image is left that was not decided on: nothing can be told."
    num_lost, num_won = num_better(before, after, groups=groups)
    units = "image" if groups is None else "group"
    judged = counted(len(after), "test image")
    if not num_lost + num_won:
        return f"On the {judged} it is right for as many as before."
    p_value = mcnemar(num_lost, num_won)
    apart = (
        f"{counted(num_won, units)} better, {num_lost} worse, of the {judged} "
        f"(p = {p_value_text(p_value)}, McNemar's exact test)"
    )
    if p_value > _LEVEL:
        return f"Too few to tell whether it got better: {apart}."
    return f"It got {'better' if num_won > num_lost else 'worse'}: {apart}."


def describe_others(before: Refit, after: Refit, *, method: Method) -> tuple[str, ...]:
    """Return in sentences what else changed, and what the comparison leaves out.

    Args:
        before: With the labels as they were.
        after: With those as they are.
        method: Of the run: where it trains a network, that is not what is compared.
    """
    labels = f"{len(before.label_issues)} labels looked wrong before, {len(after.label_issues)} do now"
    doubts = (
        f"{len(doubtful_rows(before.others))} answers were wrong or unsure, {len(doubtful_rows(after.others))} are now"
    )
    network = "Compared are two linear heads, before and after: the network of this run takes longer to train."
    return (
        *((network,) if method != "linear" else ()),
        f"{labels}; {doubts}. That is of images that you were asked about, and so proves nothing.",
        "A training also learns from changed copies of images, where that helps; here none did, before and after.",
    )


def changed_answers(before: Refit, after: Refit) -> list[ChangedAnswer]:
    """Return the images that the second answers otherwise than the first; those of the test nobody is to see."""
    names, then, now = after.dataset.class_names, before.others, after.others
    places, first, second = np.intersect1d(then.indexes, now.indexes, return_indices=True)
    old, new = then.probs[first].argmax(axis=1), now.probs[second].argmax(axis=1)
    rows = np.flatnonzero(old != new).tolist()
    return [ChangedAnswer(int(places[row]), names[old[row]], names[new[row]]) for row in rows]
