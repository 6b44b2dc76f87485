"""The linear head: features -> probabilities, by regularised logistic regression."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.parallel import in_threads, single_threaded, threads_for
from mien.core.probabilities import best_temperature, best_weights, cross_entropy, softmax
from mien.core.progress import SILENCE, Progress
from mien.scoring.leave_one_out import moments

# Inverse penalty strengths for standardised features, the largest penalty first.
_STRENGTHS = tuple(float(c) for c in np.logspace(-4.5, 0, 10))
_NUM_FOLDS = 5
# More images than this hardly change which strength is best.
_MAX_CHOOSING = 4000
# The time for a fit grows with images times classes. Above this product over all folds, fewer folds are fitted.
_MAX_CELLS = 300_000
_MAX_STEPS = 1000
# With fewer images that have a face, in total or per class, a separate face layer is useless.
_MIN_FACES, _MIN_OF_CLASS = 20, 5
# The maximum total weight of all changed copies, relative to the images they were made from.
_MOST_COPIED = 2.0
# Relative tolerances for fits that are only compared, and for the final fit. A hundred times less takes 50% longer, and
# is no better on other images.
_ROUGH, _FINE = 1e-5, 1e-6
# Smaller gains may be rounding error.
_LEAST_GAIN = 1e-6
_LEAST_LOGIT = np.float32(-50)
_STAGE = "Fitting"
# A search rarely tries more strengths than this. The final fit takes about as long as one of them.
_USUAL_TRIES = 6
Coefficients = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A linear layer and a softmax.

    Attributes:
        weights: float32 (D, C).
        bias: float32 (C,).
        strength: Inverse regularisation strength, as "C" in scikit-learn for more than two classes.
        temperature: Calibration temperature; the layer is already divided by it.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    temperature: float

    def probs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of every class, float32 (N, C), from features (N, D)."""
        return softmax(features @ self.weights + self.bias).astype(np.float32)


@dataclass(frozen=True)
class _Examples:
    """The data for a fit.

    Attributes:
        inputs: float32 (N, R + 1): standardised features, and a column of ones.
        labels: Class numbers, (N,).
        weights: Weight of each image, float32 (N,).
        groups: Group number of each image, (N,); groups are never divided.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    groups: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.bool_]) -> "_Examples":
        return _Examples(self.inputs[chosen], self.labels[chosen], self.weights[chosen], self.groups[chosen])


@dataclass(frozen=True)
class _Layer:
    """A linear layer, and the logits of held-out images.

    Attributes:
        weights: float64 (D, C).
        bias: float64 (C,).
        strength: As for Head.
        places: Indexes of the held-out images, (M,).
        logits: Their logits by layers of the same strength, each fitted without the image, (M, C).
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float
    places: NDArray[np.int64]
    logits: NDArray[np.float32]


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    groups: Sequence[int] | None = None,
    num_classes: int,
    num_face_features: int = 0,
    num_copies: int = 0,
    balanced: bool = False,
    seed: int = 0,
    progress: Progress = SILENCE,
) -> Head:
    """Fit a regularised logistic regression, choose its strength by cross-validation, and calibrate it.

    Strength and temperature minimise the cross-entropy of held-out images. Above 4,000 images, a part of them is used
    for that; with very many classes, fewer than five folds. Changed copies of images count at most twice as much as the
    originals in total, and not at all for the temperature.

    If there are face features, a second layer is fitted on them, using only images with a face. Both layers are
    weighted to minimise the cross-entropy of held-out images, and added. The second is dropped if it does not lower the
    cross-entropy, or with fewer than 20 images that have a face, or 5 per class.

    Args:
        features: float32 (N, D).
        labels: Class numbers, (N,); every class must occur.
        groups: Group number of each image, (N,); groups are never divided. Default: no groups.
        num_classes: C.
        num_face_features: How many of the last features describe faces. All are 0 for an image without a face, and the
            last is 1 for an image with one.
        num_copies: How many of the last images are changed copies of others, with the same groups.
        balanced: Weight the classes equally.
        seed: Random seed for the folds.
        progress: Receives progress updates.

    Raises:
        MissingExtraError: The package scipy is not installed.

    Source:
        C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature).
    """
    numbers = np.arange(len(labels)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]

    is_copy = np.arange(len(labels)) >= len(labels) - num_copies

    def fit(columns: slice, some: slice | NDArray[np.int64]) -> _Layer:
        weights = _image_weights(labels[some], num_classes, balanced=balanced)
        num_copied = int(is_copy[some].sum())
        weights[is_copy[some]] *= min(1.0, _MOST_COPIED * (len(weights) - num_copied) / max(1, num_copied))
        return _fit_layer(features[some, columns], labels[some], numbers[some], weights, num_classes, seed, progress)

    whole = fit(slice(0, features.shape[1] - num_face_features), slice(None))
    temperature = _temperature(whole.logits, whole.places, labels, is_copy)
    weights, bias = whole.weights / temperature, whole.bias / temperature
    if num_face_features:
        of_faces = np.zeros((num_face_features, num_classes))
        with_face = np.flatnonzero(features[:, -1])
        counts = np.bincount(labels[with_face][~is_copy[with_face]], minlength=num_classes)
        if counts.sum() >= _MIN_FACES and counts.min() >= _MIN_OF_CLASS:
            faces = fit(slice(-num_face_features, -1), with_face)
            (by_whole, by_faces), is_better = _weighed(whole, with_face, faces, labels, is_copy)
            if is_better:
                weights, bias, temperature = by_whole * whole.weights, by_whole * whole.bias, 1 / max(by_whole, 1e-6)
                of_faces = by_faces * np.vstack([faces.weights, faces.bias])
        weights = np.vstack([weights, of_faces])
    progress.step(_STAGE, _USUAL_TRIES + 1, _USUAL_TRIES + 1)
    return Head(weights.astype(np.float32), bias.astype(np.float32), whole.strength, temperature)


