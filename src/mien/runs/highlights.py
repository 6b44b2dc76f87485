"""Highlights: which images of a run are worth looking at, and where the classifier looked in some of them."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from mien.data.dataset import ImageRecord, groups_of
from mien.errors import ImageError
from mien.model.explanation import Method, explain, overlay
from mien.runs.run import FinishedRun, LabelledPrediction
from mien.runs.thumbnails import Thumbnail, image_of, thumbnail_of
from mien.scoring.label_issues import LabelIssue

_SIDE = 240
# Of the mistakes, and of the hits. A map by occlusion asks the classifier some hundred times.
_MOST_OF_EACH: dict[Method, int] = {"class activation": 3, "occlusion": 1}
_MAX_SAMPLES, _MAX_SAMPLES_OF_CLASS = 48, 12
_MAX_GROUPS, _MAX_OF_GROUP = 12, 4
_MAX_LABEL_ISSUES, _MAX_MISTAKES, _MAX_HITS = 12, 12, 6


@dataclass(frozen=True)
class Look:
    """Where the classifier looked in one image.

    Attributes:
        answered: What it answered; the map is of what speaks for that.
        image: As it is.
        overlaid: With the map on it.
        method: By what the map was made.
    """

    answered: LabelledPrediction
    image: Thumbnail
    overlaid: Thumbnail
    method: Method


@dataclass(frozen=True)
class Group:
    """Copies and near copies of one image.

    Attributes:
        records: Some of them: those that are used first.
        size: How many there are.
        num_used: How many of them are used.
        conflicting: Whether they stand under two or more classes.
    """

    records: tuple[ImageRecord, ...]
    size: int
    num_used: int
    conflicting: bool


@dataclass(frozen=True)
class Highlights:
    """The images of a run that are worth looking at.

    Attributes:
        samples: Used images of each class, spread evenly over it, by its name; the largest classes where not all fit.
        groups: Copies of one image: those under two classes first, then the largest groups.
        num_groups: How many groups there are.
        label_issues: Images whose label is probably wrong, the worst first.
        mistakes: Wrong answers, the surest first.
        hits: Right answers, the surest first, of each class in turn.
    """

    samples: dict[str, tuple[ImageRecord, ...]]
    groups: tuple[Group, ...]
    num_groups: int
    label_issues: tuple[LabelIssue, ...]
    mistakes: tuple[LabelledPrediction, ...]
    hits: tuple[LabelledPrediction, ...]


def find_highlights(run: FinishedRun) -> Highlights:
    """Choose the images of a run that are worth looking at; the same run gives the same ones."""
    groups = _groups(run.records)
    return Highlights(
        samples=_samples(run.records),
        groups=tuple(groups[:_MAX_GROUPS]),
        num_groups=len(groups),
        label_issues=run.label_issues[:_MAX_LABEL_ISSUES],
        mistakes=tuple(surest([a for a in run.predictions if a.predicted != a.label], _MAX_MISTAKES)),
        hits=tuple(_hits(run.predictions)),
    )


def _samples(records: Iterable[ImageRecord]) -> dict[str, tuple[ImageRecord, ...]]:
    members: dict[str, list[ImageRecord]] = {}
    for record in records:
        if record.used:
            members.setdefault(record.label, []).append(record)
    largest = sorted(members, key=lambda name: (-len(members[name]), name))[:_MAX_SAMPLES]
    most = max(1, min(_MAX_SAMPLES_OF_CLASS, _MAX_SAMPLES // max(len(largest), 1)))
    return {name: _spread(members[name], most) for name in sorted(largest)}


def _spread(records: Sequence[ImageRecord], most: int) -> tuple[ImageRecord, ...]:
    """Return so many of the records, from all over them: neighbours in a folder are often alike."""
    count = min(most, len(records))
    return tuple(records[place * len(records) // count] for place in range(count))


def _groups(records: Iterable[ImageRecord]) -> list[Group]:
    found = [_group(copies) for copies in groups_of(records) if len(copies) > 1]
    return sorted(found, key=lambda group: (not group.conflicting, -group.size))


def _group(copies: list[ImageRecord]) -> Group:
    shown = sorted(copies, key=lambda record: not record.used)[:_MAX_OF_GROUP]
    conflicting = len({record.label for record in copies}) > 1
    return Group(tuple(shown), len(copies), sum(record.used for record in copies), conflicting)


def surest(predictions: Iterable[LabelledPrediction], most: int) -> list[LabelledPrediction]:
    """Return the answers of which it was surest, at most so many."""
    return heapq.nlargest(most, predictions, key=lambda answer: answer.prob_predicted)


def _hits(predictions: Sequence[LabelledPrediction]) -> list[LabelledPrediction]:
    """Return the surest right answers, of each class in turn."""
    right: dict[str, list[LabelledPrediction]] = {}
    for answer in predictions:
        if answer.predicted == answer.label:
            right.setdefault(answer.label, []).append(answer)
    ranked = [surest(right[name], _MAX_HITS) for name in sorted(right)]
    in_turn = [answer for row in zip_longest(*ranked) for answer in row if answer is not None]
    return in_turn[:_MAX_HITS]


def most_confused(
    class_names: Sequence[str], confusion: Sequence[Sequence[int]], most: int
) -> list[tuple[str, str, int]]:
    """Return which class was taken for which other, and how often; the most frequent first."""
    pairs = Counter(
        {
            (class_names[row], class_names[column]): count
            for row, counts in enumerate(confusion)
            for column, count in enumerate(counts)
            if row != column and count
        }
    )
    return [(truth, answer, count) for (truth, answer), count in pairs.most_common(most)]


def find_looks(run: FinishedRun, records: Mapping[str, ImageRecord]) -> tuple[Look, ...]:
    """Show where the classifier looked in the images of the test of which it was surest: wrong ones, then right ones.

    Only the test is answered by the classifier itself. Images that have gone or changed are passed over.

    Args:
        run: With its classifier.
        records: By path.
    """
    tested = [answered for answered in run.predictions if answered.source == "test"]
    looks: list[Look] = []
    for is_right in (False, True):
        found = 0
        for answered in surest(
            [a for a in tested if (a.predicted == a.label) == is_right], max(_MOST_OF_EACH.values())
        ):
            with suppress(ImageError):
                look = _look(run, answered, records[answered.path])
                looks.append(look)
                found += 1
                if found >= _MOST_OF_EACH[look.method]:
                    break
    return tuple(looks)


def _look(run: FinishedRun, answered: LabelledPrediction, record: ImageRecord) -> Look:
    image = image_of(run.data_dir, record, run.classifier.facts.scan_config())
    heat_map = explain(run.classifier, np.asarray(image), label=answered.predicted)
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    overlaid = thumbnail_of(overlay(np.asarray(small), heat_map), side=_SIDE)
    return Look(answered, thumbnail_of(small, side=_SIDE), overlaid, heat_map.method)
