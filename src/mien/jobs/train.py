"""The whole job, from a folder of class folders to a finished run: read this file first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mien.config import PRESETS, PredictConfig, TrainConfig
from mien.core import files
from mien.core.extras import require
from mien.core.progress import SILENCE, Progress
from mien.data.cleaning import clean
from mien.data.leaks import refuse_straddling
from mien.data.relabelling import keep_splits, load_decisions, relabel
from mien.data.scanning import scan
from mien.data.shortcuts import describe_shortcuts, find_shortcuts
from mien.data.splitting import folds, split
from mien.errors import SettingsError
from mien.jobs.finish import Doubts, Run, finish
from mien.learning.exporting import save_training
from mien.learning.fitting import cross_validate, find_backbone, judge_labels, num_folds, prepare, scan_config
from mien.model.prediction import UNSURE
from mien.runs.folder import RunFolder, find_unfinished, load_config, new_run
from mien.runs.saving import describe, save_data
from mien.scoring.label_issues import find_label_issues, mark_label_issues

_MODULES = ("jinja2", "matplotlib", "onnx", "threadpoolctl")
_KERAS_MODULES = ("keras", "tf2onnx", "cv2", "tensorboard")


def train(
    folder: str | Path,
    config: TrainConfig = PRESETS["fast"],
    *,
    out: str | Path | None = None,
    resume: bool = False,
    save_h5: bool = False,
    cache_dir: str | Path | None = None,
    progress: Progress = SILENCE,
) -> Run:
    """Turn a folder of class folders into a classifier with honest scores, in a run folder.

    The test images are read once, at the end. Nothing in `folder` is changed.

    Args:
        folder: One sub-folder per class.
        config: Every setting; PRESETS holds sets of them.
        out: The run folder; by default the first free one of runs/train, runs/train2, ...
        resume: Go on with a run that was cut off: the one in `out`, or the newest unfinished one in runs/.
        save_h5: Write model.h5 too, where the classifier is a Keras network.
        cache_dir: Where the features of images are kept, so that the next training need not make them again.
        progress: Told how far it is.

    Raises:
        UserError: A path, a class or a setting is not as it must be; what to do is in the message.
        LeakError: A copy of an image stands on two sides of a split: a last check, before anything is trained.
        ExportMismatchError: The saved model would not answer as the trained one does.

    Example:
        >>> import mien
        >>> run = mien.train("data", out="runs/small")
        >>> run.evaluation.accuracy.num_images, run.out_of_fold.accuracy.num_images
        (2, 22)
    """
    _refuse_at_once(config, save_h5=save_h5)
    if cache_dir:
        files.refuse_among(Path(cache_dir), Path(folder), "--cache-dir")
    backbone, decisions = find_backbone(config), _decisions(config)
    with _opened(config, Path(out) if out else None, Path(folder), resume=resume) as run, _stoppable(run, progress):
        dataset = scan(folder, scan_config(config, backbone), keep_images=True, progress=progress)
        dataset = split(clean(dataset, config.clean), config.split)
        if UNSURE in dataset.class_names and config.predict != PredictConfig():
            raise SettingsError(
                f"a class is called {UNSURE!r}, as an answer that is none: rename it, or ask for no threshold"
            )
        if decisions:
            dataset = keep_splits(clean(relabel(dataset, decisions), config.clean), dataset)
        parts = list(folds(dataset, num_folds(dataset, config), config.split))
        refuse_straddling([dataset, *parts], config.clean.near_bits)
        shortcuts = find_shortcuts(dataset)
        counts = describe(dataset, decided=bool(config.labels.relabel))
        for line in (*counts, *describe_shortcuts(shortcuts), f"run folder: {run.path}"):
            progress.say(line)
        begun = run.manifest_path.exists()
        if begun:
            dataset.refuse_changes(run.manifest_path)
        cache = Path(cache_dir) if cache_dir else None
        method = prepare(dataset, config, backbone, cache_dir=cache, progress=progress)
        if not begun:
            save_data(run, dataset, config, decisions=decisions)
        out_of_fold = cross_validate(method, parts, run=run, progress=progress)
        judged = judge_labels(method, dataset, out_of_fold)
        label_issues = find_label_issues(dataset, judged) if judged else ()
        dataset = mark_label_issues(dataset, label_issues)
        fitted = method.fit(dataset, run.path)
        save_training(run, fitted, save_h5=save_h5)
        doubts = Doubts(label_issues, shortcuts)
        return finish(run, dataset, config, fitted, out_of_fold=out_of_fold, doubts=doubts, progress=progress)


def _refuse_at_once(config: TrainConfig, *, save_h5: bool) -> None:
    """Say before any work that a package is missing, or that what is asked for cannot be."""
    linear = config.fit.method == "linear"
    require("train", *_MODULES, *(() if linear else _KERAS_MODULES))
    if save_h5 and linear:
        raise SettingsError(
            "model.h5 holds a Keras network, and the method linear makes none: add --preset classic or best"
        )


def _decisions(config: TrainConfig) -> dict[str, str]:
    return load_decisions(config.labels.relabel) if config.labels.relabel else {}


@contextmanager
def _stoppable(run: RunFolder, progress: Progress) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if run.config_path.exists():
            progress.say(f"what is done stays in {run.path}: the same command with --out {run.path} --resume goes on")
        raise


@contextmanager
def _opened(config: TrainConfig, out: Path | None, data_dir: Path, *, resume: bool) -> Iterator[RunFolder]:
    if not resume:
        with new_run(out, data_dir) as run:
            yield run
        return
    run = find_unfinished(out)
    begun = load_config(run.config_path)
    if replace(begun, labels=config.labels) != config or _decisions(begun) != _decisions(config):
        raise SettingsError(
            f"the run in {str(run.path)!r} was begun with other settings: see {run.config_path.name} there"
        )
    with files.claimed(run.path):
        yield run
