"""Reviewing: a finished run, scored again on its own test images or on another labelled folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.core.files import read_json, sha256_of
from mien.core.progress import SILENCE, Epoch, Progress
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, load_records
from mien.data.leaks import find_leaks, refuse_leaks
from mien.data.scanning import scan
from mien.errors import SourceNotFoundError, TooFewImagesError
from mien.model.classifier import Classifier, load
from mien.runs.folder import RunFolder, load_config, run_of
from mien.runs.history import load_history
from mien.runs.run import load_seen, near_bits_of
from mien.scoring.evaluation import evaluate
from mien.scoring.results import Evaluation, Finding, evaluation_from_dict
from mien.scoring.verdict import JUDGE_BY_ALL, judge_threshold, kept_epochs, verdict


@dataclass(frozen=True)
class Review:
    """What a finished run scores.

    Attributes:
        path: Its folder.
        classifier: What it made.
        evaluation: Scores on the test split, or on the other folder.
        out_of_fold: Scores by cross-validation in the run, where the test split was asked for and there was one.
        findings: What the scores mean, and what to do.
    """

    path: Path
    classifier: Classifier
    evaluation: Evaluation
    out_of_fold: Evaluation | None
    findings: tuple[Finding, ...]


def review(
    run_dir: str | Path,
    folder: str | Path | None = None,
    *,
    leave_out_seen: bool = False,
    progress: Progress = SILENCE,
) -> Review:
    """Score a finished run again.

    Args:
        run_dir: The folder of the run.
        folder: Labelled images in class folders, with no class that the run does not know, and none that it was
            trained on. By default the test split of the run.
        leave_out_seen: Where the run was trained on some of them, or on near copies, score the others.
        progress: Told how far it is.

    Raises:
        SourceNotFoundError: The run or the images are not there, or a test image has changed since.
        NotADatasetError: The folder has a class that the classifier does not know.
        LeakError: The run was trained on some of its images, or on near copies.
        TooFewImagesError: The run was trained on every image of the folder.
    """
    run = run_of(Path(run_dir))
    classifier = load(run_dir)
    if folder is None:
        if not run.path.is_dir():
            raise SourceNotFoundError(
                f"{str(run_dir)!r} is a model alone: name its run folder, or a labelled folder too"
            )
        evaluation = evaluate(classifier, _test_split(run, classifier), split="test")
        out_of_fold, history = _as_told(run)
        judged, config = out_of_fold or evaluation, load_config(run.config_path)
        findings = verdict(judged, history, remedy="" if out_of_fold else JUDGE_BY_ALL, config=config)
        findings += judge_threshold(judged, classifier.facts.threshold)
        return Review(run.path, classifier, evaluation, out_of_fold, findings)
    scanned = scan(folder, classifier.facts.scan_config(), keep_images=True, progress=progress)
    dataset = _unseen(clean(scanned), run, leave_out_seen=leave_out_seen, progress=progress)
    evaluation = evaluate(classifier, dataset)
    findings = verdict(evaluation) + judge_threshold(evaluation, classifier.facts.threshold)
    return Review(run.path, classifier, evaluation, None, findings)


def _as_told(run: RunFolder) -> tuple[Evaluation | None, Sequence[Epoch]]:
    """Return the scores of the run's cross-validation, as metrics.json has them, and the epochs that count.

    The classifiers of the cross-validation are gone.

    Raises:
        SourceNotFoundError: metrics.json is missing or damaged.
    """
    document = read_json(run.metrics_path)
    try:
        scores = evaluation_from_dict(document["out_of_fold"]) if "out_of_fold" in document else None
        history = load_history(run.history_path) if run.history_path.exists() else ()
        return scores, kept_epochs(history, document["training"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceNotFoundError(f"{str(run.metrics_path)!r} is damaged: {error}") from error


def _unseen(dataset: Dataset, run: RunFolder, *, leave_out_seen: bool, progress: Progress) -> Dataset:
    """Refuse images that the run was trained or chosen on, and copies of them; or leave them out."""
    if not run.manifest_path.is_file():
        progress.say("a model without its run folder: whether it was trained on these images cannot be told")
        return dataset
    used = {record.path for record in dataset.records if record.used}
    # Copies that are not used count as well: they may be what connects one that is used to one that was trained on.
    found = find_leaks(dataset.records, load_seen(run), near_bits_of(run))
    leaks = [leak for leak in found if leak.path in used]
    told = f"{len(leaks)} of {len(used)} images of {str(dataset.root)!r}, or copies of them,"
    if not leave_out_seen:
        refuse_leaks(
            leaks, f"{told} were trained on by {str(run.path)!r}", "To score the others alone, add --leave-out-seen."
        )
        return dataset
    if leaks and len(leaks) == len(used):
        raise TooFewImagesError(f"the run in {str(run.path)!r} was trained on every image of {str(dataset.root)!r}")
    if leaks:
        progress.say(f"left out: {told} which were trained on")
    used -= {leak.path for leak in leaks}
    return dataset.with_records([replace(record, used=record.path in used) for record in dataset.records])


def _test_split(run: RunFolder, classifier: Classifier) -> Dataset:
    records = load_records(run.manifest_path)
    root = run.data_dir()
    changed = [r.path for r in records if r.split == "test" and sha256_of(root / r.path) != r.sha256]
    if changed:
        raise SourceNotFoundError(
            f"{len(changed)} test images of {str(run.path)!r} are gone from {str(root)!r} or changed, such as "
            f"{changed[0]!r}: put them back, or name another labelled folder"
        )
    return Dataset(root, classifier.class_names, records, classifier.facts.scan_config())
