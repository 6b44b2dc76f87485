"""Evaluating: score a finished run again, on its own test images or on another labelled folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.config import CleanConfig, LabelConfig, ScanConfig, TrainConfig
from mien.core import files
from mien.core.files import sha256_of
from mien.core.progress import SILENCE, Progress
from mien.core.text import as_typed, counted
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.decisions import decisions_of
from mien.data.leaks import Leak, find_leaks, refuse_leaks
from mien.data.relabelling import clean_as_decided
from mien.data.scanning import scan
from mien.data.shortcuts import find_shortcuts
from mien.data.subjects import with_subjects
from mien.errors import GateError, NotADatasetError, SourceNotFoundError, TooFewImagesError
from mien.fetching.stored_folders import how_to_have_again
from mien.layouts.layout import listed
from mien.model.classifier import Classifier, load
from mien.runs.folder import RunFolder, run_of
from mien.runs.report import render
from mien.runs.run import as_trained, groups_are_known, load_run, load_seen, settings_of
from mien.scoring.evaluation import predict_dataset, score, stress_beside
from mien.scoring.results import Finding, Predictions, Scores
from mien.scoring.verdict import JUDGE_BY_ALL, judge_changes, judge_learning_curve, judge_threshold, verdict


@dataclass(frozen=True)
class Evaluated:
    """The evaluation of a finished run.

    Attributes:
        path: The run folder.
        classifier: Its classifier.
        dataset: The Dataset that holds the evaluated images.
        predictions: Predictions for these images.
        scores: Scores on the test split or on the other folder; for the test split, with the run's scores in
            cross-validation.
        findings: What the scores mean, and what to do about it.
    """

    path: Path
    classifier: Classifier
    dataset: Dataset
    predictions: Predictions = field(repr=False)
    scores: Scores
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        out_of_fold = self.scores.out_of_fold
        return {
            "evaluation": self.scores.test.to_dict(),
            "out_of_fold": out_of_fold.to_dict() if out_of_fold else None,
            "stressed": [asdict(stressed) for stressed in self.scores.stressed],
            "verdict": [asdict(finding) for finding in self.findings],
        }


def evaluate_run(
    run_dir: str | Path,
    folder: str | Path | None = None,
    labels: LabelConfig = LabelConfig(),
    *,
    only_known: bool = False,
    leave_out_seen: bool = False,
    stress: bool = False,
    max_pixels: int = ScanConfig.max_pixels,
    progress: Progress = SILENCE,
) -> Evaluated:
    """Score a finished run again.

    Args:
        run_dir: The run folder.
        folder: Labelled images of some or all of its classes, as `scan` takes them, without training images of the run.
            Default: the test split of the run.
        labels: Where to find the labels, if not detected automatically. Classes are merged as in the training.
        only_known: Skip images of classes that the run does not know.
        leave_out_seen: Skip training images of the run and near-duplicates of them, instead of raising LeakError.
        stress: Also score it on changed copies of the images: grey, blurred and so on.
        max_pixels: Skip larger images.
        progress: Receives progress updates.

    Raises:
        SourceNotFoundError: The run or the images are missing, or a test image has changed.
        NotADatasetError: The folder has a class that the classifier does not know.
        LeakError: The folder contains training images of the run, or near-duplicates of them.
        TooFewImagesError: The folder contains nothing but training images of the run.

    Example:
        >>> import mien
        >>> evaluated = mien.evaluate_run("runs/train", "new")
        >>> evaluated.scores.test.accuracy.num_images, sorted(evaluated.to_dict())
        (4, ['evaluation', 'out_of_fold', 'stressed', 'verdict'])
    """
    run_folder = run_of(Path(run_dir))
    if folder is None:
        return _on_own_test(run_folder, run_dir, stress=stress, progress=progress)
    classifier = load(run_dir)
    config = settings_of(run_folder)
    decisions = decisions_of(labels)
    how, labels = classifier.facts.scan_config(max_pixels), as_trained(labels, config.labels)
    try:
        scanned = scan(folder, how, labels, known=classifier.class_names, keep_images=True, progress=progress)
    except NotADatasetError as error:
        # A layout does not know the run.
        typed = f"mien predict {as_typed(run_dir)} "
        raise NotADatasetError(str(error).replace("mien predict RUN ", typed)) from error
    scanned = _of_known_classes(scanned, classifier.class_names, leave_out=only_known, progress=progress)
    scanned = with_subjects(scanned, config.split.group_by, progress=progress)
    dataset = clean_as_decided(scanned, config.clean, decisions)
    reasons = Counter(record.problems[-1].code for record in dataset.records if not record.used)
    if reasons:
        told = ", ".join(f"{count} {code}" for code, count in reasons.items())
        flag = "" if max_pixels == ScanConfig.max_pixels else f" --max-pixels {max_pixels}"
        progress.say(f"skipped: {told} (to list them: mien check {as_typed(folder)}{flag})")
    dataset = _unseen(dataset, run_folder, config.clean, leave_out_seen=leave_out_seen, progress=progress)
    predictions, scores = _scored(classifier, dataset, config, stress=stress, progress=progress)
    findings = verdict(scores.test, on_other_images=True) + judge_changes(scores.stressed)
    findings += judge_threshold(scores.test, classifier.facts.threshold)
    return Evaluated(run_folder.path, classifier, dataset, predictions, scores, findings)


def _of_known_classes(dataset: Dataset, known: Sequence[str], *, leave_out: bool, progress: Progress) -> Dataset:
    """Reject or skip images of classes that a classifier does not know."""
    counts = {f"{name!r} ({count})": name for name, count in dataset.counts().items() if name not in known}
    if not counts:
        return dataset
    told = f"{dataset.name!r} has images of classes that the classifier does not know: {listed(counts)}"
    if not leave_out:
        raise NotADatasetError(
            f"{told}. It knows {listed(known)}. To skip the others, add --only-known. If a class only has another name "
            "here, add --merge-classes KNOWN=OTHER"
        )
    places = np.array([place for place, record in enumerate(dataset.records) if record.label in known], np.int64)
    if not len(places):
        raise NotADatasetError(f"{told}. It has none of the known classes: {listed(known)}")
    progress.say(f"skipped: {told}")
    return replace(
        dataset,
        class_names=tuple(name for name in dataset.class_names if name in known),
        records=tuple(dataset.records[place] for place in places),
        kept=None if dataset.kept is None else dataset.kept[places],
    )


def refuse_below(evaluated: Evaluated, least: float) -> None:
    """Refuse a classifier whose accuracy is too low.

    Args:
        evaluated: What `evaluate_run` returned.
        least: The lowest accuracy to accept, from 0 to 1.

    Raises:
        GateError: The accuracy is lower.
    """
    accuracy = evaluated.scores.judged.accuracy
    if (accuracy.value or 0) < least:
        how = " in cross-validation" if evaluated.scores.out_of_fold else ""
        raise GateError(f"accuracy{how} is {100 * (accuracy.value or 0):.4g}%, less than --fail-under {least}")


def write_evaluation(evaluated: Evaluated, path: Path) -> None:
    """Write a report on the evaluation of a run on another folder: scores, mistakes, and where it looked.

    Raises:
        SourceNotFoundError: The run is not finished or is damaged.
        OutputError: The page cannot be written.
    """
    run = load_run(evaluated.path, with_predictions=False)
    dataset = replace(evaluated.dataset, class_names=run.dataset.class_names)
    dataset = dataset.with_records([replace(r, split="test" if r.used else "") for r in dataset.records])
    told = replace(
        run,
        dataset=dataset,
        scores=evaluated.scores,
        findings=evaluated.findings,
        test_predictions=evaluated.predictions,
        out_of_fold_predictions=None,
        label_issues=(),
        shortcuts=find_shortcuts(dataset),
    )
    files.write_text(path, render(told, elsewhere=dataset.name))


def _scored(
    classifier: Classifier,
    dataset: Dataset,
    config: TrainConfig,
    *,
    split: str | None = None,
    stress: bool,
    progress: Progress,
) -> tuple[Predictions, Scores]:
    """Score a classifier on images and, with `stress`, on changed copies of them."""
    predictions = predict_dataset(classifier, dataset, split=split)
    evaluation = score(classifier, predictions)
    if not stress:
        return predictions, Scores(evaluation)
    may_matter = config.fit.aspects_that_may_matter
    stressed = stress_beside(predictions, classifier, dataset, may_matter=may_matter, progress=progress)
    return predictions, Scores(evaluation, stressed=stressed)


def _on_own_test(run_folder: RunFolder, run_dir: str | Path, *, stress: bool, progress: Progress) -> Evaluated:
    """Score a run on its own test split; the scores of its cross-validation are read back."""
    if not run_folder.path.is_dir():
        load(run_dir)
        raise SourceNotFoundError(f"{str(run_dir)!r} is only a model. Name its run folder, or add a labelled folder")
    run = load_run(run_folder.path, with_predictions=False)
    _refuse_changed(run.dataset, run_folder)
    predictions, scores = _scored(
        run.classifier, run.dataset, run.config, split="test", stress=stress, progress=progress
    )
    scores = replace(scores, out_of_fold=run.scores.out_of_fold, learning_curve=run.scores.learning_curve)
    epochs = run.training.kept_epochs(run.history)
    findings = verdict(scores.judged, epochs, remedy="" if scores.out_of_fold else JUDGE_BY_ALL, config=run.config)
    findings += judge_changes(scores.stressed)
    findings += judge_learning_curve(scores.learning_curve, num_label_issues=len(run.label_issues))
    # Not on the images that the threshold may have been chosen on.
    findings += judge_threshold(scores.test, run.classifier.facts.threshold)
    return Evaluated(run.path, run.classifier, run.dataset, predictions, scores, findings)


def _refuse_changed(dataset: Dataset, run_folder: RunFolder) -> None:
    root = dataset.root
    changed = [r.path for r in dataset.records if r.split == "test" and sha256_of(root / r.path) != r.sha256]
    if changed:
        raise SourceNotFoundError(
            f"{counted(len(changed), 'test image')} of {str(run_folder.path)!r} missing or changed in "
            f"{dataset.name!r}, e.g. {changed[0]!r}: {how_to_have_again(root)}, or name another labelled folder"
        )


def _unseen(
    dataset: Dataset, run_folder: RunFolder, config: CleanConfig, *, leave_out_seen: bool, progress: Progress
) -> Dataset:
    """Reject or skip training and validation images of the run, and copies of them."""
    if not run_folder.manifest_path.is_file():
        progress.say("without the run folder, mien cannot tell whether the model was trained on these images")
        return dataset
    used = {record.path for record in dataset.records if record.used}
    found = find_leaks(dataset.records, load_seen(run_folder), config.near_bits, groups=groups_are_known(run_folder))
    leaks = [leak for leak in found if leak.path in used]
    told = f"{len(leaks)} of {counted(len(used), 'image')} in {dataset.name!r}, or copies of them,"
    if not leave_out_seen:
        refuse_leaks(
            leaks,
            f"{told} were used to train {str(run_folder.path)!r}",
            "To score only the others, add --leave-out-seen.",
        )
        return dataset
    if leaks and len(leaks) == len(used):
        raise TooFewImagesError(f"the run in {str(run_folder.path)!r} was trained on every image in {dataset.name!r}")
    if leaks:
        progress.say(f"skipped: {told} which were used in training")
    leaked = {leak.path: leak for leak in leaks}
    return dataset.with_records(
        [_seen(record, leaked[record.path]) if record.path in leaked else record for record in dataset.records]
    )


def _seen(record: ImageRecord, leak: Leak) -> ImageRecord:
    problem = Problem("trained_on", f"the run was trained on {leak.trained}")
    return replace(record, used=False, problems=(*record.problems, problem))
