"""Opening a review of a run or of a folder without one, and choosing where its decisions are written."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mien.config import LabelConfig, TrainConfig
from mien.core.progress import SILENCE, Progress
from mien.data.cleaning import clean
from mien.data.decisions import DecisionJournal, decisions_of
from mien.data.scanning import scan
from mien.errors import SettingsError, SourceNotFoundError
from mien.fetching.stored_folders import how_to_have_again
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
    """Open a review of a run, or of a folder without a run.

    Decisions are written to the run, or to NAME-decisions.csv beside the folder.

    Args:
        path: A run folder or a dataset folder.
        labels: Where the labels of a folder come from. Decisions named by `relabel` are the initial ones.
        unlabelled: Folders of unlabelled images, which a run ranks for labelling.
        cache_dir: Cache folder for image features.
        progress: Receives progress.

    Raises:
        UserError: The path is neither, is already under review, or the decisions cannot be written.
    """
    run_folder = run_of(path)
    if run_folder.config_path.is_file():
        if labels != LabelConfig():
            raise SettingsError("a run already has its labels and decisions. Leave out the options for labels")
        run = load_run(run_folder.path)
        if not run.dataset.root.is_dir():
            raise SourceNotFoundError(
                f"the images of {str(path)!r} are not in {run.dataset.name!r}: {how_to_have_again(run.dataset.root)}"
            )
        journal = _told_of(DecisionJournal(run_folder.journal_path, decisions_of(run.config.labels)), progress)
        folders = [folder.absolute() for folder in unlabelled]
        return Review(run, journal, run.config, unlabelled=folders, cache_dir=cache_dir, progress=progress)
    if unlabelled:
        raise SettingsError(
            f"{str(path)!r} is not a run, and only a run can rank images to label. Train first, or leave out --next"
        )
    journal = _told_of(_journal_beside(path, labels), progress)
    config = TrainConfig(labels=replace(labels, relabel=""))
    dataset = clean(scan(path, config.scan, config.labels, progress=progress), config.clean)
    return Review(dataset, journal, config, folder=path, cache_dir=cache_dir)


def _told_of(journal: DecisionJournal, progress: Progress) -> DecisionJournal:
    """Report a journal that another program has changed."""
    if journal.kept_aside:
        progress.say(
            f"another program changed {str(journal.path)!r}. It was repaired, and the original is in "
            f"{str(journal.kept_aside)!r}"
        )
    return journal


def _journal_beside(folder: Path, labels: LabelConfig) -> DecisionJournal:
    """Return the journal of a folder: beside it, or in the current folder if that is not writable."""
    place = folder.resolve()
    path = place.with_name(f"{place.name}-decisions.csv")
    if not os.access(place.parent, os.W_OK):
        path = Path(f"{place.name}-{number_of_path(str(place)):x}-decisions.csv")
    if labels.relabel and path.exists():
        raise SettingsError(f"{str(path)!r} already holds decisions. Leave out --relabel, or move that file elsewhere")
    return DecisionJournal(path, decisions_of(labels))
