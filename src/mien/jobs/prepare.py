"""Preparing: a scanned Dataset -> cleaned, relabelled and split."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mien.config import PredictConfig, SplitConfig, TrainConfig
from mien.core.progress import Progress
from mien.data.cleaning import clean
from mien.data.dataset import Dataset, ImageRecord, Problem
from mien.data.decisions import below, is_elsewhere
from mien.data.kept_splits import describe_kept, leave_out_joining, sides_of, sides_with_copies
from mien.data.relabelling import relabel
from mien.data.splitting import is_given, is_kept, split
from mien.data.subjects import with_subjects
from mien.errors import SettingsError, SourceNotFoundError, TooFewImagesError
from mien.model.prediction import UNSURE
from mien.runs.folder import load_config, run_of
from mien.runs.run import load_split


def prepared(scanned: Dataset, config: TrainConfig, decisions: Mapping[str, str], progress: Progress) -> Dataset:
    """Clean and split a scanned Dataset. Label decisions never move other images to another split.

    Images added by label decisions, from other folders or from conflicting copies, are used only for training.
    """
    decisions = below(scanned.root, decisions)
    scanned = _without_known(with_subjects(scanned, config.split.group_by, progress=progress), config)
    dataset = clean(scanned, config.clean)
    before: Sequence[ImageRecord] = ()
    sides: dict[str, str] = {}
    if is_kept(config.split):
        before = load_split(run_of(Path(config.split.split)))
        sides = sides_with_copies(dataset, before, config.clean.near_bits)
        rest = leave_out_joining(dataset, sides, before)
        # Look for copies again only if an image was skipped.
        dataset = dataset if rest == dataset else clean(rest, config.clean)
    elif decisions and not is_given(dataset, config.split):
        # This may fail if only the decisions bring enough images of a class.
        with suppress(TooFewImagesError):
            sides = sides_of(split(_without_added(dataset), config.split).records)
    placed = {} if is_given(dataset, config.split) else _for_training(dataset, decisions) | sides
    if decisions:
        dataset = clean(relabel(dataset, decisions), config.clean)
    dataset = split(dataset, config.split, placed)
    if before:
        progress.say(f"split of {config.split.split}: {describe_kept(dataset, before, sides)}")
    if UNSURE in dataset.class_names and config.predict != PredictConfig():
        raise SettingsError(
            f"a class is named {UNSURE!r}, which mien uses for predictions below the threshold. Rename it, or set no "
            "threshold"
        )
    return dataset


def _without_known(dataset: Dataset, config: TrainConfig) -> Dataset:
    """Skip images of other folders that are copies of images here, which have their own label and split."""
    if not any(is_elsewhere(record.path) for record in dataset.records):
        return dataset
    others = [_left_out(r) if is_elsewhere(r.path) else r for r in dataset.records]
    cleaned = clean(dataset.with_records(others), config.clean).records
    here = {record.group for record in cleaned if not is_elsewhere(record.path)} - {None}
    return dataset.with_records(
        [
            other if is_elsewhere(record.path) and found.group in here else record
            for record, other, found in zip(dataset.records, others, cleaned, strict=True)
        ]
    )


def _left_out(record: ImageRecord) -> ImageRecord:
    problem = Problem("left_out", "a copy of an image that is in the folder")
    return replace(record, used=False, problems=(*record.problems, problem))


def _for_training(dataset: Dataset, decisions: Mapping[str, str]) -> dict[str, str]:
    """Put images with label decisions in the training split, by content hash: they were not chosen at random."""
    asked = [r for r in dataset.records if r.path in decisions and (is_elsewhere(r.path) or not r.used)]
    return {record.sha256: "train" for record in asked if record.phash}


def _without_added(dataset: Dataset) -> Dataset:
    return dataset.with_records([replace(r, used=r.used and not is_elsewhere(r.path)) for r in dataset.records])


def split_as_before(config: TrainConfig) -> TrainConfig:
    """Take shares and groups from the run whose split is reused, unless the user set them.

    Raises:
        SettingsError: The run does not exist or is not finished.
    """
    mine, default = config.split, SplitConfig()
    if not is_kept(mine):
        return config
    try:
        run_folder = run_of(Path(mine.split))
        run_folder.check_finished()
        theirs = load_config(run_folder.config_path).split
    except SourceNotFoundError as error:
        raise SettingsError(f"cannot reuse the split of --split (or of --config): {error}") from error
    taken = {
        name: getattr(theirs, name)
        for name in ("val_fraction", "test_fraction", "group_by")
        if getattr(mine, name) == getattr(default, name)
    }
    return replace(config, split=replace(mine, **taken))
