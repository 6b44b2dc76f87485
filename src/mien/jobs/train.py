"""The whole job, from a dataset folder to a finished run. Read this file first."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mien.config import TrainConfig, starting_from
from mien.core import files
from mien.core.progress import SILENCE, Progress
from mien.core.text import as_typed
from mien.data.cleaning import describe_losses, min_bytes_of
from mien.data.dataset import Dataset
from mien.data.decisions import decisions_of, elsewhere
from mien.data.kept_splits import describe_given
from mien.data.leaks import refuse_straddling
from mien.data.scanning import scan
from mien.data.shortcuts import describe_shortcuts, find_shortcuts
from mien.data.splitting import describe_split, folds, is_given, is_kept
from mien.data.subjects import find_rule
from mien.errors import SettingsError, TooFewImagesError
from mien.jobs.judge import judge
from mien.jobs.prepare import prepared, split_as_before
from mien.jobs.suspect import Suspicion, suspect
from mien.layouts.tree import refuse_run
from mien.learning.exporting import save_training
from mien.learning.fitting import (
    cross_validate,
    find_backbone,
    hold_out,
    num_folds,
    predict_labels,
    prepare,
    require_packages,
    scan_config,
    some_fold,
)
from mien.learning.methods import Fitted, Method
from mien.runs.folder import RunFolder, find_unfinished, load_config, new_run
from mien.runs.run import Run
from mien.runs.saving import save_data, save_run
from mien.scoring.label_issues import LabelIssue, find_label_issues, mark_label_issues
from mien.scoring.results import Predictions

# With few groups, the validation and test splits get at least this share.
_LARGER = 0.2


def train(
    folder: str | Path,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    save_h5: bool = False,
    cache_dir: str | Path | None = None,
    progress: Progress = SILENCE,
    preset: str | None = None,
    **settings: Any,
) -> Run:
    """Train a classifier on a folder of labelled images, with honest scores, in a run folder.

    The test images are read once, at the end. Nothing in `folder` is changed.

    Args:
        folder: As `scan` takes it: class folders, splits, a table of labels, or an archive.
        config: All settings, such as `mien.PRESETS["best"]`. Default: those of the preset.
        out: The run folder. Default: the first free one of runs/train, runs/train2, ...
        resume: Resume an interrupted run: the one in `out`, or the newest unfinished one in runs/.
        save_h5: Also write model.h5, if the classifier is a Keras network.
        cache_dir: The folder of the feature cache, which makes the next training faster.
        progress: Receives progress updates.
        preset: The preset to use without a `config`; one of PRESETS. Default: fast.
        settings: Single settings by name, such as `epochs=5`. They take precedence over `config`.

    Raises:
        UserError: A path, a class or a setting is invalid; the message says what to do.
        LeakError: Copies of an image are in two splits. This is a final check before training.
        ExportMismatchError: The saved model does not match the trained one.

    Example:
        >>> import mien
        >>> run = mien.train("data", out="runs/small")
        >>> run.scores.test.accuracy.num_images, run.scores.judged.accuracy.num_images
        (2, 22)
    """
    config = starting_from(config, preset).changed(**settings)
    cache = Path(cache_dir) if cache_dir else None
    _refuse_at_once(config, Path(folder), cache, save_h5=save_h5)
    config = split_as_before(config)
    backbone, decisions = find_backbone(config), decisions_of(config.labels)
    with (
        _opened(config, Path(out) if out else None, Path(folder), resume=resume) as run_folder,
        _stoppable(run_folder, progress),
    ):
        how, added = scan_config(config, backbone), elsewhere(decisions)
        scanned = scan(folder, how, config.labels, elsewhere=added, keep_images=True, progress=progress)
        dataset = prepared(scanned, config, decisions, progress)
        _say(progress, *_left_out(dataset, config))
        method = prepare(dataset, config, backbone, cache_dir=cache, progress=progress)
        suspicion = suspect(method, dataset, seed=config.split.seed) if config.split.group_by == "auto" else None
        config, dataset = _regrouped(suspicion, scanned, dataset, config, decisions, progress)
        parts = list(folds(dataset, num_folds(dataset, config), config.split))
        refuse_straddling([dataset, *parts], config.clean)
        shortcuts = find_shortcuts(dataset)
        split_lines = describe_split(dataset, decided=bool(config.labels.relabel))
        _say(progress, *split_lines, *describe_shortcuts(shortcuts), f"run folder: {run_folder.path}")
        if run_folder.manifest_path.exists():
            dataset.refuse_changes(run_folder.manifest_path)
        else:
            save_data(run_folder, dataset, config, decisions=decisions)
        method.withstand(parts or some_fold(dataset, config), shortcuts)
        out_of_fold, selection = cross_validate(method, parts, run_folder=run_folder, progress=progress)
        method.learn_from_fewer(parts)
        label_issues = _label_issues(method, dataset, out_of_fold)
        dataset = mark_label_issues(dataset, label_issues)
        fitted = method.fit(dataset, run_folder.path, selection)
        save_training(run_folder, fitted, save_h5=save_h5, progress=progress)
        # If there was no time for the chosen candidate, the folds say nothing about the one that was kept.
        unseen = out_of_fold if fitted.details.selection in (None, selection) else None
        judged = judge(
            fitted,
            dataset,
            config,
            path=run_folder.path,
            unseen=unseen or _to_choose_by(method, fitted, dataset, config),
            label_issues=label_issues,
            shortcuts=shortcuts,
            progress=progress,
        )
        save_run(run := _told(judged, suspicion), decisions=decisions, progress=progress)
        return run


def _label_issues(method: Method, dataset: Dataset, out_of_fold: Predictions | None) -> tuple[LabelIssue, ...]:
    predictions = predict_labels(method, dataset, out_of_fold)
    return find_label_issues(dataset, predictions) if predictions else ()


def _to_choose_by(method: Method, fitted: Fitted, dataset: Dataset, config: TrainConfig) -> Predictions | None:
    """Return predictions for held-out images to choose a threshold on; None if the validation split can be used.

    A linear head is fitted on the validation images too, so it cannot use them.
    """
    return hold_out(method, dataset, config) if config.predict.target_precision and fitted.model is None else None


def _left_out(dataset: Dataset, config: TrainConfig) -> list[str]:
    """Say which files are skipped in large numbers or for a given split, and which limit is ignored."""
    lines = describe_losses(dataset)
    if is_given(dataset, config.split):
        lines += describe_given(dataset)
    if min_bytes_of(dataset, config.clean) != config.clean.min_bytes:
        lines.append(f"--min-bytes {config.clean.min_bytes} is ignored, because a class would lose all its images")
    return lines


def _say(progress: Progress, *lines: str) -> None:
    for line in lines:
        progress.say(line)


def _told(run: Run, suspicion: Suspicion | None) -> Run:
    """Put a suspicion right after the verdict."""
    if suspicion is None:
        return run
    finding = suspicion.finding(kept_together=run.config.split.group_by == suspicion.rule)
    return replace(run, findings=(run.findings[0], finding, *run.findings[1:]))


def _regrouped(
    suspicion: Suspicion | None,
    scanned: Dataset,
    dataset: Dataset,
    config: TrainConfig,
    decisions: dict[str, str],
    progress: Progress,
) -> tuple[TrainConfig, Dataset]:
    """Split again by the suspected subjects, if there are enough of them."""
    if suspicion is None or is_kept(config.split) or is_given(dataset, config.split):
        return config, dataset
    given, rule = config.split, suspicion.rule
    larger = (max(given.val_fraction, _LARGER), max(given.test_fraction, _LARGER))
    # With few subjects, larger splits may still work.
    for val_fraction, test_fraction in ((given.val_fraction, given.test_fraction), larger):
        shares = replace(given, group_by=rule, val_fraction=val_fraction, test_fraction=test_fraction)
        with suppress(TooFewImagesError):
            return replace(config, split=shares), prepared(scanned, replace(config, split=shares), decisions, progress)
    return config, dataset


def _refuse_at_once(config: TrainConfig, folder: Path, cache_dir: Path | None, *, save_h5: bool) -> None:
    """Fail before any work if a package is missing, the settings are impossible, or a run is in the place of images."""
    refuse_run(folder)
    require_packages(config)
    find_rule(config.split.group_by)
    if save_h5 and config.fit.method == "linear":
        raise SettingsError(
            "--save-h5 needs a Keras network, which the method linear does not make. Add --preset classic or best"
        )
    if cache_dir:
        files.refuse_among(cache_dir, folder, "--cache-dir")


@contextmanager
def _stoppable(run_folder: RunFolder, progress: Progress) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if not run_folder.config_path.exists():
            raise KeyboardInterrupt("nothing was saved") from None
        path = as_typed(run_folder.path)
        progress.say(f"progress is saved in {path}. To resume, run the same command with --out {path} --resume")
        raise


@contextmanager
def _opened(config: TrainConfig, out: Path | None, data_dir: Path, *, resume: bool) -> Iterator[RunFolder]:
    if not resume:
        with new_run(out, data_dir) as run_folder:
            yield run_folder
        return
    run_folder = find_unfinished(out)
    begun = load_config(run_folder.config_path)
    same = begun.split
    if config.split.group_by == "auto":
        # Groups found automatically, and the larger splits they need, will be found again.
        found = {name: getattr(config.split, name) for name in ("group_by", "val_fraction", "test_fraction")}
        same = replace(begun.split, **found)
    labels = replace(begun.labels, relabel=config.labels.relabel)
    if replace(begun, labels=labels, split=same) != config or decisions_of(begun.labels) != decisions_of(config.labels):
        raise SettingsError(
            f"the run in {str(run_folder.path)!r} was started with other settings. Use those in its config.json"
        )
    with files.claimed(run_folder.path):
        yield run_folder
