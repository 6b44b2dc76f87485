"""Reviewing: a finished run, scored again on its own test pictures or on another labelled folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from mien.classifier import Classifier, load
from mien.cleaning import clean
from mien.config import CleanConfig
from mien.dataset import Dataset, load_records
from mien.duplicates import group_near_copies
from mien.errors import SourceNotFoundError, TooFewImagesError
from mien.evaluation import evaluate
from mien.files import sha256_of
from mien.judgement import JUDGE_BY_ALL, judge_threshold, verdict
from mien.progress import SILENCE, Progress
from mien.recording import load_history
from mien.results import Evaluation, Finding, evaluation_from_dict
from mien.run_folder import RunFolder, read_json
from mien.scanning import scan


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


def review(run_dir: str | Path, folder: str | Path | None = None, *, progress: Progress = SILENCE) -> Review:
    """Score a finished run again.

    Args:
        run_dir: The folder of the run.
        folder: Labelled pictures in class folders, with no class that the run does not know; those that it was
            trained on, and their near copies, are left out. By default the test split of the run.
        progress: Told how far it is.

    Raises:
        SourceNotFoundError: The run or the pictures are not there, or a test picture has changed since.
        NotADatasetError: The folder has a class that the classifier does not know.
        TooFewImagesError: The run was trained on every picture of the folder.
    """
    run = RunFolder(Path(run_dir))
    classifier = load(run_dir)
    if folder is None:
        if not run.path.is_dir():
            raise SourceNotFoundError(
                f"{str(run_dir)!r} is a model alone: name its run folder, or a labelled folder too"
            )
        evaluation = evaluate(classifier, _test_split(run, classifier), split="test")
        out_of_fold = _out_of_fold(run)
        history = load_history(run.history_path) if run.history_path.exists() else ()
        judged = out_of_fold or evaluation
        findings = verdict(judged, history, remedy="" if out_of_fold else JUDGE_BY_ALL)
        findings += judge_threshold(judged, classifier.facts.threshold)
        return Review(run.path, classifier, evaluation, out_of_fold, findings)
    scanned = scan(folder, classifier.facts.scan_config(), keep_images=True, progress=progress)
    dataset = _without_seen(clean(scanned), run, progress)
    evaluation = evaluate(classifier, dataset)
    findings = verdict(evaluation) + judge_threshold(evaluation, classifier.facts.threshold)
    return Review(run.path, classifier, evaluation, None, findings)


def _out_of_fold(run: RunFolder) -> Evaluation | None:
    """Return the scores of the run's cross-validation, as they stand in metrics.json: its classifiers are gone.

    Raises:
        SourceNotFoundError: metrics.json is missing or damaged.
    """
    document = read_json(run.metrics_path)
    try:
        return evaluation_from_dict(document["out_of_fold"]) if "out_of_fold" in document else None
    except (KeyError, TypeError) as error:
        raise SourceNotFoundError(f"{str(run.metrics_path)!r} is damaged: {error}") from error


def _without_seen(dataset: Dataset, run: RunFolder, progress: Progress) -> Dataset:
    """Leave out every picture that the run was trained or chosen on, and every near copy of one."""
    if not run.manifest_path.is_file():
        progress.say("a model without its run folder: whether it was trained on these pictures cannot be told")
        return dataset
    seen = [record.phash for record in load_records(run.manifest_path) if record.split in ("train", "val")]
    pictures = [place for place, record in enumerate(dataset.records) if record.used]
    hashes = seen + [dataset.records[place].phash for place in pictures]
    groups = group_near_copies(hashes, CleanConfig.near_bits)
    seen_groups = set(groups[: len(seen)]) - {None}
    records = list(dataset.records)
    for place, group in zip(pictures, groups[len(seen) :], strict=True):
        if group in seen_groups:
            records[place] = replace(records[place], used=False)
    num_left_out = len(pictures) - sum(record.used for record in records)
    if num_left_out:
        progress.say(
            f"{num_left_out} of {len(pictures)} pictures left out: the run was trained on them, or near copies"
        )
    if num_left_out == len(pictures):
        raise TooFewImagesError(f"the run in {str(run.path)!r} was trained on every picture of {str(dataset.root)!r}")
    return dataset.with_records(records)


def _test_split(run: RunFolder, classifier: Classifier) -> Dataset:
    records = load_records(run.manifest_path)
    root = run.data_dir()
    changed = [r.path for r in records if r.split == "test" and sha256_of(root / r.path) != r.sha256]
    if changed:
        raise SourceNotFoundError(
            f"{len(changed)} test pictures of {str(run.path)!r} are gone from {str(root)!r} or changed, such as "
            f"{changed[0]!r}: put them back, or name another labelled folder"
        )
    return Dataset(root, classifier.class_names, records, classifier.facts.scan_config())
