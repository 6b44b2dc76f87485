"""Opening a review: of a run, or of a folder of which nothing was trained yet; and where its decisions are written."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mien.config import LabelConfig, TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.data.cleaning import clean
from mien.data.decisions import DecisionJournal, decisions_of
from mien.data.scanning import scan
from mien.errors import SettingsError
from mien.labelling.review import Review, number_of_path
from mien.runs.folder import run_of
from mien.runs.run import load_run


def review_of(
    path: Path,
    labels: LabelConfig = LabelConfig(),
    *,
    unlabelled: Sequence[Path] = (),
    cache_dir: Path | None = None,
    progress: Progress = SILENCE,
) -> Review:
    """Return the review of a run; or of a folder, of which nothing was trained yet.

    Decisions are written into the run; or beside the folder, into NAME-decisions.csv.

    Args:
        path: A run folder, or a folder of labelled images.
        labels: How the classes of a folder are told; decisions that `relabel` names are those to begin with.
        unlabelled: Folders of images without labels, of which a run says which to label next.
        cache_dir: Where the features of images are kept.
        progress: Told how far it is.

    Raises:
        UserError: It is neither, another review of it is open, or the decisions cannot be written.
    """
    run_folder = run_of(path)
    if run_folder.config_path.is_file():
        if labels != LabelConfig():
            raise SettingsError("a run knows how its classes are told, and with which decisions: leave those flags out")
        run = load_run(run_folder.path)
        journal = _told_of(DecisionJournal(run_folder.journal_path, decisions_of(run.config.labels)), progress)
        folders = [folder.absolute() for folder in unlabelled]
        return Review(run, journal, run.config, unlabelled=folders, cache_dir=cache_dir, progress=progress)
    if unlabelled:
        raise SettingsError(
            f"{str(path)!r} is a folder, and only a run says what to label next: train first, or leave --next out"
        )
    journal = _told_of(_journal_beside(path, labels), progress)
    config = TrainConfig(labels=replace(labels, relabel=""))
    dataset = clean(scan(path, config.scan, config.labels, progress=progress), config.clean)
    return Review(dataset, journal, config, folder=path, cache_dir=cache_dir)


def _told_of(journal: DecisionJournal, progress: Progress) -> DecisionJournal:
    """Say so where another program had written a journal."""
    if journal.kept_aside:
        progress.say(
            f"another program had changed {str(journal.path)!r}: it was put in order, and is kept as it was in "
            f"{str(journal.kept_aside)!r}"
        )
    return journal


def _journal_beside(folder: Path, labels: LabelConfig) -> DecisionJournal:
    """Return the journal of a folder: beside it, or in the current folder where that cannot be written to."""
    place = folder.resolve()
    path = place.with_name(f"{place.name}-decisions.csv")
    if not os.access(place.parent, os.W_OK):
        path = Path(f"{place.name}-{number_of_path(str(place)):x}-decisions.csv")
    if labels.relabel and path.exists():
        raise SettingsError(f"there are decisions on it in {str(path)!r}: leave --relabel out, or move that file away")
    return DecisionJournal(path, decisions_of(labels))
