"""Highlights: the images of a run that are worth a look, and where the classifier looked in some of them."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from mien.data.dataset import Dataset, ImageRecord, groups_of
from mien.errors import ImageError
from mien.model.explanation import Method, explain, overlay
from mien.runs.run import Run
from mien.runs.thumbnails import Thumbnail, image_of, thumbnail_of
from mien.scoring.label_issues import LabelIssue
from mien.scoring.results import Predictions, Source

_SIDE = 240
# For mistakes and correct predictions each. An occlusion map needs hundreds of predictions.
_MOST_OF_EACH: dict[Method, int] = {"class activation": 3, "occlusion": 1}
_MAX_SAMPLES, _MAX_SAMPLES_OF_CLASS = 48, 12
_MAX_GROUPS, _MAX_OF_GROUP = 12, 4
_MAX_LABEL_ISSUES, _MAX_MISTAKES, _MAX_HITS = 12, 12, 6


@dataclass(frozen=True)
class LabelledPrediction:
    """A prediction for a labelled image that was held out.

    Attributes:
        path: Path of the image, as in the manifest.
        label: Its label.
        predicted: The predicted class.
        prob_predicted: Probability of the predicted class.
        prob_label: Probability of the label.
        source: Who predicted: the classifier itself ("test"), or a classifier of its cross-validation ("out_of_fold").
    """

    path: str
    label: str
    predicted: str
    prob_predicted: float
    prob_label: float
    source: Source


@dataclass(frozen=True)
class Look:
    """Where the classifier looked in one image.

    Attributes:
        prediction: The prediction; the map shows the evidence for it.
        image: The image.
        overlaid: The image with the map on top.
        method: How the map was made.
    """

    prediction: LabelledPrediction
    image: Thumbnail
    overlaid: Thumbnail
    method: Method


@dataclass(frozen=True)
class Group:
    """Copies and near-duplicates of one image.

    Attributes:
        records: Some of them, used ones first.
        size: How many there are.
        num_used: How many of them are used.
        conflicting: Whether they have different labels.
    """

    records: tuple[ImageRecord, ...]
    size: int
    num_used: int
    conflicting: bool


@dataclass(frozen=True)
class Highlights:
    """The images of a run that are worth a look.

    Attributes:
        samples: Used images by class, spread evenly over the class; only the largest classes if not all fit.
        groups: Groups of copies: those with conflicting labels first, then the largest.
        num_groups: Number of all groups.
        label_issues: Images whose label is probably wrong, the worst first.
        mistakes: Wrong predictions, the most confident first.
        hits: Correct predictions, the most confident first, from each class in turn.
    """

    samples: dict[str, tuple[ImageRecord, ...]]
    groups: tuple[Group, ...]
    num_groups: int
    label_issues: tuple[LabelIssue, ...]
    mistakes: tuple[LabelledPrediction, ...]
    hits: tuple[LabelledPrediction, ...]


def find_highlights(run: Run) -> Highlights:
    """Choose the images of a run that are worth a look. The choice is deterministic."""
    groups, predictions = _groups(run.dataset.records), labelled(run)
    return Highlights(
        samples=_samples(run.dataset.records),
        groups=tuple(groups[:_MAX_GROUPS]),
        num_groups=len(groups),
        label_issues=run.label_issues[:_MAX_LABEL_ISSUES],
        mistakes=tuple(surest([found for found in predictions if found.predicted != found.label], _MAX_MISTAKES)),
        hits=tuple(_hits(predictions)),
    )


def labelled(run: Run) -> list[LabelledPrediction]:
    """Return every prediction of a run with its image, those for the test split first.

    Probabilities are rounded to six decimals, as in the files, so that a run in memory and one read back rank alike.
    """
    by_source = run.predictions_by_source.items()
    return [found for source, given in by_source for found in _labelled(run.dataset, given, source)]


def _labelled(dataset: Dataset, given: Predictions, source: Source) -> Iterator[LabelledPrediction]:
    names = given.class_names
    for index, label, probs in zip(given.indexes.tolist(), given.labels.tolist(), given.probs, strict=True):
        predicted = int(probs.argmax())
        shown = round(float(probs[predicted]), 6), round(float(probs[label]), 6)
        yield LabelledPrediction(dataset.records[index].path, names[label], names[predicted], *shown, source)


def _samples(records: Iterable[ImageRecord]) -> dict[str, tuple[ImageRecord, ...]]:
    members: dict[str, list[ImageRecord]] = {}
    for record in records:
        if record.used:
            members.setdefault(record.label, []).append(record)
    largest = sorted(members, key=lambda name: (-len(members[name]), name))[:_MAX_SAMPLES]
    most = max(1, min(_MAX_SAMPLES_OF_CLASS, _MAX_SAMPLES // max(len(largest), 1)))
    return {name: _spread(members[name], most) for name in sorted(largest)}


def _spread(records: Sequence[ImageRecord], most: int) -> tuple[ImageRecord, ...]:
    """Return up to `most` records, evenly spaced, because neighbours in a folder are often alike."""
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
    """Return the most confident predictions, up to `most`."""
    return heapq.nlargest(most, predictions, key=lambda prediction: prediction.prob_predicted)


def _hits(predictions: Sequence[LabelledPrediction]) -> list[LabelledPrediction]:
    """Return the most confident correct predictions, from each class in turn."""
    right: dict[str, list[LabelledPrediction]] = {}
    for prediction in predictions:
        if prediction.predicted == prediction.label:
            right.setdefault(prediction.label, []).append(prediction)
    ranked = [surest(right[name], _MAX_HITS) for name in sorted(right)]
    in_turn = [prediction for row in zip_longest(*ranked) for prediction in row if prediction is not None]
    return in_turn[:_MAX_HITS]


def find_looks(run: Run) -> tuple[Look, ...]:
    """Show where the classifier looked in test images: the most confident mistakes, then correct predictions.

    Only the test split was predicted by the classifier itself. Missing and changed images are skipped.
    """
    if run.test_predictions is None:
        return ()
    records = {record.path: record for record in run.dataset.records}
    tested = list(_labelled(run.dataset, run.test_predictions, "test"))
    most = max(_MOST_OF_EACH.values())
    looks: list[Look] = []
    for is_right in (False, True):
        found = 0
        for predicted in surest([p for p in tested if (p.predicted == p.label) == is_right], most):
            with suppress(ImageError):
                look = _look(run, predicted, records[predicted.path])
                looks.append(look)
                found += 1
                if found >= _MOST_OF_EACH[look.method]:
                    break
    return tuple(looks)


def _look(run: Run, prediction: LabelledPrediction, record: ImageRecord) -> Look:
    image = image_of(run.dataset.root, record, run.dataset.config)
    heat_map = explain(run.classifier, np.asarray(image), label=prediction.predicted)
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    overlaid = thumbnail_of(overlay(np.asarray(small), heat_map), side=_SIDE)
    return Look(prediction, thumbnail_of(small, side=_SIDE), overlaid, heat_map.method)
