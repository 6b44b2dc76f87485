"""Evaluation: a classifier and labelled pictures -> scores with intervals, and a verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classifier import Classifier
from mien.dataset import Dataset
from mien.errors import NotADatasetError, TooFewImagesError
from mien.recording import Epoch, best_epoch
from mien.results import Evaluation, Finding, Score, class_scores, wilson_score

# A batch that keeps ONNX Runtime busy without holding many pictures at once.
_BATCH_SIZE = 32
# So much better on pictures that it has seen than on others: it has learnt pictures, not what they show.
_WIDE_GAP = 0.2
JUDGE_BY_ALL = "or train with --folds 5, which judges by all the others too"


@dataclass(frozen=True)
class Answers:
    """The probabilities given for labelled pictures.

    Attributes:
        indexes: Places of the pictures in the Dataset, (N,).
        labels: True class numbers, (N,).
        probs: float32 (N, C).
    """

    indexes: NDArray[np.int64]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]


def answer(classifier: Classifier, dataset: Dataset, *, split: str | None = None) -> Answers:
    """Ask a classifier about the used pictures of a Dataset, or of one of its splits.

    Raises:
        NotADatasetError: The Dataset has a class that the classifier does not know.
        TooFewImagesError: There is no picture to ask about.
    """
    unknown = sorted(set(dataset.class_names) - set(classifier.class_names))
    if unknown:
        known = ", ".join(map(repr, classifier.class_names))
        raise NotADatasetError(f"{str(dataset.root)!r} has the classes {unknown}; the classifier knows {known}")
    indexes = dataset.indexes(split)
    if not len(indexes):
        raise TooFewImagesError(f"{str(dataset.root)!r} has no usable pictures to evaluate on")
    batches = dataset.batches(_BATCH_SIZE, split=split)
    probs = np.concatenate([classifier.probs(images) for images, _ in batches])
    numbers = {name: number for number, name in enumerate(classifier.class_names)}
    labels = np.array([numbers[dataset.records[index].label] for index in indexes], np.int64)
    return Answers(indexes, labels, probs)


def evaluate(classifier: Classifier, dataset: Dataset, *, split: str | None = None) -> Evaluation:
    """Score a classifier on the used pictures of a Dataset, or of one of its splits.

    Args:
        classifier: What `load` returned.
        dataset: Its pictures have the size that the classifier takes.
        split: "train", "val" or "test"; None for all.

    Raises:
        NotADatasetError: The Dataset has a class that the classifier does not know.
        TooFewImagesError: There is no picture to score on.

    Example:
        >>> import mien
        >>> classifier = mien.load("runs/train")
        >>> dataset = mien.clean(mien.scan("data", classifier.facts.scan_config()))
        >>> mien.evaluate(classifier, dataset).accuracy.num_images
        24
    """
    return score(classifier, answer(classifier, dataset, split=split))


def score(classifier: Classifier, answers: Answers) -> Evaluation:
    """Score answers that were given already."""
    class_names = classifier.class_names
    chosen = answers.probs.argmax(axis=1)
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion, (answers.labels, chosen), 1)
    largest = class_names.index(classifier.facts.largest_class)
    # Pictures from elsewhere may have another largest class: then that is what one must do better than.
    counts = confusion.sum(axis=1)
    largest = largest if counts[largest] == counts.max() else int(counts.argmax())
    given = answers.probs[np.arange(len(answers.labels)), answers.labels]
    return Evaluation(
        class_names=class_names,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        accuracy=wilson_score(int(np.trace(confusion)), len(chosen)),
        baseline=wilson_score(int(confusion[largest].sum()), len(chosen)),
        baseline_label=class_names[largest],
        loss=float(-np.log(np.maximum(given, 1e-7)).mean()),
        classes=class_scores(class_names, confusion),
    )


def verdict(evaluation: Evaluation, history: Sequence[Epoch] = (), *, remedy: str = "") -> tuple[Finding, ...]:
    """Say in words what the scores and the curves mean, and what to do next; at least one sentence.

    Args:
        evaluation: Scores on pictures that were not trained on.
        history: The epochs of the training, if it had any.
        remedy: What can be done, beside adding pictures, where there are too few to tell.
    """
    return (*_judge_curves(history, evaluation.baseline), _judge_size(evaluation, remedy))


def _judge_size(evaluation: Evaluation, remedy: str) -> Finding:
    accuracy, baseline = evaluation.accuracy, evaluation.baseline
    if accuracy.low <= (baseline.value or 0) or accuracy.high - accuracy.low > 0.2:
        return _too_few(evaluation, remedy)
    text = f"It is right for {evaluation.accuracy}, clearly more than always saying {evaluation.baseline_label!r}."
    return Finding("fine", text, "Try it on pictures from where it will be used: they may differ from these.")


def _judge_curves(history: Sequence[Epoch], baseline: Score) -> list[Finding]:
    if not history:
        return []
    reached = max(epoch.accuracy for epoch in history)
    # Half-way from the baseline to always right: what a network does that has learnt its own pictures at all.
    if reached < ((baseline.value or 0) + 1) / 2:
        text = f"Underfitting: even its own training pictures it gets right for only {reached:.0%}."
        return [Finding("underfitting", text, "Train longer (--epochs), or with a larger --learning-rate.")]
    text = _overfitting(history)
    advice = "Add pictures; vary those you have, or vary them more (--augment, --zoom); or raise --dropout, to 0.5 say."
    return [Finding("overfitting", text, advice)] if text else []


def _overfitting(history: Sequence[Epoch]) -> str:
    """Return what says that a network learns its own pictures by heart, and from which epoch; "" where nothing does."""
    best, last = best_epoch(history), history[-1]
    if last.val_loss > 1.1 * best.val_loss and last.loss < best.loss:
        return (
            f"Overfitting from epoch {best.epoch + 1}: from there it gets better on the training pictures "
            f"(accuracy {last.accuracy:.0%} at the end) and worse on others (validation loss {best.val_loss:.2f} to "
            f"{last.val_loss:.2f}). The weights of epoch {best.epoch} were kept."
        )
    if best.accuracy - best.val_accuracy > _WIDE_GAP:
        start = next(epoch.epoch for epoch in history if epoch.accuracy - epoch.val_accuracy > _WIDE_GAP)
        return (
            f"Overfitting from epoch {start}: the network that was kept is right for {best.accuracy:.0%} of the "
            f"training pictures, but for only {best.val_accuracy:.0%} of the validation pictures."
        )
    return ""


def _too_few(evaluation: Evaluation, remedy: str) -> Finding:
    accuracy, baseline = evaluation.accuracy, evaluation.baseline
    worse = (accuracy.value or 0) <= (baseline.value or 0)
    text = f"It is no better than always saying {evaluation.baseline_label!r}. " if worse else ""
    text += (
        f"Too little data to tell: judged by {accuracy.num_images} pictures, the true accuracy may be anything from "
        f"{accuracy.low:.0%} to {accuracy.high:.0%}"
    )
    if accuracy.low <= (baseline.value or 0):
        text += f", and always saying {evaluation.baseline_label!r} gets {baseline.value:.0%}"
    needed = _needed(accuracy)
    advice = "Add pictures"
    if needed > accuracy.num_images:
        advice += f": about {needed} to judge by would narrow it to 10 points either way"
    return Finding("too_little_data", f"{text}.", f"{advice}; {remedy}." if remedy else f"{advice}.")


def _needed(accuracy: Score) -> int:
    """Return about how many pictures narrow the interval to 10 points either way, at the accuracy measured."""
    share = min(max(accuracy.value or 0.5, 0.1), 0.9)
    return int(np.ceil(1.96**2 * share * (1 - share) / 0.1**2 / 10) * 10)
