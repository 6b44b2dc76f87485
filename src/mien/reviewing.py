"""Reviewing: a finished run, scored again on its own test pictures or on another labelled folder."""

from dataclasses import dataclass
from pathlib import Path

from mien.classifier import Classifier, load
from mien.cleaning import clean
from mien.dataset import Dataset, load_records
from mien.errors import SourceNotFoundError
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
        folder: Labelled pictures in class folders, with no class that the run does not know; by default the test
            split of the run.
        progress: Told how far it is.

    Raises:
        SourceNotFoundError: The run or the pictures are not there, or a test picture has changed since.
        NotADatasetError: The folder has a class that the classifier does not know.
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
    evaluation = evaluate(classifier, clean(scanned))
    return Review(run.path, classifier, evaluation, verdict(evaluation))


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
