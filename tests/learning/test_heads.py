"""The linear head: what it learns, that it is calibrated, and that near copies are never divided."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.core.probabilities import best_temperature, cross_entropy, softmax
from mien.learning import heads
from mien.learning.heads import fit_head

pytestmark = pytest.mark.medium


def make_features(
    num_images: int, num_classes: int = 2, *, num_features: int = 300, distance: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return clouds around a middle for each class, in features of very different sizes."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(num_classes, num_features)) * distance / np.sqrt(num_features)
    labels = np.arange(num_images) % num_classes
    rows = rng.normal(size=(num_images, num_features)) * 0.3 + middles[labels]
    return (rows * np.geomspace(0.1, 10, num_features)).astype(np.float32), labels


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("num_images", [100, pytest.param(900, marks=pytest.mark.slow)])
def test_a_head_tells_classes_apart_on_other_images(num_classes: int, num_images: int) -> None:
    head = fit_head(*make_features(num_images, num_classes, distance=3), num_classes=num_classes)
    features, labels = make_features(500, num_classes, distance=3, seed=1)
    probs = head.probs(features)
    assert probs.shape == (500, num_classes)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    assert (probs.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("num_images", [80, pytest.param(700, marks=pytest.mark.slow)])
def test_a_head_is_the_logistic_regression_of_scikit_learn(num_classes: int, num_images: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, labels = make_features(num_images, num_classes)
    head = fit_head(features, labels, num_classes=num_classes)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    # Of two classes it has one column, whose penalty is half that of two.
    strength = 2 * head.strength if num_classes == 2 else head.strength
    model = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(scaled, labels)
    logits = np.log(model.predict_proba(scaled)) / head.temperature
    np.testing.assert_allclose(head.probs(features), softmax(logits), atol=1e-3)


def test_probabilities_are_as_sure_as_they_are_right() -> None:
    head = fit_head(*make_features(300, distance=0.6), num_classes=2)
    features, labels = make_features(4000, distance=0.6, seed=1)
    probs = head.probs(features)
    sure = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    assert 0.6 < right.mean() < 0.95
    assert sure.mean() == pytest.approx(right.mean(), abs=0.05)


def test_where_nothing_can_be_learnt_nothing_is_claimed() -> None:
    features, labels = make_features(200, distance=0)
    probs = fit_head(features, labels, num_classes=2).probs(make_features(1000, distance=0, seed=1)[0])
    assert np.abs(probs - 0.5).mean() < 0.1


def test_copies_do_not_make_a_head_sure() -> None:
    # Noise, every image ten times: a cross-validation that divides copies would think it can be learnt.
    features, labels = make_features(20, distance=0)
    many = np.repeat(features, 10, axis=0), np.repeat(labels, 10)
    fresh = make_features(1000, distance=0, seed=1)[0]
    grouped = fit_head(*many, groups=np.repeat(np.arange(20), 10).tolist(), num_classes=2)
    divided = fit_head(*many, num_classes=2)
    assert np.abs(grouped.probs(fresh) - 0.5).mean() < 0.6 * np.abs(divided.probs(fresh) - 0.5).mean()


def test_of_very_many_images_a_part_chooses_in_which_no_class_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = make_features(300, distance=0.6)
    whole = fit_head(features, labels, num_classes=2)
    monkeypatch.setattr(heads, "_MAX_CHOOSING", 100)
    part = fit_head(features, labels, num_classes=2)
    assert 0.1 <= part.strength / whole.strength <= 10 and part.temperature != whole.temperature
    np.testing.assert_allclose(part.probs(features), whole.probs(features), atol=0.2)
    rare = np.flatnonzero((labels == 0) | (np.arange(300) < 12))
    assert fit_head(features[rare], labels[rare], num_classes=2).temperature != 1


def test_with_very_many_classes_fewer_folds_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = make_features(300, 3, distance=1.5)
    fits, real_fit = [0], heads._fit

    def counted(*arguments: Any) -> NDArray[np.float32]:
        fits[0] += 1
        return real_fit(*arguments)

    monkeypatch.setattr(heads, "_fit", counted)
    whole, num_fits = fit_head(features, labels, num_classes=3), fits[0]
    monkeypatch.setattr(heads, "_MAX_CELLS", 300 * 3)
    fits[0] = 0
    few = fit_head(features, labels, num_classes=3)
    assert fits[0] < num_fits / 2
    assert 0.1 <= few.strength / whole.strength <= 10
    np.testing.assert_allclose(few.probs(features), whole.probs(features), atol=0.25)


def test_balanced_classes_count_the_same() -> None:
    features, labels = make_features(400, distance=0.3)
    kept = (labels == 0) | (np.arange(400) % 10 == 1)
    plain = fit_head(features[kept], labels[kept], num_classes=2)
    balanced = fit_head(features[kept], labels[kept], num_classes=2, balanced=True)
    fresh = make_features(1000, distance=0.3, seed=1)[0]
    assert plain.probs(fresh)[:, 1].mean() + 0.05 < balanced.probs(fresh)[:, 1].mean() < 0.6


def test_one_image_of_a_class_is_enough_not_to_fail() -> None:
    features, labels = make_features(9)
    head = fit_head(features[:3], labels[:3], num_classes=2)
    assert head.temperature == 1
    assert np.isfinite(head.probs(features)).all()


def test_a_feature_that_never_moves_does_no_harm() -> None:
    features, labels = make_features(60, distance=3)
    features[:, :5] = 7
    head = fit_head(features, labels, num_classes=2)
    moved = features.copy()
    moved[:, :5] += 1e-3
    np.testing.assert_allclose(head.probs(moved), head.probs(features), atol=0.05)


def test_the_best_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5000, 3)) * 2
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    assert best_temperature(logits * 3, labels) == pytest.approx(3, rel=0.15)
    assert cross_entropy(softmax(logits), labels) < cross_entropy(softmax(logits * 3), labels)


def make_faces(labels: NDArray[np.int64], distance: float, share: float) -> NDArray[np.float32]:
    """Return seven features of faces, of classes so far apart, and the flag, for a share of the images; (N, 8)."""
    rng = np.random.default_rng(7)
    of_faces = rng.normal(0, 1, (len(labels), 7)) + distance * labels[:, None]
    flag = rng.random((len(labels), 1)) < share
    return np.hstack([of_faces * flag, flag]).astype(np.float32)


def test_faces_are_weighed_by_what_they_tell() -> None:
    features, labels = make_features(300, distance=0.3)
    of_faces = make_faces(labels, 2, 0.6)
    head = fit_head(np.hstack([features, of_faces]), labels, num_classes=2, num_face_features=8)
    alone = fit_head(features, labels, num_classes=2)
    fresh, truth = make_features(2000, distance=0.3, seed=1)
    given = np.hstack([fresh, make_faces(truth, 2, 0.6)])
    better, before = cross_entropy(head.probs(given), truth), cross_entropy(alone.probs(fresh), truth)
    assert better < 0.6 * before
    # Without faces it is as good as one that knows none.
    blind = np.hstack([fresh, np.zeros((2000, 8), np.float32)])
    assert cross_entropy(head.probs(blind), truth) < before + 0.02


@pytest.mark.parametrize("case", ["nothing in them", "fewer than 20", "fewer than 5 of a class", "none"])
def test_faces_of_no_use_get_no_weight_and_leave_the_rest_as_it_is(case: str) -> None:
    features, labels = make_features(300, distance=1)
    of_faces = make_faces(labels, 0 if case == "nothing in them" else 3, 1)
    if case != "nothing in them":
        first, second = (np.flatnonzero(labels == number) for number in (0, 1))
        kept = {"fewer than 20": (9, 10), "fewer than 5 of a class": (4, 100), "none": (0, 0)}[case]
        blind = np.concatenate([first[kept[0] :], second[kept[1] :]])
        of_faces[blind] = 0
    head = fit_head(np.hstack([features, of_faces]), labels, num_classes=2, num_face_features=8)
    alone = fit_head(features, labels, num_classes=2)
    if case == "nothing in them":
        # By chance they can seem to tell a little.
        assert np.abs(head.weights[-8:-1]).max() < 0.2
    else:
        assert not head.weights[-8:].any()
        np.testing.assert_array_equal(head.weights[:-8], alone.weights)


def test_faces_that_no_image_left_out_shows_get_no_weight() -> None:
    features, labels = make_features(300, distance=1)
    of_faces = make_faces(labels, 0, 1)
    # All faces of a class are one person's: none can be left out.
    of_faces[labels == 1] = 0
    of_faces[np.flatnonzero(labels == 1)[:6]] = make_faces(labels, 0, 1)[:6]
    groups = np.arange(300)
    groups[np.flatnonzero(labels == 1)[:6]] = 1000
    rows = np.hstack([features, of_faces])
    head = fit_head(rows, labels, groups=groups.tolist(), num_classes=2, num_face_features=8)
    assert not head.weights[-8:].any()


def test_copies_count_no_more_than_twice_what_they_were_made_of_and_nothing_for_how_sure_it_is() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = (rng.standard_normal((80, 4)) + 1.5 * (2 * labels[:, None] - 1)).astype(np.float32)
    # Copies that tell nothing of their class.
    copies = rng.standard_normal((800, 4)).astype(np.float32)
    rows, names = np.vstack([features, copies]), np.concatenate([labels, np.tile(labels, 10)])
    groups = np.concatenate([np.arange(80), np.tile(np.arange(80), 10)]).tolist()
    with_copies = fit_head(rows, names, groups=groups, num_classes=2, num_copies=800)
    as_images = fit_head(rows, names, groups=groups, num_classes=2)
    fresh = (rng.standard_normal((500, 4)) + 1.5 * (2 * (np.arange(500) % 2)[:, None] - 1)).astype(np.float32)
    loss, loss_as_images = (cross_entropy(head.probs(fresh), np.arange(500) % 2) for head in (with_copies, as_images))
    assert loss < 0.1 < loss_as_images
