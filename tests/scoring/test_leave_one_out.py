"""Leave-one-out: the closed form is what refitting gives, copies go together, and many images are taken in blocks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.scoring import leave_one_out as module
from mien.scoring.leave_one_out import _without_own, leave_one_out


def clouds(
    num_images: int, *, distance: float = 3.0, num_classes: int = 2
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    labels = np.arange(num_images) % num_classes
    rows = rng.normal(size=(num_images, 8)) + distance * np.eye(8)[labels]
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("groups", [list(range(20)), [0, 0, 1, 1, 1, *range(2, 17)]])
def test_the_closed_form_is_what_a_fit_without_the_image_says(groups: list[int]) -> None:
    rng = np.random.default_rng(3)
    rows, targets = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    inputs = np.hstack([rows, np.ones((20, 1))])
    penalty = np.diag([2.0] * 4 + [0.0])
    influence = inputs @ np.linalg.solve(inputs.T @ inputs + penalty, inputs.T)
    scores = _without_own(influence, targets, np.array(groups))
    for place, group in enumerate(groups):
        others = np.array(groups) != group
        refitted = np.linalg.solve(inputs[others].T @ inputs[others] + penalty, inputs[others].T @ targets[others])
        assert scores[place] == pytest.approx(inputs[place] @ refitted)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_classes_that_lie_apart_are_told(num_classes: int) -> None:
    features, labels = clouds(90, num_classes=num_classes)
    probs = leave_one_out(features, labels, groups=range(90), num_classes=num_classes)
    assert probs.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (probs.argmax(axis=1) == labels).mean() > 0.9


def test_a_wrong_label_does_not_speak_for_itself() -> None:
    features, labels = clouds(60, distance=5)
    labels[0] = 1 - labels[0]
    probs = leave_one_out(features, labels, groups=range(60), num_classes=2)
    assert probs[0, labels[0]] < 0.2


def test_a_copy_with_the_same_wrong_label_does_not_speak_for_it_either() -> None:
    features, labels = clouds(60, distance=5)
    features[2], labels[[0, 2]] = features[0], 1
    apart = leave_one_out(features, labels, groups=range(60), num_classes=2)
    together = leave_one_out(features, labels, groups=[0, 1, 0, *range(3, 60)], num_classes=2)
    assert together[0, 1] < min(0.2, apart[0, 1])


def test_many_images_are_answered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clouds(120)
    monkeypatch.setattr(module, "_BLOCK_SIZE", 50)
    probs = leave_one_out(features, labels, groups=[number // 2 for number in range(120)], num_classes=2)
    assert (probs.argmax(axis=1) == labels).mean() > 0.85


def test_features_that_never_move_give_the_shares_of_the_classes() -> None:
    probs = leave_one_out(np.ones((8, 3), np.float32), np.array([0, 1] * 4), groups=range(8), num_classes=2)
    assert probs == pytest.approx(0.5, abs=0.15)


def with_faces(
    features: NDArray[np.float32], of_faces: NDArray[np.float32], shown: NDArray[np.bool_]
) -> NDArray[np.float32]:
    flag = shown[:, None].astype(np.float32)
    return np.hstack([features, of_faces * flag, flag])


@pytest.mark.parametrize("block_size", [2000, 50])
def test_faces_count_where_they_tell_the_classes_apart(monkeypatch: pytest.MonkeyPatch, block_size: int) -> None:
    monkeypatch.setattr(module, "_BLOCK_SIZE", block_size)
    rng = np.random.default_rng(2)
    features, labels = clouds(120, distance=0)
    of_faces = (rng.normal(0, 1, (120, 7)) + 4 * labels[:, None]).astype(np.float32)
    shown = rng.random(120) < 0.7
    rows = with_faces(features, of_faces, shown)
    blind = leave_one_out(features, labels, groups=range(120), num_classes=2)
    probs = leave_one_out(rows, labels, groups=range(120), num_classes=2, num_face_features=8)
    right = probs.argmax(axis=1) == labels
    assert right[shown].mean() > 0.95 > 0.7 > (blind.argmax(axis=1) == labels).mean()


def test_faces_that_say_nothing_or_are_not_there_change_nothing() -> None:
    features, labels = clouds(120)
    blind = leave_one_out(features, labels, groups=range(120), num_classes=2)
    noise = np.random.default_rng(4).normal(0, 1, (120, 7)).astype(np.float32)
    for shown in (np.ones(120, bool), np.zeros(120, bool)):
        rows = with_faces(features, noise, shown)
        probs = leave_one_out(rows, labels, groups=range(120), num_classes=2, num_face_features=8)
        np.testing.assert_allclose(probs, blind, atol=1e-6)
