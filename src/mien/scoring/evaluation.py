"""Evaluation: a classifier and labelled images -> scores with intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.core.changes import Change, changes_but, changes_by_place
from mien.core.parallel import in_threads
from mien.core.probabilities import cross_entropy, mean_auc
from mien.core.progress import SILENCE, Progress
from mien.core.scores import class_scores, wilson_score
from mien.data.dataset import Dataset
from mien.errors import NotADatasetError, SettingsError, TooFewImagesError
from mien.model.classifier import Classifier
from mien.scoring.calibration import measure_calibration, measure_coverage
from mien.scoring.results import Evaluation, Predictions
from mien.scoring.stress import Answers, Stressed, judge_stress, places_to_change

# A batch that keeps ONNX Runtime busy without holding many images at once.
_BATCH_SIZE = 32
# More images than this hardly change what a change is found to do.
_MAX_CHANGED = 1000


def predict_dataset(classifier: Classifier, dataset: Dataset, *, split: str | None = None) -> Predictions:
    """Predict the used images of a Dataset, or of one of its splits.

    Args:
        classifier: What `load` returned.
        dataset: Its images have the size that the classifier takes.
        split: "train", "val" or "test"; None for all.

    Raises:
        NotADatasetError: The Dataset has a class that the classifier does not know.
        SettingsError: The classifier uses faces, but the Dataset was scanned without looking for them; or these are not
            a classifier and a Dataset.
        TooFewImagesError: There are no images to predict.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.predict_dataset(classifier, dataset).probs.shape
        (24, 2)
    """
    if not isinstance(classifier, Classifier) or not isinstance(dataset, Dataset):
        raise SettingsError(
            f"expected a Classifier and a Dataset, not {type(classifier).__name__} and {type(dataset).__name__}. To "
            "score a run on a folder, use mien.evaluate_run"
        )
    unknown = sorted(set(dataset.class_names) - set(classifier.class_names))
    if unknown:
        known = ", ".join(map(repr, classifier.class_names))
        raise NotADatasetError(
            f"{dataset.name!r} has classes the classifier does not know: {unknown}. It knows {known}"
        )
    if classifier.looks_at_faces and dataset.config.faces != "on":
        raise SettingsError("the classifier uses faces: scan the folder with classifier.facts.scan_config()")
    indexes = dataset.indexes(split)
    if not len(indexes):
        raise TooFewImagesError(f"{dataset.name!r} has no usable images to evaluate")
    batches = (indexes[start : start + _BATCH_SIZE] for start in range(0, len(indexes), _BATCH_SIZE))
    predictions = [classifier.predict(inputs) for inputs in in_threads(dataset.inputs, batches)]
    probs = np.concatenate([found for found, _ in predictions])
    is_unlike = np.array([reason != "" for _, reasons in predictions for reason in reasons])
    numbers = {name: number for number, name in enumerate(classifier.class_names)}
    labels = np.array([numbers[dataset.records[index].label] for index in indexes], np.int64)
    told = is_unlike if classifier.tells_what_is_unlike else None
    groups = dataset.subject_numbers(indexes)
    return Predictions(indexes, labels, probs, told, groups=groups, class_names=classifier.class_names)


def evaluate(classifier: Classifier, dataset: Dataset, *, split: str | None = None) -> Evaluation:
    """Score a classifier on the used images of a Dataset, or of one of its splits.

    To score a run on a folder, use `evaluate_run`, which also looks for images that it was trained on.

    Args:
        classifier: What `load` returned.
        dataset: Its images have the size that the classifier takes.
        split: "train", "val" or "test"; None for all.

    Raises:
        NotADatasetError: The Dataset has a class that the classifier does not know.
        SettingsError: As `predict_dataset` raises it.
        TooFewImagesError: There is no image to score on.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.evaluate(classifier, dataset).accuracy.num_images
        24
    """
    return score(classifier, predict_dataset(classifier, dataset, split=split))


def stress(
    classifier: Classifier,
    dataset: Dataset,
    *,
    split: str | None = None,
    may_matter: Sequence[str] = (),
    progress: Progress = SILENCE,
) -> tuple[Stressed, ...]:
    """Score a classifier on changed copies of images: grey, blurred and so on.

    Each change is tried on at most 1,000 images.

    Args:
        classifier: What `load` returned.
        dataset: Its images have the size that the classifier takes.
        split: "train", "val" or "test"; None for all.
        may_matter: Aspects that may tell the classes apart, such as "colour". They are left unchanged.
        progress: Receives progress updates.

    Raises:
        NotADatasetError: The Dataset has a class that the classifier does not know.
        SettingsError: The classifier uses faces, but the Dataset was scanned without looking for them.
        TooFewImagesError: There are no images to score.
        ImageError: An image is missing or has changed since the scan.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> [stressed.change for stressed in mien.stress(classifier, dataset)][:3]
        ['grey', 'darker', 'brighter']
    """
    unchanged = predict_dataset(classifier, dataset, split=split)
    return stress_beside(unchanged, classifier, dataset, may_matter=may_matter, progress=progress)


def stress_beside(
    unchanged: Predictions,
    classifier: Classifier,
    dataset: Dataset,
    *,
    may_matter: Sequence[str] = (),
    progress: Progress = SILENCE,
) -> tuple[Stressed, ...]:
    """Score a classifier on changed copies of images whose unchanged predictions are known.

    Args:
        unchanged: What `predict_dataset` returned.
        classifier: As for `stress`.
        dataset: The Dataset that holds the images.
        may_matter: Aspects that may tell the classes apart.
        progress: Receives progress updates.

    Raises:
        ImageError: An image is missing or has changed since the scan.
    """
    chosen = places_to_change(dataset, unchanged.indexes, changes_but(may_matter), _MAX_CHANGED)
    asked = changes_by_place({change: places.tolist() for change, places in chosen.items()})
    groups = dataset.group_numbers(np.arange(len(dataset.records)))

    def answer(place: int) -> list[NDArray[np.float32]]:
        return [classifier.probs(inputs)[0] for inputs in dataset.changed_inputs(place, asked[place])]

    found: dict[Change, dict[int, NDArray[np.float32]]] = {change: {} for change in chosen}
    for done, (place, rows) in enumerate(zip(asked, in_threads(answer, list(asked)), strict=True), start=1):
        progress.step("Changed images", done, len(asked))
        for change, row in zip(asked[place], rows, strict=True):
            found[change][place] = row
    answers = []
    for change, places in chosen.items():
        asked_about = np.searchsorted(unchanged.indexes, places)
        answers.append(
            Answers(
                change.name,
                unchanged.labels[asked_about],
                unchanged.probs[asked_about],
                np.array([found[change][place] for place in places.tolist()]),
                np.array([groups[place] for place in places], np.int64),
            )
        )
    return judge_stress(answers, by_groups=dataset.knows_groups)


def score(classifier: Classifier, predictions: Predictions, *, threshold: float | None = None) -> Evaluation:
    """Score predictions.

    Args:
        classifier: The classifier, for its classes and threshold.
        predictions: Its predictions, or those of its cross-validation.
        threshold: A threshold to use instead of the classifier's.
    """
    class_names = classifier.class_names
    threshold = classifier.facts.threshold if threshold is None else threshold
    chosen = predictions.probs.argmax(axis=1)
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion, (predictions.labels, chosen), 1)
    largest = class_names.index(classifier.facts.largest_class)
    # The largest class of these images is the baseline to beat, even if it is not the largest in training.
    counts = confusion.sum(axis=1)
    largest = largest if counts[largest] == counts.max() else int(counts.argmax())
    num_folds, groups, out_of_distribution = predictions.num_folds, predictions.groups, predictions.out_of_distribution
    return Evaluation(
        class_names=class_names,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        accuracy=wilson_score(int(np.trace(confusion)), len(chosen), num_folds=num_folds, groups=groups),
        baseline=wilson_score(int(confusion[largest].sum()), len(chosen), groups=groups),
        baseline_label=class_names[largest],
        loss=cross_entropy(predictions.probs, predictions.labels),
        classes=class_scores(class_names, predictions.labels, chosen, num_folds=num_folds, groups=groups),
        calibration=measure_calibration(predictions.probs, predictions.labels, groups=groups),
        coverage=measure_coverage(
            predictions.probs, predictions.labels, threshold=threshold, num_folds=num_folds, groups=groups
        ),
        out_of_distribution=None
        if out_of_distribution is None
        else wilson_score(int(out_of_distribution.sum()), len(chosen), groups=groups),
        num_folds=num_folds,
        auc=mean_auc(predictions.probs, predictions.labels),
    )