def _temperature(
    logits: NDArray[np.floating], places: NDArray[np.int64], labels: NDArray[np.int64], is_copy: NDArray[np.bool_]
) -> float:
    """Return the temperature for the logits of held-out images, (M, C), ignoring changed copies."""
    kept = ~is_copy[places]
    return best_temperature(logits[kept], labels[places[kept]]) if kept.any() else 1.0


def _weighed(
    whole: _Layer,
    with_face: NDArray[np.int64],
    faces: _Layer,
    labels: NDArray[np.int64],
    is_copy: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], bool]:
    """Return the weights for adding the logits of two layers, and whether that is better than the first alone.

    Args:
        whole: The layer fitted on all images.
        with_face: Indexes of the images with a face, on which `faces` was fitted.
        faces: The face layer, whose logits are 0 for all other images.
        labels: Class numbers of all images, (N,).
        is_copy: Which images are changed copies of others, (N,).
    """
    said = np.zeros((len(labels), whole.logits.shape[1]))
    said[with_face[faces.places]] = faces.logits
    # If only a part was held out, the layers may have held out different images with a face.
    unsaid = np.setdiff1d(with_face, with_face[faces.places])
    asked = ~np.isin(whole.places, unsaid)
    places = whole.places[asked]
    if not said[places].any():
        return np.zeros(2), False
    logits = whole.logits[asked]
    weights, loss = best_weights([logits, said[places]], labels[places])
    alone = cross_entropy(softmax(logits / best_temperature(logits, labels[places])), labels[places])
    is_better = loss < alone - _LEAST_GAIN and weights[1] > 0
    return weights / _temperature(weights[0] * logits + weights[1] * said[places], places, labels, is_copy), is_better


