"""Reviewing: a finished run, scored again on its own test pictures or on another labelled folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from mien.classifier import Classifier, load
from mien.cleaning import clean
from mien.config import CleanConfig
from mien.dataset import Dataset, load_records
from mien.duplicates import group_near_copies
from mien.errors import SourceNotFoundError, TooFewImagesError
from mien.evaluation import evaluate, verdict
from mien.files import sha256_of
from mien.progress import SILENCE, Progress
from mien.recording import load_history
from mien.results import Evaluation, Finding
from mien.run_folder import RunFolder
from mien.scanning import scan


@dataclass(frozen=True)
class Review:
    """What a finished run scores."""

    path: Path
    classifier: Classifier
    evaluation: Evaluation
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
        dataset, history = _test_split(run, classifier), load_history(run.history_path)
        evaluation = evaluate(classifier, dataset, split="test")
        return Review(run.path, classifier, evaluation, verdict(evaluation, history))
    scanned = scan(folder, classifier.facts.scan_config(), keep_images=True, progress=progress)
    dataset = _without_seen(clean(scanned), run, progress)
    evaluation = evaluate(classifier, dataset)
    return Review(run.path, classifier, evaluation, verdict(evaluation))


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
