"""Looks: where a classifier looked in some pictures of its test."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from mien.dataset import ImageRecord
from mien.errors import ImageError
from mien.explanation import Method, explain, overlay
from mien.finished_run import Answered, FinishedRun
from mien.highlights import surest
from mien.thumbnails import Thumbnail, picture_of, thumbnail_of

_SIDE = 240
# Of the mistakes, and of the hits. A map by occlusion asks the classifier some hundred times.
_MOST_OF_EACH: dict[Method, int] = {"class activation": 3, "occlusion": 1}


@dataclass(frozen=True)
class Look:
    """Where the classifier looked in one picture.

    Attributes:
        answered: What it answered; the map is of what speaks for that.
        picture: As it is.
        overlaid: With the map on it.
        method: By what the map was made.
    """

    answered: Answered
    picture: Thumbnail
    overlaid: Thumbnail
    method: Method


def find_looks(run: FinishedRun, records: Mapping[str, ImageRecord]) -> tuple[Look, ...]:
    """Show where the classifier looked in the pictures of the test of which it was surest: wrong ones, then right ones.

    Only the test is answered by the classifier itself. Pictures that have gone or changed are passed over.

    Args:
        run: With its classifier.
        records: By path.
    """
    tested = [answered for answered in run.answers if answered.source == "test"]
    looks: list[Look] = []
    for is_right in (False, True):
        found = 0
        for answered in surest([a for a in tested if (a.answer == a.label) == is_right], max(_MOST_OF_EACH.values())):
            with suppress(ImageError):
                look = _look(run, answered, records[answered.path])
                looks.append(look)
                found += 1
                if found >= _MOST_OF_EACH[look.method]:
                    break
    return tuple(looks)


def _look(run: FinishedRun, answered: Answered, record: ImageRecord) -> Look:
    picture = picture_of(run.data_dir, record, run.classifier.facts.scan_config())
    heat_map = explain(run.classifier, np.asarray(picture), label=answered.answer)
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE))
    overlaid = thumbnail_of(overlay(np.asarray(small), heat_map), side=_SIDE)
    return Look(answered, thumbnail_of(small, side=_SIDE), overlaid, heat_map.method)