def _fit_layer(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    image_weights: NDArray[np.float32],
    num_classes: int,
    seed: int,
    progress: Progress,
) -> _Layer:
    """Fit a layer and choose its strength by cross-validation."""
    mean, scale = moments(features)
    # Written in place: for 100,000 images, every copy takes most of a GB.
    inputs = np.ones((len(features), features.shape[1] + 1), np.float32)
    np.subtract(features, mean.astype(np.float32), out=inputs[:, :-1])
    inputs[:, :-1] /= scale.astype(np.float32)
    with threads_for(len(features)):
        inputs, back = _rotated(inputs)
    examples = _Examples(inputs, labels, image_weights, groups)
    strength, start, places, logits = _chosen(examples, num_classes, seed, progress)
    with threads_for(len(features)):
        found = _fit(examples, strength, start, _FINE)
        slopes = (found[:-1] if back is None else back @ found[:-1]) / scale[:, None]
    return _Layer(slopes, found[-1] - mean @ slopes, strength, places, logits)


def _rotated(inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the inputs in the dimensions that they span, (N, R + 1), and the matrix back, (D, R); None if unchanged.

    The last column, of ones, stays. An L2 penalty is invariant to rotation, so the fit is the same, in half the time or
    less if there are fewer images than features.
    """
    if len(inputs) >= inputs.shape[1] - 1:
        return inputs, None
    rows = inputs[:, :-1]
    # Via the Gram matrix of the rows, which is smaller than the matrix for an SVD.
    squares, left = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    kept = squares > 1e-6 * squares[-1]
    lengths = np.sqrt(squares[kept])
    back = rows.T @ (left[:, kept] / lengths).astype(np.float32)
    return np.column_stack([left[:, kept] * lengths, inputs[:, -1]]).astype(np.float32), back


def _image_weights(labels: NDArray[np.int64], num_classes: int, *, balanced: bool) -> NDArray[np.float32]:
    counts = np.bincount(labels, minlength=num_classes)
    weights = (len(labels) / (num_classes * counts))[labels] if balanced else np.ones(len(labels))
    return weights.astype(np.float32)


def _chosen(
    examples: _Examples, num_classes: int, seed: int, progress: Progress
) -> tuple[float, Coefficients, NDArray[np.int64], NDArray[np.float32]]:
    """Return the best strength on held-out images, a fit with it, the indexes of these images, and their logits."""
    places = np.arange(len(examples.labels))
    # Each fold of a part needs images of the rarest class.
    num_parts = min(-(-len(examples.labels) // _MAX_CHOOSING), _num_units(examples, num_classes) // _NUM_FOLDS)
    if num_parts > 1:
        chosen = _folds(examples.labels, examples.groups, num_parts, seed) == 0
        examples, places = examples[chosen], places[chosen]
    num_units = _num_units(examples, num_classes)
    if num_units < 2:
        nothing = np.zeros((examples.inputs.shape[1], num_classes), np.float32)
        return _STRENGTHS[len(_STRENGTHS) // 2], nothing, places[:0], np.zeros((0, num_classes), np.float32)
    folds = _folds(examples.labels, examples.groups, min(_NUM_FOLDS, num_units), seed)
    num_fitted = max(1, _MAX_CELLS // (len(folds) * num_classes))
    fits, logits, losses = _search(examples, np.where(folds < num_fitted, folds, -1), num_classes, progress)
    best = min(losses, key=losses.__getitem__)
    return _STRENGTHS[best], fits[best][0], places[folds < num_fitted], logits[best]


def _num_units(examples: _Examples, num_classes: int) -> int:
    """Return the number of groups in the smallest class."""
    labels = np.unique(np.stack([examples.labels, examples.groups]), axis=1)[0]
    return int(np.bincount(labels, minlength=num_classes).min())


def _search(
    examples: _Examples, folds: NDArray[np.int64], num_classes: int, progress: Progress
) -> tuple[dict[int, list[Coefficients]], dict[int, NDArray[np.float32]], dict[int, float]]:
    """Try strengths from the middle in the direction of falling loss, in steps of two and then one.

    Args:
        examples: The data.
        folds: The fold that holds out each image, (N,); -1 for none.
        num_classes: C.
        progress: Receives progress updates.

    Returns:
        For the index of each strength tried: a fit for each fold; the logits of the held-out images, (M, C); and their
        loss.
    """
    parts = [(examples[folds != number], folds == number) for number in range(folds.max() + 1)]
    asked = folds >= 0
    found = {-1: [np.zeros((examples.inputs.shape[1], num_classes), np.float32)] * len(parts)}
    logits, losses = dict[int, NDArray[np.float32]](), dict[int, float]()

    def attempt(place: int) -> None:
        # Each fit starts from the nearest earlier one.
        near = min(found, key=lambda other: abs(other - place))

        def fit(number: int) -> Coefficients:
            return _fit(parts[number][0], _STRENGTHS[place], found[near][number], _ROUGH)

        found[place] = list(in_threads(fit, range(len(parts))))
        logits[place] = np.empty((asked.sum(), num_classes), np.float32)
        for (_, unseen), coefficients in zip(parts, found[place], strict=True):
            logits[place][unseen[asked]] = examples.inputs[unseen] @ coefficients
        losses[place] = cross_entropy(softmax(logits[place]), examples.labels[asked])
        progress.step(_STAGE, min(len(losses), _USUAL_TRIES), _USUAL_TRIES + 1)

    best = len(_STRENGTHS) // 2
    with single_threaded() if len(parts) > 1 else nullcontext():
        attempt(best)
        for step in (2, 1):
            before = None
            while best != before:
                before = best
                for place in (max(best - step, 0), min(best + step, len(_STRENGTHS) - 1)):
                    if place not in losses:
                        attempt(place)
                best = min(losses, key=losses.__getitem__)
    return found, logits, losses


def _folds(labels: NDArray[np.int64], groups: NDArray[np.int64], num_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each image, (N,), with classes spread evenly and groups undivided."""
    rng = np.random.default_rng(seed)
    sizes = np.zeros((labels.max() + 1, num_folds))
    firsts, group_of, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)[1:]
    fold_of = np.zeros(len(firsts), np.int64)
    # Large groups first, so that small ones fill the gaps.
    for group in sorted(rng.permutation(len(firsts)), key=lambda group: -counts[group]):
        label = labels[firsts[group]]
        fold_of[group] = np.argmin(sizes[label] + 1e-9 * sizes.sum(axis=0))
        sizes[label, fold_of[group]] += counts[group]
    return fold_of[group_of]


