"""Suspicion: subjects that are known again are noticed, and where they are not, nothing is said."""

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import dataset_of, record
from mien.data.dataset import Dataset
from mien.jobs.suspect import suspect
from mien.learning.methods import Method

pytestmark = pytest.mark.medium


class Features:
    """A method of which nothing but the features is asked."""

    def __init__(self, rows: NDArray[np.float32] | None) -> None:
        self._rows = rows

    def features_of(self, places: NDArray[np.int64]) -> NDArray[np.float32] | None:
        return None if self._rows is None else self._rows[places]


def frames(num_subjects: int = 24, num_frames: int = 6) -> Dataset:
    return dataset_of(
        *(
            record(f"{'ill' if subject % 2 else 'well'}/patient{subject:02}_frame{frame}.png")
            for subject in range(num_subjects)
            for frame in range(num_frames)
        )
    )


def features(dataset: Dataset, *, of_subject: float, of_class: float, seed: int) -> NDArray[np.float32]:
    """Return features in which the subject tells so much, the class so much, and the rest is noise."""
    rng = np.random.default_rng(seed)
    subjects = np.unique([r.path.split("_")[0] for r in dataset.records], return_inverse=True)[1]
    labels = dataset.labels(np.arange(len(dataset.records)))
    rows = rng.normal(size=(len(labels), 40))
    rows += of_subject * rng.normal(size=(subjects.max() + 1, 40))[subjects]
    rows += of_class * rng.normal(size=(2, 40))[labels]
    return rows.astype(np.float32)


def suspected(dataset: Dataset, rows: NDArray[np.float32] | None) -> float | None:
    found = suspect(cast("Method", Features(rows)), dataset)
    return found.by_groups if found else None


def test_subjects_that_are_known_again_are_noticed() -> None:
    dataset = frames()
    found = suspect(cast("Method", Features(features(dataset, of_subject=2, of_class=0, seed=1))), dataset)
    assert found is not None
    assert found.num_groups == 24 and found.by_images > 0.9 and found.by_groups < 0.7
    finding = found.finding(kept_together=True)
    assert finding.kind == "subjects" and f": {found.by_images:.0%} accurate on known subjects, " in finding.text
    assert f"--group-by '{found.rule}'" in finding.advice


@pytest.mark.slow
def test_where_names_say_nothing_there_is_at_most_one_false_alarm_in_twenty() -> None:
    dataset = frames()
    rng = np.random.default_rng(2)
    alarms = 0
    for seed in range(20):
        rows = features(dataset, of_subject=2, of_class=0.3, seed=seed)
        # The names are dealt out anew within each class.
        labels = dataset.labels(np.arange(len(rows)))
        order = np.arange(len(rows))
        for label in (0, 1):
            places = np.flatnonzero(labels == label)
            order[places] = rng.permutation(places)
        alarms += suspected(dataset, rows[order]) is not None
    assert alarms <= 1


def test_classes_that_are_learnt_as_such_are_not_suspected() -> None:
    dataset = frames()
    assert suspected(dataset, features(dataset, of_subject=0.3, of_class=2, seed=3)) is None


def test_without_features_or_without_groups_nothing_is_suspected() -> None:
    dataset = frames()
    assert suspected(dataset, None) is None
    alone = dataset_of(*(record(f"{name}/{name}{number}.png") for name in ("ill", "well") for number in range(40)))
    assert suspected(alone, features(alone, of_subject=2, of_class=0, seed=4)) is None