def _fit(examples: _Examples, strength: float, start: Coefficients, precision: float) -> Coefficients:
    """Return the coefficients, (R + 1, C), bias last, that minimise the penalised loss, by L-BFGS from a start.

    The loss is the sum of the weighted cross-entropies plus the squared weights over twice the strength. It is written
    here in float32, because scikit-learn takes a second to load and this runs in every training.
    """
    from scipy.optimize import minimize

    inputs, rows = examples.inputs, np.arange(len(examples.labels))
    penalty = np.full((inputs.shape[1], 1), 1 / (strength * len(rows)), np.float32)
    # The bias is not penalised.
    penalty[-1] = 0
    weights = examples.weights[:, None] / np.float32(len(rows))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coefficients = flat.reshape(start.shape).astype(np.float32)
        probs = inputs @ coefficients
        probs -= probs.max(axis=1, keepdims=True)
        of_label = probs[rows, examples.labels]
        # Smaller values would become subnormal numbers, on which processors are fifty times slower.
        np.exp(np.maximum(probs, _LEAST_LOGIT, out=probs), out=probs)
        sums = probs.sum(axis=1, keepdims=True)
        entropies = (np.log(sums[:, 0]) - of_label) * weights[:, 0]
        probs /= sums
        probs[rows, examples.labels] -= 1
        probs *= weights
        penalised = penalty * coefficients
        value = entropies.sum(dtype=np.float64) + 0.5 * np.vdot(penalised, coefficients)
        return float(value), (inputs.T @ probs + penalised).ravel().astype(np.float64)

    done = minimize(
        loss,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_STEPS, "gtol": 1e-5, "ftol": precision},
    )
    coefficients: Coefficients = done.x.reshape(start.shape).astype(np.float32)
    return coefficients
